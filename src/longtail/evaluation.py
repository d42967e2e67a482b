"""From a model and a split to predictions, and from predictions to metrics."""

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from longtail.data.batches import Normalisation, fetch_from, normalise
from longtail.data.dataset import Split
from longtail.metrics import summarise
from longtail.nn.experts import ExpertModel
from longtail.nn.model import AnyModel
from longtail.record import Predictions, SplitMetrics, predictions_of

_BATCH = 512
_THUMBNAIL = 32


class Scores(NamedTuple):
    """What a model says of a split, at full precision.

    Attributes:
        logits: float32 [n, c], after the recipe's post-hoc step.
        embeddings: float32 [n, d], or None without a projection.
    """

    logits: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32] | None


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Mixed precision for "bf16", nothing for "fp32".

    Weights are cast where they are used: torch's cache of casts is one for all threads of a
    process, so two runs side by side would disturb each other, and no graph may be recorded on it.
    """
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


@torch.no_grad()
def score(
    model: AnyModel,
    split: Split,
    *,
    statistics: Normalisation,
    posthoc: Callable[[Tensor], Tensor] | None,
    device: torch.device,
    precision: str,
) -> Scores:
    """Logits and embeddings of every sample of a split, in its order.

    The model is in evaluation mode meanwhile, and each part is left in the mode it had.
    """
    logits, embeddings = [], []
    with evaluating(model):
        for inputs in _plain_batches(split, statistics, device):
            with autocast(device, precision):
                raw, projected = model.predict(inputs)
            logits.append(raw.float())
            embeddings += [] if projected is None else [projected.float()]
    # One copy at the end: each makes the host wait for the device.
    embedded = torch.cat(embeddings).cpu().numpy() if embeddings else None
    # The prior comes off on the CPU, where its tensors are, at full precision.
    return Scores((posthoc or _as_is)(torch.cat(logits).cpu()).numpy(), embedded)


@torch.no_grad()
def encode(
    model: AnyModel,
    split: Split,
    *,
    statistics: Normalisation,
    device: torch.device,
    precision: str,
) -> Tensor:
    """The encoder's features of every sample, float32 [n, d] on the device; modes as in `score`."""
    features = []
    with evaluating(model):
        for inputs in _plain_batches(split, statistics, device):
            with autocast(device, precision):
                features.append(model.features(inputs).float())
    return torch.cat(features)


@torch.no_grad()
def mean_experts(
    model: ExpertModel,
    split: Split,
    *,
    statistics: Normalisation,
    device: torch.device,
    precision: str,
) -> float:
    """How many experts are asked a sample, on average; modes as in `score`."""
    asked = 0
    with evaluating(model):
        for inputs in _plain_batches(split, statistics, device):
            with autocast(device, precision):
                asked += int(model.predict_routed(inputs)[1].sum())
    return asked / len(split)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards each part's own: a stage may hold some of them still."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _plain_batches(
    split: Split, statistics: Normalisation, device: torch.device
) -> Iterator[Tensor]:
    """Every sample as it is, normalised."""
    fetch = fetch_from(split, device)
    for start in range(0, len(split), _BATCH):
        rows = torch.arange(start, min(start + _BATCH, len(split)), device=device)
        yield normalise(fetch(rows), statistics)


def measure(scores: Scores, split: Split, class_counts: npt.NDArray[np.int64]) -> SplitMetrics:
    """Every metric of a split's scores."""
    return summarise(split.labels, scores.logits.argmax(1), class_counts)


def as_predictions(scores: Scores, split: Split, prototypes: Tensor | None) -> Predictions:
    """What is kept of a split for everything that reads runs later."""
    return predictions_of(
        split.index,
        split.labels,
        scores.logits,
        embeddings=scores.embeddings,
        prototypes=None if prototypes is None else prototypes.detach().float().cpu().numpy(),
        thumbnails=thumbnails(split.inputs) if split.inputs.ndim == 4 else None,
    )


def thumbnails(pictures: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """uint8 [n, 32, 32, 3] from uint8 [n, h, w, 3]; pictures of 32x32 stay as they are."""
    if pictures.shape[1:3] == (_THUMBNAIL, _THUMBNAIL):
        return np.asarray(pictures, np.uint8)
    batches = np.array_split(pictures, max(1, len(pictures) // _BATCH))
    return np.concatenate([_resized(batch) for batch in batches])


def _resized(pictures: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    tensor = torch.from_numpy(np.asarray(pictures, np.float32)).permute(0, 3, 1, 2)
    small = torch.nn.functional.interpolate(
        tensor, (_THUMBNAIL, _THUMBNAIL), mode="bilinear", antialias=True
    )
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _as_is(logits: Tensor) -> Tensor:
    return logits
