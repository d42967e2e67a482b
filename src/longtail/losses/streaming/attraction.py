"""The mean score of an anchor with its positives among the features, from sums by class."""

import torch
from torch import Tensor

from longtail.losses.instances import Contrast
from longtail.losses.streaming.sides import Gradients, Sides


def positive_weight(c: Contrast) -> Tensor:
    """What one positive of an anchor counts in the mean over anchors, [n]; the same in a class."""
    return c.share / c.positives.clamp(min=1)


def attraction(c: Contrast, sides: Sides, differentiable: bool) -> tuple[Tensor, Gradients | None]:
    """The sum of the scores, each as much as a positive counts, and the gradient of minus it.

    A sum over positives is the sum of the class's keys, less the anchor's own.
    """
    weight = positive_weight(c)
    present, of_class = _present(c.labels, len(c.key_weight))
    class_weight = weight.new_zeros(len(present)).scatter_(0, of_class, weight)
    anchor_sum = _sums(sides.anchors, of_class, len(present))
    key_sum = anchor_sum if sides.alike else _sums(sides.keys, of_class, len(present))

    together = class_weight @ (anchor_sum * key_sum).sum(1)
    value = together - weight @ (sides.anchors * sides.keys).sum(1)
    if not differentiable:
        return value, None

    def away(sums: Tensor, itself: Tensor, times: float) -> Tensor:
        pulled = sums.mul_(-times * class_weight[:, None]).index_select(0, of_class)
        return pulled.addcmul_(itself, times * weight[:, None])

    if sides.alike:
        both = away(key_sum, sides.keys, 2.0)
        return value, Gradients(both, both, None)
    towards_keys = away(key_sum, sides.keys, 1.0)
    return value, Gradients(towards_keys, away(anchor_sum, sides.anchors, 1.0), None)


def _sums(rows: Tensor, of_class: Tensor, classes: int) -> Tensor:
    return rows.new_zeros(classes, rows.shape[1]).index_add_(0, of_class, rows)


def _present(labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Ids of the batch's classes, and each label's place among them.

    All classes on an accelerator, where looking for them would make the host wait.
    """
    if labels.device.type == "cpu":
        present, of_class = torch.unique(labels, return_inverse=True)
        return present, of_class
    return torch.arange(num_classes, device=labels.device), labels
