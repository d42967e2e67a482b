"""Samplers: the order in which an epoch visits the training samples.

A sampler is a pure function of (labels, seed, epoch, progress), so a position in training is one
integer. Next to each stands the formula of how often it draws a class, which its draws are tested
against.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy.typing as npt
from torch import Tensor

from longtail.data.samplers import orders, shares
from longtail.data.samplers.coverage import Coverage, coverage, coverage_line
from longtail.data.samplers.orders import instance
from longtail.data.samplers.shares import Shares
from longtail.errors import UsageError, did_you_mean
from longtail.prior import Floats, as_counts

__all__ = [
    "SAMPLERS",
    "Coverage",
    "Kind",
    "Sampler",
    "class_shares",
    "coverage",
    "coverage_line",
    "find_sampler",
    "instance",
    "sampler",
]

Sampler = Callable[[Tensor, int, int, float], Tensor]
"""(labels int64 [n], seed, epoch, progress of the run in [0, 1)) -> n positions in [0, n), int64,
in the order of the visit."""


class Kind(NamedTuple):
    """A sampler and what it should draw.

    Attributes:
        order: of an epoch.
        shares: of the classes in it, on average.
    """

    order: Sampler
    shares: Shares


def independent(name: str, of_classes: Shares) -> Kind:
    """The sampler that draws classes with these shares, with replacement."""
    return Kind(partial(orders.independent, of_classes, name), of_classes)


def class_aware(run: int) -> Kind:
    """Classes in turn, `run` samples of each.

    Raises:
        ValueError: `run` is not positive.
    """
    if run < 1:
        raise ValueError
    return Kind(partial(orders.class_aware, run=run), shares.uniform)


def effective_number(beta: float) -> Kind:
    """Samples weighed by the effective number of their class.

    Raises:
        ValueError: `beta` is not in [0, 1).
    """
    if not 0 <= beta < 1:
        raise ValueError
    return independent("effective-number", partial(shares.effective_number, beta=beta))


SAMPLERS: dict[str, Kind] = {
    "instance": Kind(instance, shares.proportional),
    "class-balanced": independent("class-balanced", shares.uniform),
    "square-root": independent("square-root", shares.square_root),
    "progressive": independent("progressive", shares.progressive),
    "class-aware": class_aware(4),
    "oversampling": Kind(orders.oversampling, shares.uniform),
    "undersampling": Kind(orders.undersampling, shares.uniform),
    "effective-number": effective_number(0.9999),
}


class Parameter(NamedTuple):
    """The number that a sampler's name may end with, after a colon.

    Attributes:
        read: from its text to the sampler; raises ValueError where it does not fit.
        expected: what fits, in words.
        example: of a name.
    """

    read: Callable[[str], Kind]
    expected: str
    example: str


PARAMETERS: dict[str, Parameter] = {
    "class-aware": Parameter(
        lambda text: class_aware(int(text)),
        "how many samples of a class follow one another, a whole number of at least 1",
        "class-aware:4",
    ),
    "effective-number": Parameter(
        lambda text: effective_number(float(text)),
        "beta, at least 0 and below 1",
        "effective-number:0.9999",
    ),
}


def find_sampler(name: str) -> Kind:
    """The entry called `name`, which may end with a number: "class-aware:8".

    Raises:
        UsageError: there is none, it takes no number, or the number does not fit.
    """
    base, colon, number = name.partition(":")
    if base not in SAMPLERS:
        raise UsageError(f"Unknown sampler {name!r}. {did_you_mean(base, SAMPLERS)}")
    if not colon:
        return SAMPLERS[base]
    if base not in PARAMETERS:
        raise UsageError(f"Sampler {name!r}: {base} takes no number; type {base}.")
    parameter = PARAMETERS[base]
    try:
        return parameter.read(number)
    except ValueError:
        raise UsageError(
            f"Sampler {name!r}: after the colon stands {parameter.expected}; type e.g. "
            f"{parameter.example}."
        ) from None


def sampler(name: str) -> Sampler:
    """The sampler called `name`.

    Raises:
        UsageError: as `find_sampler`.
    """
    return find_sampler(name).order


def class_shares(name: str, counts: npt.ArrayLike, progress: float = 0.0) -> Floats:
    """The share of an epoch's draws that each class gets on average, float64 [c].

    Args:
        name: of the sampler.
        counts: training samples a class, int64 [c]; a class without any has a share of 0.
        progress: of the run, in [0, 1]; only "progressive" looks at it.

    Raises:
        UsageError: as `find_sampler`.
        DataError: as `as_counts`.

    >>> class_shares("square-root", [9, 1, 0]).tolist()
    [0.75, 0.25, 0.0]
    """
    return find_sampler(name).shares(as_counts(counts), progress)
