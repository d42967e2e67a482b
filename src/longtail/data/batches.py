"""From positions in a split to what the network sees: fetched, augmented, normalised.

Pictures are augmented as uint8 and normalised last, so that a view is a picture; vectors are
standardised first, so that noise is in units of each feature's own spread.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    views = _augmented(samples, keys, kind, enumerate(roles), statistics)
    return _finished(torch.stack(views), statistics)


def _augmented(
    samples: Tensor,
    keys: Tensor,
    kind: Kind,
    roles: Iterable[tuple[int, Role]],
    statistics: Normalisation,
) -> list[Tensor]:
    """A view [b, ...] a numbered role: pictures uint8, to be normalised yet, vectors as trained on.

    The number keys the view.
    """
    if kind == "vector":
        samples = normalise(samples, statistics)
    as_one = samples.device.type == "cpu" and kind != "vector"
    numbers: dict[Role, list[int]] = {}
    for number, role in roles:
        numbers.setdefault(role, []).append(number)
    views: dict[int, Tensor] = {}
    for role, its in numbers.items():
        view, own = view_for(kind, role), [fold(keys, number) for number in its]
        if as_one:
            # A CPU makes pictures of one role in one go, for small batches are spent on calls.
            parts = torch.split(torch.cat([samples] * len(its)), _PART)
            made = torch.cat(list(map(view, parts, torch.split(torch.cat(own), _PART))))
            views |= dict(zip(its, torch.tensor_split(made, len(its)), strict=True))
        else:
            views |= {number: view(samples, key) for number, key in zip(its, own, strict=True)}
    return [views[number] for number in sorted(views)]


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
        labels: int64 [b], of the first view.
        contrast_labels: int64 [b], of each of the other views; `labels` itself where all views are
            of the same samples.
    """

    views: Tensor
    labels: Tensor
    contrast_labels: Tensor


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
    contrast_order: Tensor | None = None,
) -> Iterator[Batch]:
    """The batches of an epoch from the `first` on; what does not fill a batch is left out.

    A sample that an order repeats is seen in new views each time.

    Args:
        split: whose labels and indices they are.
        fetch: reads its rows onto the device.
        order: int64 [n] positions in the order of the visit.
        first: 0-based batch to begin with, when resuming.
        batch_size: samples a batch.
        kind: of the data.
        roles: of the views.
        statistics: for normalising.
        seed: of the run.
        epoch: a new one draws new views.
        device: of the batches.
        contrast_order: int64 [n] positions for the views after the first; None shows them the
            first view's.
    """
    count, at_once = len(order) // batch_size, _batches_at_once(split, batch_size, device)
    labels, index = torch.tensor(split.labels).to(device), torch.tensor(split.index).to(device)
    numbered = list(enumerate(roles))
    if contrast_order is None:
        streams = [(order.to(device), numbered)]
    else:
        streams = [(order.to(device), numbered[:1]), (contrast_order.to(device), numbered[1:])]
    keys = [_view_keys(seed, epoch, index, visit) for visit, _ in streams]
    for start in range(first, count, at_once):
        chosen = slice(start * batch_size, min(start + at_once, count) * batch_size)
        views = [
            view
            for (visit, own), key in zip(streams, keys, strict=True)
            for view in _augmented(fetch(visit[chosen]), key[chosen], kind, own, statistics)
        ]
        # Pictures wait for their turn as uint8, a quarter of the memory, and are normalised by the
        # batch: that is a few launches more a step, and the host is far ahead of the device.
        pieces = torch.split(torch.stack(views), batch_size, 1)
        targets = [torch.split(labels[visit[chosen]], batch_size) for visit, _ in streams]
        for some, own, others in zip(pieces, targets[0], targets[-1], strict=True):
            yield Batch(_finished(some, statistics), own, others)


def _view_keys(seed: int, epoch: int, index: Tensor, order: Tensor) -> Tensor:
    """A key a place of an epoch's whole order, int64 [n]: of the sample, and of which repeat."""
    keys, repeat = fold(seed, "view", epoch, index[order]), occurrences(order)
    return torch.where(repeat > 0, fold(keys, "again", repeat), keys)


def occurrences(order: Tensor) -> Tensor:
    """How many places before each one hold the same position, int64 [n].

    >>> occurrences(torch.tensor([5, 2, 5, 5, 2])).tolist()
    [0, 0, 1, 2, 1]
    """
    by_position = torch.argsort(order, stable=True)
    ordered = order[by_position]
    places = torch.arange(len(order), device=order.device)
    counted = torch.empty_like(order)
    counted[by_position] = places - torch.searchsorted(ordered, ordered)
    return counted


def _batches_at_once(split: Split, batch_size: int, device: torch.device) -> int:
    """Batches whose views are made in one go, which changes no view.

    An accelerator pays for each of a view's hundreds of launches, and for each time the host waits
    to learn how many pictures drew an operation; a CPU pays for memory out of its cache.
    """
    if device.type == "cpu":
        return 1
    size = max(1.0, math.prod(split.inputs.shape[1:]) / (3 * 32 * 32))
    return max(1, int(_CHUNK / size) // batch_size)
