"""Class counts and what follows from them: priors, imbalance, the many/medium/few groups.

Needs numpy only. `counts` is always an integer array [c]: the number of training pictures of each
class in the data actually trained on (after the long-tail cut and after the hold-out), indexed by
class id. No order of the classes is assumed anywhere.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Group = Literal["many", "medium", "few"]

GROUPS: tuple[Group, ...] = ("many", "medium", "few")
# Liu et al. 2019 (ImageNet-LT): more than 100 training pictures, 20 to 100, fewer than 20.
MANY_ABOVE = 100
FEW_BELOW = 20


def as_counts(counts: npt.ArrayLike) -> Counts:
    """Check class counts and return them as int64 [c].

    Raises:
        DataError: not one row of whole, non-negative numbers with at least one positive.
    """
    array = np.asarray(counts)
    if array.ndim != 1 or array.size == 0:
        raise DataError(
            f"class_counts has shape {array.shape}; it must be one row with one training count a "
            "class, e.g. numpy.bincount(labels, minlength=num_classes)."
        )
    whole = np.asarray(array, np.float64)
    if not np.all(np.isfinite(whole)) or np.any(whole != np.floor(whole)) or np.any(whole < 0):
        raise DataError("class_counts must be whole numbers of at least 0; pass counts, not rates.")
    if not np.any(whole > 0):
        raise DataError("class_counts are all 0: there is no training picture to learn from.")
    return whole.astype(np.int64)


def log_prior(counts: npt.ArrayLike) -> Floats:
    """Logarithm of the class frequencies, float64 [c].

    A class without a training picture is treated as if it had one: log 0 would make every loss
    infinite as soon as the class appears as a label.

    >>> log_prior([3, 1]).round(4).tolist()
    [-0.2877, -1.3863]
    """
    floored = np.maximum(as_counts(counts), 1).astype(np.float64)
    return np.asarray(np.log(floored) - np.log(floored.sum()), np.float64)


def imbalance_ratio(counts: npt.ArrayLike) -> float:
    """Largest class over the smallest class that has a picture at all; at least 1.

    >>> imbalance_ratio([50, 10, 5])
    10.0
    """
    present = as_counts(counts)
    present = present[present > 0]
    return float(present.max() / present.min())


def group_of(count: int) -> Group:
    """Many (> 100 training pictures), medium (20 to 100) or few (< 20).

    >>> [group_of(n) for n in (101, 100, 20, 19)]
    ['many', 'medium', 'medium', 'few']
    """
    if count > MANY_ABOVE:
        return "many"
    return "few" if count < FEW_BELOW else "medium"


def groups(counts: npt.ArrayLike) -> dict[Group, list[int]]:
    """Class ids of each group, in class order; a group may be empty.

    >>> groups([500, 60, 7, 101])
    {'many': [0, 3], 'medium': [1], 'few': [2]}
    """
    members: dict[Group, list[int]] = {name: [] for name in GROUPS}
    for label, count in enumerate(as_counts(counts)):
        members[group_of(int(count))].append(label)
    return members
