"""Which classes each expert of an ensemble answers for, and how their logits become one answer.

Letters: b batch, k experts, c classes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.errors import DataError, UsageError
from longtail.prior import GROUPS, as_counts, groups


def ace_splits(class_counts: npt.ArrayLike, experts: int = 3) -> tuple[tuple[int, ...], ...]:
    """The classes of each ACE expert: all of them, then ever shorter tails of the ranking.

    Classes are ranked by falling count, ties by class id. Three experts on data that have many,
    medium and few classes own all classes, medium and few, and few. Otherwise the ranking is cut
    into equal parts (as equal as whole classes allow) and expert number i, from 0, owns all but
    the first i parts.

    Args:
        class_counts: [c] training pictures a class.
        experts: k, at least 1.

    Returns:
        k tuples of class ids, each in the order of the ranking and the tail of the one before.

    Raises:
        DataError: fewer classes than experts.

    Source:
        Cai, Wang, Hwang 2021 (arXiv 2108.02385), the three splits. Equal parts are our rule for
        what the three groups do not cover.

    >>> ace_splits([500, 7, 60, 9])
    ((0, 2, 3, 1), (2, 3, 1), (3, 1))
    >>> ace_splits([10, 40, 20, 30], experts=2)
    ((1, 3, 2, 0), (2, 0))
    """
    counts = as_counts(class_counts)
    if len(counts) < experts:
        raise DataError(
            f"{len(counts)} classes cannot be split over {experts} experts; "
            f"use at most {len(counts)}."
        )
    ranking = np.argsort(-counts, kind="stable").tolist()
    sizes = [len(members) for members in groups(counts).values()]
    if experts == len(GROUPS) and all(sizes):
        starts = [0, sizes[0], sizes[0] + sizes[1]]
    else:
        starts = [number * len(counts) // experts for number in range(experts)]
    return tuple(tuple(ranking[start:]) for start in starts)


def ownership(owned: Sequence[Sequence[int]], num_classes: int) -> Tensor:
    """Bool [k, c]: whether an expert answers for a class.

    Raises:
        UsageError: an id that is no class, an expert without a class, or a class without an expert.
    """
    for number, classes in enumerate(owned):
        if not classes or not all(0 <= label < num_classes for label in classes):
            raise UsageError(
                f"Expert {number} owns {list(classes)}; it must own at least one class, with ids "
                f"from 0 to {num_classes - 1}."
            )
    mask = torch.zeros(len(owned), num_classes, dtype=torch.bool)
    for row, classes in zip(mask, owned, strict=True):
        row[list(classes)] = True
    orphans = (~mask.any(0)).nonzero().flatten().tolist()
    if orphans:
        raise UsageError(f"No expert owns the classes {orphans}; let the first expert own all.")
    return mask


def combine_owned(expert_logits: Tensor, norms: Tensor, owned: Tensor) -> Tensor:
    """ACE's answer: for each class, the mean logit of the experts that own it, on one scale.

    An expert that saw few classes and few pictures has smaller weights and so smaller logits. The
    size of an expert is the mean of its weight norms over the classes it owns; all its logits are
    multiplied by one factor, (mean size of the experts) / (its own size), as tau-normalisation
    does class by class. One factor an expert rather than one a class keeps the order in which
    each expert ranks its own classes, which is what it was trained for; the norms of classes it
    does not own are left out, because training pushes their logits to zero. The common size only
    fixes the unit. An expert whose weights are all zero has nothing to scale and keeps its logits.

    The paper says that re-scaled logits are averaged within each split and no code of it is public,
    so this is one reading of it (Cai, Wang, Hwang 2021, arXiv 2108.02385).

    Args:
        expert_logits: [b, k, c].
        norms: [k, c], 0 or more: norm of each expert's weight vector of each class.
        owned: bool [k, c]; every expert owns a class and every class has an owner.

    Returns:
        [b, c]. With equal norms and every expert owning every class it is the plain mean.
    """
    share = owned.to(norms.dtype)
    sizes = (norms * share).sum(1) / share.sum(1)
    factors = torch.where(sizes > 0, sizes.mean() / sizes, 1)
    weights = share / share.sum(0) * factors[:, None]
    return (expert_logits * weights).sum(1)
