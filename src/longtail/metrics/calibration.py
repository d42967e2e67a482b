"""Whether a model's confidence is its accuracy."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError, UsageError
from longtail.metrics.checks import Floats, as_probabilities, as_rows
from longtail.metrics.confusion import class_ids
from longtail.prior import GROUPS, Group, groups

BINS = 15
"""As usual: enough to see a curve, few enough for each to hold samples."""
# Far beyond what a network needs that is better than chance.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.02, 50.0


class Reliability(NamedTuple):
    """What a model's confidence was worth, over the bins that hold a picture.

    Attributes:
        confidence: float64 [b], mean of the bin.
        accuracy: float64 [b], share of the bin's pictures that are right.
        number: int64 [b], pictures of the bin.
    """

    confidence: Floats
    accuracy: Floats
    number: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """Mean gap between accuracy and confidence, each picture counted alike, in [0, 1]."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.average(gaps, weights=self.number))


def reliability(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = BINS
) -> Reliability:
    """Confidence and accuracy over bins of equal width.

    Confidence is the largest probability; bin m holds those in ((m - 1) / bins, m / bins].

    Source: Guo et al. 2017, arXiv 1706.04599, section 2.

    Args:
        probabilities: [n, c], rows sum to 1.
        labels: [n] true class ids.
        bins: at least 1.

    Raises:
        DataError: probabilities or labels that are none or do not fit.
        UsageError: fewer than one bin.

    >>> reliability([[0.8, 0.2], [0.8, 0.2]], [0, 1]).accuracy.tolist()
    [0.5]
    """
    return _binned(*_judged(probabilities, labels, bins), bins)


def group_reliability(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, counts: npt.ArrayLike, bins: int = BINS
) -> dict[Group, Reliability]:
    """`reliability` over the pictures whose true class is many, medium or few.

    Confidence cannot know the true class, so a model that is calibrated as a whole may have gaps
    here: too sure on the few, not sure enough on the many.

    Args:
        probabilities: [n, c], rows sum to 1.
        labels: [n] true class ids.
        counts: [c] training samples a class, which decide the group.
        bins: at least 1.

    Returns:
        The groups that have a picture, many first.

    Raises:
        DataError: what is passed is no such thing or does not fit.
        UsageError: fewer than one bin.
    """
    confidence, correct = _judged(probabilities, labels, bins)
    members = groups(counts)
    if sum(map(len, members.values())) != np.shape(probabilities)[1]:
        raise DataError(
            f"Probabilities of {np.shape(probabilities)[1]} classes but {np.size(counts)} class "
            "counts: pass the training counts of the same classes."
        )
    within = {group: np.isin(labels, ids) for group, ids in members.items()}
    return {
        group: _binned(confidence[mask], correct[mask], bins)
        for group, mask in within.items()
        if mask.any()
    }


def expected_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = BINS
) -> float:
    """Mean gap between confidence and accuracy over bins of equal width, in [0, 1].

    sum_m n_m / n * |accuracy of bin m - mean confidence of bin m|, of the bins of `reliability`.

    Source: Guo et al. 2017, arXiv 1706.04599, Eq. 3.

    Args:
        probabilities: [n, c], rows sum to 1.
        labels: [n] true class ids.
        bins: at least 1.

    Raises:
        DataError: probabilities or labels that are none or do not fit.
        UsageError: fewer than one bin.

    >>> round(expected_calibration_error([[0.8, 0.2], [0.8, 0.2]], [0, 1]), 4)
    0.3
    """
    return reliability(probabilities, labels, bins).error


def group_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, counts: npt.ArrayLike, bins: int = BINS
) -> dict[Group, float | None]:
    """`expected_calibration_error` of the pictures whose true class is many, medium or few.

    Args:
        probabilities: [n, c], rows sum to 1.
        labels: [n] true class ids.
        counts: [c] training samples a class, which decide the group.
        bins: at least 1.

    Returns:
        One number a group; None where the group has no picture.

    Raises:
        DataError: what is passed is no such thing or does not fit.
        UsageError: fewer than one bin.
    """
    found = group_reliability(probabilities, labels, counts, bins)
    return {group: found[group].error if group in found else None for group in GROUPS}


def _judged(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Each picture's confidence, and whether it is right."""
    if bins < 1:
        raise UsageError(f"bins is {bins}; it must be at least 1 ({BINS} is usual).")
    shares = as_probabilities(probabilities)
    true = _labels_of(labels, shares)
    return shares.max(axis=1), shares.argmax(axis=1) == true


def _binned(confidence: Floats, correct: npt.NDArray[np.bool_], bins: int) -> Reliability:
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    place = np.searchsorted(edges, confidence, side="left")
    number = np.bincount(place, minlength=bins)
    held = number > 0
    sure = np.bincount(place, confidence, minlength=bins)[held] / number[held]
    right = np.bincount(place, correct, minlength=bins)[held] / number[held]
    return Reliability(sure, right, number[held])


def fit_temperature(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, offset: npt.ArrayLike | None = None
) -> float:
    """The temperature T that makes softmax(logits / T + offset) likeliest, by one search.

    To be fitted on a hold-out, never on the pictures that are then measured. The likelihood has one
    peak in T, which is looked for in [0.02, 50]; a hold-out without a mistake asks for 0 and gets a
    T so low that no likelihood is missing.

    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2.

    Args:
        logits: [n, c], of the hold-out.
        labels: [n] its true class ids.
        offset: [c], log prior of the hold-out less log prior that the logits are under, where they
            differ: else the temperature has to make up for the prior as well. None is 0.

    Raises:
        DataError: logits, labels or an offset that are none or do not fit.
    """
    from scipy.optimize import minimize_scalar

    scores = as_rows(logits, "logits")
    true = _labels_of(labels, scores)
    added = np.zeros(scores.shape[1]) if offset is None else np.asarray(offset, np.float64)
    if added.shape != scores.shape[1:] or not np.isfinite(added).all():
        raise DataError(f"offset must be {scores.shape[1]} finite numbers, one a class.")

    def loss(log_temperature: float) -> float:
        return _negative_log_likelihood(scores / np.exp(log_temperature) + added, true)

    bounds = np.log([LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE])
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _negative_log_likelihood(logits: Floats, labels: npt.NDArray[np.int64]) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - own))


def _labels_of(labels: npt.ArrayLike, rows: Floats) -> npt.NDArray[np.int64]:
    ids = class_ids(labels, rows.shape[1], "labels")
    if len(ids) != len(rows):
        raise DataError(f"{len(ids)} labels but {len(rows)} rows: one of each a picture is needed.")
    return ids
