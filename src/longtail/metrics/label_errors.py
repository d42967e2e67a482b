"""Which labels are likely wrong, by what a model that did not train on them says."""

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError
from longtail.metrics.checks import Floats, as_probabilities
from longtail.metrics.confusion import class_ids

Ints = npt.NDArray[np.int64]


def likely_label_errors(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> Ints:
    """Samples whose label is likely wrong by confident learning, most suspicious first.

    A sample is listed when it is predicted another class than its label, with at least the
    probability that samples labelled as that class have for it on average: it looks like that
    class as much as the class itself does. Listed samples are ordered by the probability of the
    prediction less that of the label. The paper also counts samples that pass the threshold of a
    class that is not their most probable one; those are left out here.

    The list is one of candidates. A model trained on a long tail takes rare samples for frequent
    ones and is sure of it, so that samples of the tail with right labels crowd a list made by one
    threshold for all. Here a frequent class, which is confident about its own samples, demands as
    much of others, and a rare class demands little; that mends a bias that shifts all samples of a
    class alike. It does not mend a rare sample that the model holds for a frequent one as surely
    as for any: on the tail, a listed sample is more often the model's error than the label's.

    Source: Northcutt, Jiang and Chuang 2021, arXiv 1911.00068: the off-diagonal of the confident
    joint, with its thresholds, ranked by normalised margin.

    Args:
        probabilities: [n, c], rows sum to 1, of a model that was not trained on these samples.
        labels: [n] given class ids in [0, c), some of them perhaps wrong.

    Returns:
        Int64 [k] positions in [0, n), k from 0 to n; of equal margins the earlier first.

    Raises:
        DataError: probabilities or labels that are none or do not fit.

    >>> likely_label_errors([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.95, 0.05]], [0, 0, 1, 1])
    array([3])
    """
    rows = as_probabilities(probabilities)
    given = class_ids(labels, rows.shape[1], "labels")
    if len(given) != len(rows):
        raise DataError(f"{len(rows)} rows of probabilities but {len(given)} labels: one each.")
    predicted = rows.argmax(axis=1)
    confidence = rows.max(axis=1)
    self_confidence = rows[np.arange(len(rows)), given]
    thresholds = _class_means(self_confidence, given, rows.shape[1])
    suspects = np.flatnonzero((predicted != given) & (confidence >= thresholds[predicted]))
    margins = (confidence - self_confidence)[suspects]
    return suspects[np.argsort(-margins, kind="stable")]


def _class_means(values: Floats, labels: Ints, num_classes: int) -> Floats:
    """Mean value of each class's samples, float64 [c]; infinite, never reached, without one."""
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, values, minlength=num_classes)
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.inf), np.float64)
