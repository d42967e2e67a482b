"""From positions in a split to what the network sees: fetched, augmented, normalised.

Pictures are augmented as uint8 and normalised last, so that a view is a picture; vectors are
standardised first, so that noise is in units of each feature's own spread.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from longtail.data.dataset import Dataset, Kind, Split
from longtail.data.views import Role, view_for
from longtail.keyed import fold

_SAMPLED = 5_000  # pictures whose statistics stand for all: enough for four digits
_CHUNK = 16_384  # pictures augmented at once on an accelerator, fewer where larger than 32x32
_PART = 512  # pictures augmented at once on a CPU: more do not stay in its cache


class Normalisation(NamedTuple):
    """Mean and standard deviation of each channel (pictures, in [0, 1]) or feature (vectors)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


Fetch = Callable[[Tensor], Tensor]
"""Positions int64 [b] -> uint8 [b, 3, h, w] or float32 [b, d], on the device of training."""


def measure_normalisation(split: Split) -> Normalisation:
    """Statistics of the training samples (of 5,000 spread evenly over them, where there are more).

    A channel or feature that never changes, but for rounding, gets a deviation of 1.
    """
    rows = np.linspace(0, len(split) - 1, min(len(split), _SAMPLED)).astype(np.int64)
    values = np.asarray(split.inputs[rows], np.float64)
    if values.ndim == 4:
        values = values.reshape(-1, 3) / 255.0
    mean, std = values.mean(0), values.std(0)
    # The mean of equal numbers is rounded, which leaves a deviation of 1e-12 of it.
    varies = std > 1e-9 * np.abs(mean)
    return Normalisation(tuple(mean.tolist()), tuple(np.where(varies, std, 1.0).tolist()))


def fetch_from(split: Split, device: torch.device) -> Fetch:
    """Reads rows of a split; on an accelerator the whole split moves there once."""
    if device.type == "cpu":
        # Indexing the numpy array reads only these rows of a memory map.
        return lambda rows: _channels_first(torch.from_numpy(split.inputs[rows.numpy()]))
    resident = torch.from_numpy(np.array(split.inputs)).to(device)
    return lambda rows: _channels_first(resident[rows])


def normalise(samples: Tensor, statistics: Normalisation) -> Tensor:
    """uint8 [..., 3, h, w] pictures or float [..., d] vectors to float32, mean 0, deviation 1."""
    mean, std = _on_device(statistics, samples.device)
    if samples.dtype != torch.uint8:
        # A feature's mean may be far larger than its spread: subtract before dividing.
        return (samples.float() - mean) / std
    mean, std = mean.view(-1, 1, 1), std.view(-1, 1, 1)
    # Channels are of one size: one multiplication and one subtraction a value.
    return samples.float().mul_(1.0 / (255.0 * std)).sub_(mean / std)


@functools.lru_cache(maxsize=8)
def _on_device(statistics: Normalisation, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation, copied once: a copy from the host makes it wait for the device."""
    mean, std = (torch.tensor(values, device=device) for values in statistics)
    return mean, std


def make_views(
    samples: Tensor,
    index: Tensor,
    *,
    kind: Kind,
    roles: Sequence[Role],
    statistics: Normalisation,
    seed: int,
    epoch: int,
) -> Tensor:
    """All views of a batch, normalised: float32 [v, b, 3, h, w] or [v, b, d].

    Args:
        samples: uint8 [b, 3, h, w] or float32 [b, d].
        index: int64 [b], each sample's place in its source: it keys the draws.
        kind: of the data; with a role it names a view.
        roles: of the v views.
        statistics: for normalising.
        seed: of the run.
        epoch: a new one draws new views.
    """
    keys = fold(seed, "view", epoch, index)
    return _finished(_augmented(samples, keys, kind, roles, statistics), statistics)


def _augmented(
    samples: Tensor, keys: Tensor, kind: Kind, roles: Sequence[Role], statistics: Normalisation
) -> Tensor:
    """Views [v, b, ...]: of pictures uint8, to be normalised yet, of vectors as trained on."""
    if kind == "vector":
        samples = normalise(samples, statistics)
    in_parts = samples.device.type == "cpu" and kind != "vector"
    size = _PART if in_parts else len(samples)
    views = []
    for number, role in enumerate(roles):
        view, own = view_for(kind, role), fold(keys, number)
        parts = zip(torch.split(samples, size), torch.split(own, size), strict=True)
        views.append(torch.cat([view(*part) for part in parts]))
    return torch.stack(views)


def _finished(views: Tensor, statistics: Normalisation) -> Tensor:
    return normalise(views, statistics) if views.dtype == torch.uint8 else views


def input_statistics(dataset: Dataset) -> Normalisation:
    """The source's own constants where papers fix them (CIFAR), else those of the training data."""
    if dataset.normalisation is not None:
        return Normalisation(*dataset.normalisation)
    return measure_normalisation(dataset.train)


def _channels_first(samples: Tensor) -> Tensor:
    return samples.permute(0, 3, 1, 2).contiguous() if samples.ndim == 4 else samples


class Batch(NamedTuple):
    """What one step trains on.

    Attributes:
        views: float32 [v, b, 3, h, w] or [v, b, d], normalised.
        labels: int64 [b].
    """

    views: Tensor
    labels: Tensor


def epoch_batches(
    split: Split,
    fetch: Fetch,
    order: Tensor,
    *,
    first: int,
    batch_size: int,
    kind: Kind,
    roles: Sequence[Role],
    statistics: Normalisation,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Iterator[Batch]:
    """The batches of an epoch from the `first` on; what does not fill a batch is left out.

    Args:
        split: whose labels and indices they are.
        fetch: reads its rows onto the device.
        order: int64 positions in the order of the visit.
        first: 0-based batch to begin with, when resuming.
        batch_size: samples a batch.
        kind: of the data.
        roles: of the views.
        statistics: for normalising.
        seed: of the run.
        epoch: a new one draws new views.
        device: of the batches.
    """
    count, at_once = len(order) // batch_size, _batches_at_once(split, batch_size, device)
    labels, index = torch.tensor(split.labels).to(device), torch.tensor(split.index).to(device)
    order = order.to(device)
    for start in range(first, count, at_once):
        rows = order[start * batch_size : min(start + at_once, count) * batch_size]
        keys = fold(seed, "view", epoch, index[rows])
        views = _augmented(fetch(rows), keys, kind, roles, statistics)
        # Pictures wait for their turn as uint8, a quarter of the memory, and are normalised by the
        # batch: that is a few launches more a step, and the host is far ahead of the device.
        cut = torch.split(views, batch_size, 1), torch.split(labels[rows], batch_size)
        for some, their_labels in zip(*cut, strict=True):
            yield Batch(_finished(some, statistics), their_labels)


def _batches_at_once(split: Split, batch_size: int, device: torch.device) -> int:
    """Batches whose views are made in one go, which changes no view.

    An accelerator pays for each of a view's hundreds of launches, and for each time the host waits
    to learn how many pictures drew an operation; a CPU pays for memory out of its cache.
    """
    if device.type == "cpu":
        return 1
    size = max(1.0, math.prod(split.inputs.shape[1:]) / (3 * 32 * 32))
    return max(1, int(_CHUNK / size) // batch_size)
