"""How a value changes from the rarest class to the most frequent, without each class's noise."""

from typing import NamedTuple

import numpy as np

from longtail.report.arrays import Floats, Ints
from longtail.report.figures.scales import placed

_FEWEST = 6


class Trend(NamedTuple):
    """A running mean over the classes in the order of their training counts, float64 [k] each.

    Attributes:
        counts: geometric mean of the window's training counts, rising.
        values: mean of the window's values.
        window: classes in a whole window; at both ends there are fewer, down to half as many.
    """

    counts: Floats
    values: Floats
    window: int


def trend(counts: Ints, values: Floats) -> Trend | None:
    """The running mean over a tenth of the classes, at least three.

    Args:
        counts: int64 [c], training samples a class.
        values: float64 [c]; a class with NaN is left out.

    Returns:
        None for fewer than six classes with a value, or where all have the same count.
    """
    known = np.flatnonzero(~np.isnan(values))
    if len(known) < _FEWEST or np.ptp(counts[known]) == 0:
        return None
    rising = known[np.argsort(counts[known], kind="stable")]
    window = max(3, len(known) // 10 | 1)
    along = np.exp(running_mean(np.log(placed(counts[rising])), window))
    return Trend(along, running_mean(values[rising], window), window)


def running_mean(values: Floats, window: int) -> Floats:
    """Mean over each value and its window // 2 neighbours on either side, as far as there are any.

    >>> running_mean(np.array([0.0, 3.0, 6.0, 3.0]), 3).tolist()
    [1.5, 3.0, 4.0, 4.5]
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low = np.maximum(places - window // 2, 0)
    high = np.minimum(places + window // 2 + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low), np.float64)
