"""How far accuracies measured on few samples, and their difference, can be trusted."""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError, UsageError

Floats = npt.NDArray[np.float64]


def check_confidence(confidence: float) -> None:
    """Refuse a coverage that is no share.

    Raises:
        UsageError: `confidence` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence is {confidence}; it must lie between 0 and 1, e.g. 0.95.")


def wilson_interval(
    correct: npt.ArrayLike, total: npt.ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Score interval of a proportion; unlike Wald's it is honest at 0, at 1 and for small n.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927), without continuity correction.

    Args:
        correct: whole numbers of any shape, at most `total`.
        total: whole numbers of a shape that broadcasts with it; 0 gives (0, 1): nothing is known.
        confidence: coverage in (0, 1).

    Returns:
        (low, high), float64 of the broadcast shape, in [0, 1].

    Raises:
        DataError: a count is negative, or more were correct than there were.
        UsageError: `confidence` is not between 0 and 1.

    >>> low, high = wilson_interval([8], [10])
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.4902], [0.9433])
    """
    check_confidence(confidence)
    k, n = np.broadcast_arrays(np.asarray(correct, np.float64), np.asarray(total, np.float64))
    if np.any((k < 0) | (k > n)):
        raise DataError("correct must lie between 0 and total; are the two arguments swapped?")
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    # Wilson's bounds with numerator and denominator multiplied by n, so that n = 0 is no division
    # by zero; it gives (0, 1) by itself.
    centre = k + z2 / 2
    half = np.sqrt(z2 * (k * (n - k) / np.maximum(n, 1) + z2 / 4))
    low = np.asarray((centre - half) / (n + z2))
    # Where all were correct the bound is exactly 1, which rounding would miss.
    high = np.where(k == n, 1.0, (centre + half) / (n + z2))
    return low, high


def paired_interval(
    gained: npt.ArrayLike, lost: npt.ArrayLike, total: npt.ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Interval of the difference of two accuracies on the same samples, (gained - lost) / total.

    Wald's interval after one more sample of each kind that changed; unlike Wald's own it is no
    point where nothing changed, and holds what it promises from about ten samples on.

    D. Bonett and R. Price, "Adjusted Wald Confidence Interval for a Difference of Binomial
    Proportions Based on Paired Data", Journal of Educational and Behavioral Statistics 37 (2012).

    Args:
        gained: whole numbers of any shape, the samples that only the second model has right.
        lost: those that only the first has right.
        total: all samples, at least gained + lost.
        confidence: coverage, in (0, 1).

    Returns:
        (low, high), float64 of the broadcast shape, in [-1, 1].

    Raises:
        DataError: a count is negative, or more samples changed than there were.
        UsageError: `confidence` is not between 0 and 1.

    >>> low, high = paired_interval([3], [1], [20])
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([-0.124], [0.3058])
    """
    check_confidence(confidence)
    won, given = np.asarray(gained, np.float64), np.asarray(lost, np.float64)
    n = np.asarray(total, np.float64)
    if np.any((won < 0) | (given < 0) | (won + given > n)):
        raise DataError("gained and lost must be at least 0, and together at most total.")
    first, second = (won + 1) / (n + 2), (given + 1) / (n + 2)
    difference = first - second
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    half = z * np.sqrt((first + second - difference**2) / (n + 2))
    return np.maximum(difference - half, -1.0), np.minimum(difference + half, 1.0)
