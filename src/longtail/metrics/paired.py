"""What a handful of seeds can say about the difference between two methods.

A seed decides the network's start, the order of the pictures and their views, and two runs of one
seed share all of it that their methods allow. So methods are compared by their difference within
each seed, and only over the seeds that both were run with.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError, UsageError
from longtail.metrics.intervals import check_confidence

Floats = npt.NDArray[np.float64]

# Two seeds have one degree of freedom: their 95 % interval is 18 standard deviations wide.
RANKED_FROM = 3
# Redrawing fewer values than this gives intervals far too narrow; even ten cover a normal mean
# only 89 times in a hundred (measured), against Student's 95.
BOOTSTRAP_FROM = 10
NO_EVIDENCE = "no evidence of a difference"
AFTER_HOLM = "no evidence after Holm's correction"


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1; None for a single value) of `n` values."""

    mean: float
    std: float | None
    n: int


class Paired(NamedTuple):
    """A method minus another over the seeds they share, in the unit of the values.

    Attributes:
        n: shared seeds.
        mean: mean difference; above 0 where the first method's values are larger.
        std: sample standard deviation of the differences; None for n = 1.
        low: lower end of Student's interval of the mean difference.
        high: its upper end.
        p: two-sided p-value of the paired t test.
        confidence: coverage of the interval; 1 - confidence is the level of the test.

    `low`, `high` and `p` are None where the differences have no spread: with one seed, and where
    all differences are the same. The formula would give the latter a p of 0, but seeds that change
    nothing are one observation written down n times.
    """

    n: int
    mean: float
    std: float | None
    low: float | None
    high: float | None
    p: float | None
    confidence: float


def spread(values: Iterable[float]) -> Spread:
    """Mean, standard deviation and number of some values.

    Raises:
        DataError: no value, or one that is not a finite number.

    >>> spread([0.5, 0.75, 0.25])
    Spread(mean=0.5, std=0.25, n=3)
    """
    array = np.asarray(list(values), np.float64)
    if not array.size or not np.isfinite(array).all():
        raise DataError(
            f"The values {array.tolist()} have no mean: pass finite numbers, one or more."
        )
    std = float(array.std(ddof=1)) if array.size > 1 else None
    return Spread(float(array.mean()), std, array.size)


def shared_differences(ours: Mapping[int, float], base: Mapping[int, float]) -> Floats:
    """`ours` minus `base` in the order of their shared seeds, float64 [n], n >= 1.

    Raises:
        DataError: no seed is shared, or a shared value is not a finite number.

    >>> shared_differences({0: 0.75, 1: 0.5, 7: 0.9}, {1: 0.25, 0: 0.25, 2: 0.1}).tolist()
    [0.5, 0.25]
    """
    first, second = _shared(ours, base)
    return np.asarray(first - second, np.float64)


def paired_difference(
    ours: Mapping[int, float], base: Mapping[int, float], *, confidence: float = 0.95
) -> Paired:
    """Mean difference of two methods over their shared seeds, with Student's interval.

    Args:
        ours: a method's value for each seed it was run with.
        base: the values of the method it is compared with.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        DataError: no seed is shared, or a shared value is not a finite number.
        UsageError: `confidence` is not between 0 and 1.

    >>> found = paired_difference({0: 0.53, 1: 0.52, 2: 0.54}, {0: 0.50, 1: 0.51, 2: 0.52})
    >>> found.n, round(found.mean, 4), round(found.low, 4), round(found.high, 4)
    (3, 0.02, -0.0048, 0.0448)
    """
    from scipy.stats import t

    check_confidence(confidence)
    differences = shared_differences(ours, base)
    mean, std, n = spread(differences)
    if not std or _constant(ours, base):
        return Paired(n, mean, None if std is None else 0.0, None, None, None, confidence)
    error = std / np.sqrt(n)
    half = float(t.isf((1 - confidence) / 2, n - 1) * error)
    p = float(2 * t.sf(abs(mean) / error, n - 1))
    return Paired(n, mean, std, mean - half, mean + half, p, confidence)


