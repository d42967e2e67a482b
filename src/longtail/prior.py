"""Class counts and what follows from them: priors, imbalance, the many/medium/few groups.

Needs numpy only. `counts` is always an integer array [c]: the number of training pictures of each
class in the data actually trained on (after the long-tail cut and after the hold-out), indexed by
class id. No order of the classes is assumed anywhere.
"""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError, UsageError

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
    floored = _at_least_one(counts)
    return np.asarray(np.log(floored) - np.log(floored.sum()), np.float64)


def effective_number_weights(counts: npt.ArrayLike, beta: float) -> Floats:
    """Class-balanced weights (1 - beta) / (1 - beta**n), scaled to a mean of 1; float64 [c].

    (1 - beta**n) / (1 - beta) is the effective number of pictures of a class, given how much new
    ones repeat old ones: near n while n is far below 1 / (1 - beta), and never above that. A beta
    of 0 weighs all classes alike, one near 1 weighs them by 1/n. A class without a training
    picture is treated as if it had one.

    Source: Cui et al. 2019, arXiv 1901.05555.

    Raises:
        DataError: counts that are no counts.
        UsageError: a beta outside [0, 1).

    >>> effective_number_weights([3, 1], beta=0.5).round(4).tolist()  # 1/1.75 to 1/1
    [0.7273, 1.2727]
    """
    weights = -1 / np.expm1(_at_least_one(counts) * log_beta(beta))
    return np.asarray(weights / weights.mean(), np.float64)


def ldam_margins(counts: npt.ArrayLike, max_margin: float = 0.5) -> Floats:
    """Margins in proportion to n**(-1/4), the rarest class's at `max_margin`; float64 [c].

    A class without a training picture is treated as if it had one.

    Source: Cao et al. 2019, arXiv 1906.07413.

    Raises:
        DataError: counts that are no counts.

    >>> ldam_margins([16, 1, 81]).round(4).tolist()
    [0.25, 0.5, 0.1667]
    """
    floored = _at_least_one(counts)
    return np.asarray(max_margin * (floored.min() / floored) ** 0.25, np.float64)


def log_beta(beta: float) -> float:
    """Logarithm of the beta of `effective_number_weights`; minus infinity at 0.

    Raises:
        UsageError: a beta outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise UsageError(f"beta is {beta}; it must be at least 0 and below 1 (0.9999 is usual).")
    return math.log(beta) if beta > 0 else -math.inf


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


def _at_least_one(counts: npt.ArrayLike) -> Floats:
    return np.maximum(as_counts(counts), 1).astype(np.float64)
