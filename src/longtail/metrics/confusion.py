"""The confusion matrix and every single number that is read off it.

A class without a test picture has no accuracy: it is NaN in `per_class_accuracy`, left out of the
means, and counted by `absent_classes`, so that leaving it out is never silent.
"""

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError
from longtail.prior import Group, groups

Confusion = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def confusion_matrix(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, num_classes: int
) -> Confusion:
    """How often each class was taken for each class.

    Args:
        labels: [n] true class ids in [0, num_classes).
        predictions: [n] predicted class ids in [0, num_classes).
        num_classes: number of classes, with or without a sample.

    Returns:
        int64 [num_classes, num_classes]; row = true class, column = predicted class.

    Raises:
        DataError: not two rows of class ids of one length.
    """
    true = class_ids(labels, num_classes, "labels")
    predicted = class_ids(predictions, num_classes, "predictions")
    if len(true) != len(predicted):
        raise DataError(
            f"{len(true)} labels but {len(predicted)} predictions: one of each a sample is needed."
        )
    cells = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64, copy=False)


def per_class_accuracy(confusion: Confusion) -> Floats:
    """Share of each class's samples that were recognised, float64 [c]; NaN for an absent class.

    >>> per_class_accuracy(np.array([[3, 1, 0], [1, 1, 0], [0, 0, 0]])).tolist()
    [0.75, 0.5, nan]
    """
    return _shares(np.diagonal(confusion), confusion.sum(axis=1))


def precision(confusion: Confusion) -> Floats:
    """Share of the samples taken for each class that are of it; NaN for a class never predicted.

    Float64 [c], fractions in [0, 1]. Unlike the class accuracy it depends on how many samples of
    the other classes the split has: on a balanced split it is not that of the training data.

    >>> precision(np.array([[3, 1, 0], [1, 1, 0], [0, 0, 0]])).tolist()
    [0.75, 0.5, nan]
    """
    return _shares(np.diagonal(confusion), confusion.sum(axis=0))


def accuracy(confusion: Confusion) -> float:
    """Share of all samples that were recognised, in [0, 1].

    Raises:
        DataError: the matrix holds no sample.
    """
    _present_accuracy(confusion)
    return float(np.trace(confusion) / confusion.sum())


def balanced_accuracy(confusion: Confusion) -> float:
    """Arithmetic mean of the class accuracies, in [0, 1], over the classes with a sample.

    Raises:
        DataError: the matrix holds no sample.
    """
    return float(_present_accuracy(confusion).mean())


def harmonic_mean_accuracy(confusion: Confusion) -> float:
    """Harmonic mean of the class accuracies, C / sum_c(1 / a_c), over the classes with a sample.

    In [0, balanced accuracy]; 0 as soon as one class is never recognised (see `zero_classes`).
    De Alvis et al. (arXiv 2312.01753), Table 1.

    Raises:
        DataError: the matrix holds no sample.
    """
    present = _present_accuracy(confusion)
    if np.any(present == 0):
        return 0.0
    return float(len(present) / np.sum(1.0 / present))


def zero_classes(confusion: Confusion) -> int:
    """Number of classes that have samples of which none was recognised."""
    return int(np.sum(per_class_accuracy(confusion) == 0))


def absent_classes(confusion: Confusion) -> int:
    """Number of classes without a sample, which no mean includes."""
    return int(np.sum(confusion.sum(axis=1) == 0))


def group_accuracy(per_class: Floats, counts: npt.ArrayLike) -> dict[Group, float | None]:
    """Mean class accuracy of the many, medium and few classes.

    Args:
        per_class: float64 [c] from `per_class_accuracy`; NaN marks an absent class.
        counts: [c] training samples a class, which decide the group.

    Returns:
        One fraction a group; None where the group has no class with a sample.

    Raises:
        DataError: `per_class` and `counts` differ in length, or `counts` are no counts.
    """
    members = groups(counts)
    if len(per_class) != sum(map(len, members.values())):
        raise DataError(
            f"{len(per_class)} class accuracies but {np.size(counts)} class counts: pass the "
            "training counts of the same classes."
        )
    return {group: _mean_of_present(per_class[ids]) for group, ids in members.items()}


def _shares(hits: Confusion, totals: Confusion) -> Floats:
    # 0 / 0 is the intended NaN; the floor only spares numpy's warning about it.
    return np.asarray(np.where(totals > 0, hits / np.maximum(totals, 1), np.nan), np.float64)


def _mean_of_present(per_class: Floats) -> float | None:
    present = per_class[~np.isnan(per_class)]
    return float(present.mean()) if present.size else None


def _present_accuracy(confusion: Confusion) -> Floats:
    """Accuracies of the classes that have a sample, of which there must be one."""
    per_class = per_class_accuracy(confusion)
    present = per_class[~np.isnan(per_class)]
    if present.size == 0:
        raise DataError("There is no labelled sample to measure accuracy on; check the split.")
    return present


def class_ids(values: npt.ArrayLike, num_classes: int, what: str) -> npt.NDArray[np.int64]:
    """Ids in [0, num_classes), int64 [n]; DataError for anything else."""
    ids = np.asarray(values)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise DataError(
            f"{what} have shape {ids.shape} and type {ids.dtype}; expected one row of class ids."
        )
    outside = np.flatnonzero((ids < 0) | (ids >= num_classes))
    if outside.size:
        first = outside[0]
        raise DataError(
            f"{outside.size} {what} are outside 0..{num_classes - 1}, "
            f"the first {ids[first]} at position {first}; class ids count from 0."
        )
    return ids.astype(np.int64)
