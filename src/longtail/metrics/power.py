"""How many seeds it takes to tell two methods apart: the power of the paired t test."""

import bisect
import math

import numpy as np

from longtail.errors import DataError, UsageError
from longtail.metrics.intervals import check_confidence


def smallest_difference(
    std: float, n: int, *, power: float = 0.8, confidence: float = 0.95
) -> float:
    """Smallest true mean difference that the paired t test finds with n seeds, `power` of the time.

    Exact for normal differences (noncentral t); the normal approximation promises much too much
    for few seeds. `std` is taken as known, though it is itself estimated from few seeds.

    Args:
        std: standard deviation of the differences, at least 0, in their unit.
        n: seeds, at least 2.
        power: chance that the test finds it, in (1 - confidence, 1).
        confidence: 1 - level of the test, in (0, 1).

    Returns:
        A difference in the unit of `std`, at least 0.

    Raises:
        DataError: `std` is negative or not finite.
        UsageError: n below 2, or power or confidence outside their ranges.

    >>> round(smallest_difference(0.01, n=3), 4), round(smallest_difference(0.01, n=10), 4)
    (0.0326, 0.01)
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2, ncf, norm, t

    _check_design(std, n, power, confidence)
    freedom = float(n - 1)
    critical = t.isf((1 - confidence) / 2, freedom)

    def too_many_misses(shift: float) -> float:
        # The squared t statistic is F's, whose distribution scipy computes far out in the tails,
        # where that of the noncentral t itself becomes NaN.
        return float(ncf.cdf(critical**2, 1, freedom, shift**2) - (1 - power))

    # A shift that surely suffices: half of the allowed misses go to a standard deviation that
    # comes out large, half to a mean that comes out small.
    half = (1 - power) / 2
    ceiling = critical * np.sqrt(chi2.isf(half, freedom) / freedom) + norm.isf(half)
    return float(std / math.sqrt(n) * brentq(too_many_misses, 0.0, ceiling))


def seeds_needed(
    std: float, difference: float, *, power: float = 0.8, confidence: float = 0.95
) -> int:
    """The fewest seeds with which the paired t test finds a true mean difference.

    Args:
        std: standard deviation of the differences, at least 0; taken as known, as in
            `smallest_difference`.
        difference: the true mean difference, above 0, in the unit of `std`.
        power: chance that the test finds it, in (1 - confidence, 1).
        confidence: 1 - level of the test, in (0, 1).

    Returns:
        Seeds, at least 2.

    Raises:
        DataError: `std` is negative or not finite, or `difference` is not above 0.
        UsageError: power or confidence outside their ranges.

    >>> seeds_needed(0.01, 0.01), seeds_needed(0.01, 0.005)
    (10, 34)
    """
    if not difference > 0:
        raise DataError(f"The difference is {difference}; a test can only find one above 0.")

    def enough(n: int) -> bool:
        return smallest_difference(std, n, power=power, confidence=confidence) <= difference

    ceiling = 2
    while not enough(ceiling):
        ceiling *= 2
    return bisect.bisect_left(range(ceiling), True, lo=max(2, ceiling // 2), key=enough)


def _check_design(std: float, n: int, power: float, confidence: float) -> None:
    check_confidence(confidence)
    if not 0 <= std < np.inf:
        raise DataError(f"The standard deviation is {std}; it must be a finite number, at least 0.")
    if n < 2:
        raise UsageError(f"n is {n}; a difference has a spread, and so a test, from 2 seeds on.")
    if not 1 - confidence < power < 1:
        raise UsageError(
            f"power is {power}; it must lie between {1 - confidence:.3g}, which the test reaches "
            "without any difference, and 1."
        )
