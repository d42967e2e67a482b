"""All numbers of one split at once, as the run record keeps them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from longtail.metrics.confusion import (
    Confusion,
    absent_classes,
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    group_accuracy,
    harmonic_mean_accuracy,
    per_class_accuracy,
    zero_classes,
)
from longtail.prior import as_counts
from longtail.record import SplitMetrics

# A new metric is one function of the confusion matrix, one line here and one field of the record's
# `SplitMetrics`.
METRICS: dict[str, Callable[[Confusion], Any]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "harmonic_mean_accuracy": harmonic_mean_accuracy,
    "zero_classes": zero_classes,
    "absent_classes": absent_classes,
}


def summarise(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, counts: npt.ArrayLike
) -> SplitMetrics:
    """Every metric of one split.

    Args:
        labels: [n] true class ids.
        predictions: [n] predicted class ids.
        counts: [c] training samples a class in the data trained on; they decide the groups only.

    Raises:
        DataError: no sample, ids outside [0, c), or counts that are none.
    """
    confusion = confusion_matrix(labels, predictions, len(as_counts(counts)))
    return summarise_confusion(confusion, counts)


def summarise_confusion(confusion: Confusion, counts: npt.ArrayLike) -> SplitMetrics:
    """Every metric of a confusion matrix, int64 [c, c]; else as `summarise`."""
    per_class = per_class_accuracy(confusion)
    group = group_accuracy(per_class, counts)
    return SplitMetrics(
        **{name: metric(confusion) for name, metric in METRICS.items()},
        many=group["many"],
        medium=group["medium"],
        few=group["few"],
        per_class=tuple(None if np.isnan(share) else float(share) for share in per_class),
    )
