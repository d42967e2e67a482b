"""An ordinary training loop, as a careful researcher writes it: what longtail is measured against.

fp32 in the default memory format, Pillow pictures augmented one by one by torchvision's transforms
in a DataLoader with persistent workers, a loss that writes its masks out, SGD. It is fair: the same
network, views, batch and losses as longtail's, workers that never restart, and a queue that is full
when a timed segment begins and full again when the next one does.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from measure import Segment
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler, get_worker_info
from torchvision import transforms

from longtail.nn.encoders import CifarResNet

VIEWS = ("strong", "contrastive", "contrastive")
TAU = 1.3  # of the logit adjustment, the paper's
PREFETCHED = 2  # batches a worker, DataLoader's own default

Picture = Image.Image | Tensor
Batches = Iterator[tuple[list[Tensor], Tensor]]
"""Views of a batch, each float32 [b, 3, 32, 32], and labels int64 [b]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What a loop is to train on and how, the ordinary one or longtail's.

    Attributes:
        pictures: uint8 [n, 32, 32, 3].
        labels: int64 [n].
        statistics: mean and deviation of each channel.
        num_classes: of the labels.
        method: of `KINDS`.
        steps: a timed sample.
        batch_size: pictures a step, each in three views.
        threads: of torch.
        workers: of the DataLoader.
        warm_ups: steps before the first sample.
        device: of the network.
        depth: of the ResNet.
        seed: of the weights, the order and the views.
    """

    pictures: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    statistics: tuple[tuple[float, ...], tuple[float, ...]]
    num_classes: int
    method: str
    steps: int
    batch_size: int
    threads: int
    workers: int
    warm_ups: int
    device: str
    depth: int = 32
    seed: int = 0


def pillow_view(role: str) -> Callable[[Image.Image], Picture]:
    """A view as torchvision composes it, one picture at a time: uint8 [3, 32, 32]."""
    steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    if role == "strong":
        steps += [transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)]
    elif role == "contrastive":
        jitter = transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8)
        crop = transforms.RandomResizedCrop(32, (0.08, 1.0))
        flip, grey = transforms.RandomHorizontalFlip(), transforms.RandomGrayscale(0.2)
        steps = [crop, flip, jitter, grey]
    holes = [holed] if role == "strong" else []
    view: Callable[[Image.Image], Picture]
    view = transforms.Compose([*steps, transforms.PILToTensor(), *holes])
    return view


def holed(picture: Tensor) -> Tensor:
    """Cutout: a black square of 16 pixels around a pixel anywhere."""
    row, column = torch.randint(0, 32, (2,)).tolist()
    picture[:, max(0, row - 8) : row + 8, max(0, column - 8) : column + 8] = 0
    return picture


class Pictures(Dataset[tuple[list[Tensor], int]]):
    """Views of uint8 [n, 32, 32, 3] pictures and their labels; counts what each worker has made."""

    def __init__(
        self,
        pictures: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        statistics: tuple[tuple[float, ...], tuple[float, ...]],
        workers: int,
    ) -> None:
        finish = [transforms.ConvertImageDtype(torch.float32), transforms.Normalize(*statistics)]
        self.views = [transforms.Compose([pillow_view(role), *finish]) for role in VIEWS]
        self.pictures = pictures
        self.labels = labels.tolist()
        made = torch.zeros(max(1, workers), dtype=torch.int64)
        self.made = made.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[list[Tensor], int]:
        picture = Image.fromarray(self.pictures[position])
        views = [view(picture) for view in self.views]
        worker = get_worker_info()
        self.made[worker.id if worker else 0] += 1
        return views, self.labels[position]


class Network(nn.Module):
    """A ResNet, a linear classifier, a projection, and a second one for class prototypes."""

    def __init__(self, num_classes: int, depth: int, *, prototypes: bool) -> None:
        super().__init__()
        self.encoder = CifarResNet(depth)
        width = self.encoder.out_features
        self.classifier = nn.Linear(width, num_classes)
        self.projection = projection(width)
        self.prototype_projection = projection(width) if prototypes else None

    def forward(self, views: list[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits of the first view, projections of the others, prototypes or None."""
        features = self.encoder(torch.cat(views))
        first, others = features[: len(views[0])], features[len(views[0]) :]
        prototypes = None
        if self.prototype_projection is not None:
            prototypes = self.prototype_projection(self.classifier.weight)
        return self.classifier(first), self.projection(others), prototypes


def projection(width: int) -> nn.Sequential:
    """Linear, batch norm, ReLU, linear to 128 features."""
    return nn.Sequential(nn.Linear(width, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128))


class Kind(NamedTuple):
    """The switches of a method of the RCL family."""

    rebalance: bool
    average: bool
    prototypes: bool


KINDS = {
    "scl": Kind(rebalance=False, average=False, prototypes=False),
    "bcl": Kind(rebalance=False, average=True, prototypes=True),
    "rcl": Kind(rebalance=True, average=False, prototypes=False),
    "bcl-rcl": Kind(rebalance=True, average=True, prototypes=True),
}


