"""How well each class's scores put its own samples before all others, whatever the threshold."""

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError
from longtail.metrics.checks import Floats, as_rows
from longtail.metrics.confusion import class_ids


def class_auroc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Floats:
    """Area under the ROC curve of each class against the rest, by ranks.

    The chance that a sample of the class has a higher score for it than a sample of another class,
    equal scores counted half (Mann and Whitney's U over its largest value). It asks only whether
    the scores are in order, so a rare class that is never predicted can still have a high one.

    Source: Hanley and McNeil, "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", Radiology 143 (1982).

    Args:
        scores: [n, c], higher for more likely. Pass probabilities: logits of two samples share no
            zero and cannot be compared.
        labels: [n] true class ids in [0, c).

    Returns:
        Float64 [c] in [0, 1]; NaN where the class or its rest has no sample.

    Raises:
        DataError: scores or labels that are none or do not fit.

    >>> class_auroc([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]], [0, 0, 1]).tolist()
    [0.75, 0.75]
    """
    rows = as_rows(scores, "scores")
    ids = class_ids(labels, rows.shape[1], "labels")
    if len(ids) != len(rows):
        raise DataError(f"{len(rows)} rows of scores but {len(ids)} labels: pass one each.")
    return np.array([_auroc(column, ids == c) for c, column in enumerate(rows.T)])


def _auroc(scores: Floats, is_positive: npt.NDArray[np.bool_]) -> float:
    positives = scores[is_positive]
    pairs = len(positives) * (len(scores) - len(positives))
    if pairs == 0:
        return np.nan
    # Only the positives' ranks are needed: a sort and two searches are several times as fast as
    # ranking every sample. Twice the mean rank of equals is whole, so that no sum is rounded.
    ordered = np.sort(scores)
    twice_ranks = (
        np.searchsorted(ordered, positives, "left")
        + np.searchsorted(ordered, positives, "right")
        + 1
    )
    wins = (int(twice_ranks.sum()) - len(positives) * (len(positives) + 1)) / 2
    return wins / pairs
