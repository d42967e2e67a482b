"""What one run gets right that another got wrong, and the other way round, on the same samples."""

import dataclasses
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from longtail.metrics.intervals import check_confidence
from longtail.report.arrays import Floats, Ints
from longtail.report.view import RunView, same_samples


@dataclasses.dataclass(frozen=True)
class Changes:
    """A run B against a run A; int64 [c] each, by true class.

    Attributes:
        total: samples.
        mistakes: those that A gets wrong.
        mended: of them, those that B gets right.
        broken: those that A gets right and B wrong.
    """

    total: Ints
    mistakes: Ints
    mended: Ints
    broken: Ints

    def of(self, classes: Sequence[int] | Ints) -> tuple[int, int, int, int]:
        """Total, mistakes, mended and broken of some classes together."""
        ids = np.asarray(classes, np.int64)
        parts = (self.total, self.mistakes, self.mended, self.broken)
        total, mistakes, mended, broken = (int(part[ids].sum()) for part in parts)
        return total, mistakes, mended, broken


def changes(view: RunView, base: RunView) -> Changes | None:
    """`view` as B against `base` as A; None where they were not seen on the same samples."""
    if not same_samples(view, base):
        return None
    assert view.predictions is not None
    assert base.predictions is not None
    labels = base.predictions.labels
    before = base.predictions.predicted == labels
    after = view.predictions.predicted == labels

    def count(chosen: npt.NDArray[np.bool_]) -> Ints:
        return np.bincount(labels[chosen], minlength=len(base.class_names)).astype(np.int64)

    everything = np.ones(len(labels), np.bool_)
    return Changes(
        count(everything), count(~before), count(~before & after), count(before & ~after)
    )


def paired_interval(
    mended: npt.ArrayLike, broken: npt.ArrayLike, total: npt.ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Interval of the difference of two accuracies on the same samples, (mended - broken) / total.

    Wald's interval after one more sample of each kind that changed; unlike Wald's own it is no
    point where nothing changed, and holds what it promises from about ten samples on.

    D. Bonett and R. Price, "Adjusted Wald Confidence Interval for a Difference of Binomial
    Proportions Based on Paired Data", Journal of Educational and Behavioral Statistics 37 (2012).

    Args:
        mended: whole numbers of any shape, the samples that only the second model has right.
        broken: those that only the first has right.
        total: all samples, at least mended + broken.
        confidence: coverage, in (0, 1).

    Returns:
        (low, high), float64 of the broadcast shape, in [-1, 1].
    """
    check_confidence(confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    n = np.asarray(total, np.float64) + 2
    gained = (np.asarray(mended, np.float64) + 1) / n
    lost = (np.asarray(broken, np.float64) + 1) / n
    difference = gained - lost
    half = z * np.sqrt((gained + lost - difference**2) / n)
    return np.maximum(difference - half, -1.0), np.minimum(difference + half, 1.0)