def bootstrap_interval(
    differences: npt.ArrayLike, *, confidence: float = 0.95, samples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over seeds, to lay beside Student's.

    It assumes no normal differences but is too narrow for few seeds (see `BOOTSTRAP_FROM`), so it
    never decides what is ranked. The same differences always give the same interval, in whatever
    order they come. B. Efron and R. Tibshirani, "An Introduction to the Bootstrap" (1993), ch. 13.

    Args:
        differences: [n] from `shared_differences`.
        confidence: coverage, in (0, 1).
        samples: redraws of the n differences.
        seed: of the redraws; it has nothing to do with the seeds of the runs.

    Returns:
        (low, high).

    Raises:
        UsageError: fewer than `BOOTSTRAP_FROM` differences, or a confidence outside (0, 1).
        DataError: a difference is not a finite number.
    """
    check_confidence(confidence)
    n = spread(np.ravel(differences)).n
    if n < BOOTSTRAP_FROM:
        raise UsageError(
            f"{n} seeds are too few for a bootstrap interval; it needs {BOOTSTRAP_FROM} or more. "
            "Use Student's interval of paired_difference."
        )
    ordered = np.sort(np.ravel(differences))
    means = ordered[np.random.default_rng(seed).integers(0, n, (samples, n))].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted for being several, so that one wrong "better" in all stays unlikely.

    The k-th smallest of m is multiplied by m - k + 1, made no smaller than the one before it, and
    cut at 1. S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6 (1979).

    Args:
        p_values: one a comparison; None where none was tested, which does not count into m.

    Returns:
        The adjusted p-values in the same places, None where None was.

    Raises:
        DataError: a p-value outside [0, 1].

    >>> holm([0.25, None, 0.0625, 0.03125])
    [0.25, None, 0.125, 0.09375]
    """
    tested = [(p, place) for place, p in enumerate(p_values) if p is not None]
    if not all(0 <= p <= 1 for p, _ in tested):
        raise DataError(f"{list(p_values)} are no p-values: each must lie in [0, 1] or be None.")
    adjusted: list[float | None] = [None] * len(p_values)
    floor = 0.0
    for rank, (p, place) in enumerate(sorted(tested)):
        floor = max(floor, min(1.0, p * (len(tested) - rank)))
        adjusted[place] = floor
    return adjusted


def is_ranked(paired: Paired, adjusted_p: float | None = None) -> bool:
    """Whether one method may be called better than the other: the only place that decides it.

    Args:
        paired: from `paired_difference`.
        adjusted_p: its p-value after `holm`, where it is one of several comparisons.

    Returns:
        True with at least `RANKED_FROM` seeds, an interval without zero, and an adjusted p-value,
        where given, below the interval's level.
    """
    if paired.n < RANKED_FROM or paired.low is None or paired.high is None:
        return False
    significant = adjusted_p is None or adjusted_p < 1 - paired.confidence
    return significant and not paired.low <= 0 <= paired.high


def verdict(paired: Paired, adjusted_p: float | None = None) -> str:
    """What the comparison says, in words; arguments as `is_ranked`.

    Returns:
        "better" or "worse" (the first method than the second, where larger values are better),
        "no evidence of a difference" where the interval holds zero, or why nothing is ranked.

    >>> verdict(paired_difference({0: 0.53, 1: 0.52}, {0: 0.50, 1: 0.51}))
    '2 seeds: not ranked'
    """
    if is_ranked(paired, adjusted_p):
        return "better" if paired.mean > 0 else "worse"
    if paired.n < RANKED_FROM:
        return f"{paired.n} seed{'s' if paired.n > 1 else ''}: not ranked"
    if paired.p is None and paired.mean != 0:
        return "no spread between seeds: not ranked"
    return AFTER_HOLM if is_ranked(paired) else NO_EVIDENCE


def _shared(ours: Mapping[int, float], base: Mapping[int, float]) -> tuple[Floats, Floats]:
    """Both methods' values of the seeds they share, in the seeds' order."""
    seeds = sorted(ours.keys() & base.keys())
    if not seeds:
        raise DataError(
            f"No seed is shared: one method has seeds {sorted(ours)}, the other {sorted(base)}. "
            "Run both with the same seeds."
        )
    values = np.array([[side[seed] for seed in seeds] for side in (ours, base)], np.float64)
    broken = np.flatnonzero(~np.isfinite(values).all(axis=0))
    if broken.size:
        seed = seeds[broken[0]]
        raise DataError(f"The value of seed {seed} is not a finite number; leave that seed out.")
    return values[0], values[1]


def _constant(ours: Mapping[int, float], base: Mapping[int, float]) -> bool:
    """Whether the differences are all the same but for the rounding of the subtraction.

    0.52 - 0.50 and 0.53 - 0.51 differ in their last bit, which is no spread.
    """
    first, second = _shared(ours, base)
    rounding = 4 * np.finfo(np.float64).eps * np.abs([first, second]).max()
    return bool(np.ptp(first - second) <= rounding)
