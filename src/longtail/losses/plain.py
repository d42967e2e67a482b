"""The contrastive softmax with every score at hand: the reference of the other kernels."""

from collections.abc import Iterator

import torch
from torch import Tensor

from longtail.losses.checks import wide
from longtail.losses.instances import Contrast, scaled, unit_rows


def plain(c: Contrast) -> Tensor:
    """The kernel's sum (see `instances`), from the matrix [n, m] of all m keys."""
    rows = unit_rows(wide(c.features), c.normalize)
    anchors, keys, key_labels = scaled(rows, c.anchor_scale), scaled(rows, c.key_scale), c.labels
    classes = torch.arange(len(c.key_weight), device=c.labels.device)
    if c.prototypes is not None:
        keys = torch.cat([keys, unit_rows(wide(c.prototypes), c.normalize)])
        key_labels = torch.cat([c.labels, classes])

    # A sum over positives is a product with the sum of a class's keys, less the anchor's own.
    membership = (classes[:, None] == key_labels).to(keys.dtype)  # [c, m]
    positive_sum = (membership @ keys)[c.labels] - keys[: len(anchors)]
    attraction = (anchors * positive_sum).sum(1) / c.temperature / c.positives.clamp(min=1)

    scores = anchors @ keys.T / c.temperature + c.key_weight[key_labels]
    if c.own_weight is not None:
        same_class = c.labels[:, None] == key_labels
        scores = torch.where(same_class, scores + c.own_weight[:, None], scores)
    # A finite stand-in for minus infinity: a row without any other key stays differentiable.
    itself = torch.eye(len(anchors), len(keys), dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill(itself, torch.finfo(scores.dtype).min)
    return (c.share * (torch.logsumexp(scores, 1) - attraction)).sum()


def differentiable_gradients(c: Contrast, upstream: Tensor) -> Iterator[Tensor | None]:
    """Gradients in features and prototypes that can be differentiated in their turn.

    For the kernels that take gradients by themselves, whose own would count as constants; None
    where an input needs none.
    """
    inputs = (c.features, c.prototypes)
    needed = [x for x in inputs if x is not None and x.requires_grad]
    with torch.autocast(upstream.device.type, enabled=False):  # the caller's may be on here
        found = iter(torch.autograd.grad(plain(c), needed, upstream, create_graph=True))
    return (next(found) if x is not None and x.requires_grad else None for x in inputs)