def materialised_loss(
    features: Tensor,
    labels: Tensor,
    prototypes: Tensor | None,
    class_counts: Tensor,
    kind: Kind,
    temperature: float = 0.1,
) -> Tensor:
    """The contrastive loss of `kind` with every score and mask of n anchors and m keys at hand."""
    anchors = F.normalize(features)
    keys, key_labels = anchors, labels
    if prototypes is not None:
        keys = torch.cat([anchors, F.normalize(prototypes)])
        key_labels = torch.cat([labels, torch.arange(len(prototypes), device=labels.device)])
    scores = anchors @ keys.T / temperature
    other = torch.ones_like(scores)
    other.fill_diagonal_(0)
    positive = (labels[:, None] == key_labels[None, :]).float() * other

    shifted = scores - scores.amax(1, keepdim=True).detach()
    weighed = shifted.exp() * other
    if kind.average:
        in_batch = torch.bincount(key_labels, minlength=len(class_counts))
        weighed = weighed / (in_batch[key_labels][None, :] - positive)
    if kind.rebalance:
        weighed = weighed * class_counts[key_labels][None, :]
    log_probability = shifted - weighed.sum(1, keepdim=True).log()
    if kind.rebalance:
        log_probability = log_probability + class_counts[labels].log()[:, None]
    positives = positive.sum(1)
    has_one = positives > 0
    mean = (positive * log_probability).sum(1) / positives.clamp(min=1)
    return -mean[has_one].mean()


class Loop(NamedTuple):
    """What a step of the ordinary loop needs."""

    network: Network
    optimiser: torch.optim.Optimizer
    batches: Batches
    log_prior: Tensor
    class_counts: Tensor
    kind: Kind
    device: torch.device


def prepare(task: Task) -> Segment:
    """The loop, warmed up, in segments of the task's steps."""
    torch.set_num_threads(task.threads)
    data = Pictures(task.pictures, task.labels, task.statistics, task.workers)
    return segment(make_loop(endless(data, task), task), data, task)


def endless(data: Pictures, task: Task) -> Batches:
    """Batches without end, shuffled anew in every pass."""
    torch.manual_seed(task.seed)
    loader = DataLoader(
        data,
        task.batch_size,
        sampler=RandomSampler(data, num_samples=1_000_000 * len(data)),
        num_workers=task.workers,
        persistent_workers=task.workers > 0,
        drop_last=True,
    )
    return iter(loader)


def make_loop(batches: Batches, task: Task) -> Loop:
    """A fresh network and all that its steps need."""
    kind, device = KINDS[task.method], torch.device(task.device)
    torch.manual_seed(task.seed)
    network = Network(task.num_classes, task.depth, prototypes=kind.prototypes).to(device)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    # A class without a picture would have the logarithm of 0.
    counts = np.bincount(task.labels, minlength=task.num_classes).clip(1)
    class_counts = torch.from_numpy(counts).float().to(device)
    log_prior = (class_counts / class_counts.sum()).log()
    return Loop(network, optimiser, batches, log_prior, class_counts, kind, device)


def take_step(loop: Loop) -> None:
    """2 * logit-adjusted cross-entropy + the contrastive loss, backward, update."""
    views, labels = next(loop.batches)
    views, labels = [view.to(loop.device) for view in views], labels.to(loop.device)
    logits, embeddings, prototypes = loop.network(views)
    classified = F.cross_entropy(logits + TAU * loop.log_prior, labels)
    repeated = labels.repeat(len(views) - 1)
    contrasted = materialised_loss(embeddings, repeated, prototypes, loop.class_counts, loop.kind)
    loop.optimiser.zero_grad()
    (2.0 * classified + contrasted).backward()  # type: ignore[no-untyped-call]
    loop.optimiser.step()


def train(task: Task, rates: Iterable[float]) -> Network:
    """The network after a step at each of the learning rates."""
    torch.set_num_threads(task.threads)
    data = Pictures(task.pictures, task.labels, task.statistics, task.workers)
    loop = make_loop(endless(data, task), task)
    for rate in rates:
        for group in loop.optimiser.param_groups:
            group["lr"] = rate
        take_step(loop)
    return loop.network


@torch.no_grad()
def predictions(
    network: Network, pictures: npt.NDArray[np.uint8], task: Task
) -> npt.NDArray[np.int64]:
    """The class of each of the pictures uint8 [n, 32, 32, 3] as they are, int64 [n]."""
    network.eval()
    finish = transforms.Normalize(*task.statistics)
    found = [
        network.classifier(network.encoder(finish(part.permute(0, 3, 1, 2) / 255))).argmax(1)
        for part in torch.split(torch.from_numpy(pictures), 1000)
    ]
    return torch.cat(found).numpy()


def segment(loop: Loop, data: Pictures, task: Task) -> Segment:
    """Samples of the task's steps; settled when the workers have filled their queue and rest."""
    taken = 0

    def run(steps: int = task.steps) -> None:
        nonlocal taken
        for _ in range(steps):
            take_step(loop)
        taken += steps

    def settle() -> None:
        wanted = (taken + PREFETCHED * task.workers) * task.batch_size
        while task.workers and int(data.made.sum()) < wanted:
            time.sleep(0.01)
        time.sleep(0.1)  # the last batch is yet to be stacked and sent

    run(task.warm_ups)
    settle()
    return Segment(run, settle, task.device)
