"""Small batches for the losses, and their values and gradients."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from longtail.losses import contrastive as contrastive_module
from longtail.losses.catalogue import BETA, DIVERSITY_FACTOR, Loss, LossEntry
from longtail.losses.kernels import KERNELS
from longtail.losses.streaming import blocks
from references import contrastive, experts, logit, metric

WAYS = ("plain", "streamed", "streamed in small blocks")
"""Ways to compute a contrastive loss, each to be held to the same tests."""

EXPERTS = 3
SHAPES = {
    "logits": "bc",
    "features": "bd",
    "prototypes": "cd",
    "class_means": "cd",
    "radii": "c",
    "expert_logits": "bkc",
    "teacher_logits": "bc",
    "routing": "br",
}
"""Letters: b batch, c classes, d dimension, k experts, r experts but the last."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a loss of the catalogue is called with: the outputs it reads, and labels."""

    inputs: tuple[Tensor, ...]
    labels: Tensor
    counts: list[int]

    @property
    def class_counts(self) -> Tensor:
        return torch.tensor(self.counts)

    def replace(self, **changes: Any) -> "Batch":
        return dataclasses.replace(self, **changes)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The same batch with every input changed."""
        return self.replace(inputs=tuple(change(x) for x in self.inputs))

    def to(self, dtype: torch.dtype) -> "Batch":
        return self.map(lambda x: x.to(dtype))


REFERENCES: dict[str, Callable[[Batch, float], Tensor]] = {
    "ce": lambda b, tau: logit.cross_entropy(*b.inputs, b.labels),
    "class-balanced": lambda b, tau: logit.class_balanced(*b.inputs, b.labels, b.counts, BETA),
    "balanced-softmax": lambda b, tau: logit.balanced_softmax(*b.inputs, b.labels, b.counts),
    "logit-adjustment": lambda b, tau: logit.logit_adjustment(*b.inputs, b.labels, b.counts),
    "ldam": lambda b, tau: logit.ldam(*b.inputs, b.labels, b.counts),
    "ldam-drw": lambda b, tau: logit.ldam(*b.inputs, b.labels, b.counts, BETA),
    "cb-focal": lambda b, tau: logit.class_balanced_focal(*b.inputs, b.labels, b.counts),
    "scl": lambda b, tau: contrastive.scl(*b.inputs, b.labels, tau),
    "bcl": lambda b, tau: contrastive.bcl(b.inputs[0], b.labels, b.inputs[1], tau),
    "rcl": lambda b, tau: contrastive.rcl(*b.inputs, b.labels, b.counts, tau),
    "bcl-rcl": lambda b, tau: contrastive.bcl_rcl(
        b.inputs[0], b.labels, b.inputs[1], b.counts, tau
    ),
    "embedding-margin": lambda b, tau: metric.embedding_margin(*b.inputs, b.labels, b.counts),
    "embedding-margin-cosine": lambda b, tau: metric.embedding_margin(
        *b.inputs, b.labels, b.counts, distance=metric.cosine
    ),
    "prototype": lambda b, tau: metric.prototype(*b.inputs, b.labels, tau),
    "robust-centroid": lambda b, tau: metric.robust_centroid(*b.inputs, b.labels, tau),
    "each-expert": lambda b, tau: experts.each(*b.inputs, b.labels),
    "expert-diversity": lambda b, tau: experts.diversity(*b.inputs, [1.0] * len(b.counts)),
    "expert-diversity-tempered": lambda b, tau: experts.diversity(
        *b.inputs, experts.temperatures(b.counts, DIVERSITY_FACTOR)
    ),
    "distillation": lambda b, tau: experts.distillation(*b.inputs, tau),
    "complementary-experts": lambda b, tau: experts.complementary(*b.inputs, b.labels, b.counts),
    "routing": lambda b, tau: experts.routing(*b.inputs, b.labels),
}


def batch(
    entry: LossEntry,
    labels: list[int],
    counts: list[int],
    *,
    dim: int = 3,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Batch:
    """Standard normal outputs for these labels and counts."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {"b": len(labels), "c": len(counts), "d": dim, "k": EXPERTS, "r": EXPERTS - 1}
    shapes = [[sizes[letter] for letter in SHAPES[name]] for name in entry.reads]
    inputs = tuple(torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return Batch(inputs, torch.tensor(labels), counts)


def along(entry: LossEntry, letter: str, order: Tensor, tensors: Iterable[Tensor]) -> list[Tensor]:
    """Inputs, or their gradients, put into another order of the batch "b" or the classes "c"."""
    return [
        x.index_select(SHAPES[name].index(letter), order) if letter in SHAPES[name] else x
        for name, x in zip(entry.reads, tensors, strict=True)
    ]


def call(loss: Loss, batch: Batch) -> Tensor:
    """The loss of a batch."""
    first, *further = batch.inputs
    return loss(first, batch.labels, *further)


def gradients(value: Tensor, batch: Batch) -> list[Tensor]:
    """The gradient of each input; zeros where none reaches it."""
    return list(torch.autograd.grad(value, batch.inputs, materialize_grads=True))


def with_grads(batch: Batch) -> Batch:
    """The same batch as fresh leaves that collect gradients."""
    return batch.map(lambda x: x.detach().clone().requires_grad_())


def value_and_grads(loss: Loss, batch: Batch) -> list[Tensor]:
    """The value, then the gradient of each input."""
    leaves = with_grads(batch)
    value = call(loss, leaves)
    return [value.detach(), *gradients(value, leaves)]


def temperature_of(entry: LossEntry, temperature: float) -> dict[str, float]:
    """The knob where the loss has one."""
    known = inspect.signature(entry.function).parameters
    return {"temperature": temperature} if "temperature" in known else {}


@contextmanager
def computed(way: str) -> Iterator[None]:
    """Contrastive losses are computed this way, whatever their size."""
    kernel = KERNELS[way.split()[0]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contrastive_module, "choose_kernel", lambda name, contrast: kernel)
        if "small" in way:
            # Ragged blocks of the usual batches; the first products are kept, later ones are not.
            patch.setattr(blocks, "ON_CPU", blocks.Sizes(3, 18, 3, 8, 6))
        yield
