"""Which classes each expert of an ensemble answers for, and how their logits become one answer.

Letters: b batch, k experts, c classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from longtail.errors import UsageError


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
