"""How far each class of a row lies from the baseline's, over their shared seeds."""

from typing import NamedTuple

import numpy as np

from longtail.metrics.paired import paired_difference
from longtail.report.arrays import Floats
from longtail.report.comparison.changes import changes, paired_interval
from longtail.report.comparison.compared import Pair, pairs_of
from longtail.report.rows import Row

_FEWEST_SAMPLES = 10


class ClassDifference(NamedTuple):
    """A row less the baseline in each class; fractions, float64 [c], NaN where there is none.

    Attributes:
        mean: over the pairs of runs.
        low, high: 95 % over seeds, or over test samples where there is one pair.
    """

    mean: Floats
    low: Floats
    high: Floats


def recall(row: Row) -> Floats:
    """Accuracy of each class, the mean over seeds; NaN for one without a test sample."""
    return np.asarray(np.mean([v.per_class for v in row.views.values()], axis=0), np.float64)


def class_difference(row: Row, base: Row) -> ClassDifference:
    """The differences of all classes between two rows on the same data."""
    pairs = pairs_of(row, base)
    each = np.array([pair.view.per_class - pair.base.per_class for pair in pairs])
    low, high = _over_samples(pairs[0]) if len(pairs) == 1 else _over_seeds(each)
    return ClassDifference(each.mean(axis=0), low, high)


def _over_samples(pair: Pair) -> tuple[Floats, Floats]:
    """Of one pair of runs, where their predictions are of the same samples and those are enough."""
    found = changes(*pair)
    if found is None:
        missing = np.full(len(pair.base.class_names), np.nan)
        return missing, missing
    low, high = paired_interval(found.mended, found.broken, found.total)
    enough = found.total >= _FEWEST_SAMPLES
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def _over_seeds(each: Floats) -> tuple[Floats, Floats]:
    """Student's interval of each class over the pairs, from differences [pairs, c]."""
    ends = np.full((2, each.shape[1]), np.nan)
    for c in np.flatnonzero(np.isfinite(each).all(axis=0)):
        found = paired_difference(dict(enumerate(each[:, c])), dict.fromkeys(range(len(each)), 0.0))
        if found.low is not None and found.high is not None:
            ends[:, c] = found.low, found.high
    return ends[0], ends[1]
