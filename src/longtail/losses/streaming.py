"""The contrastive softmax in memory linear in rows and keys: no score outlives its block.

The gradient is taken along with the value, since the shares of the anchors in the mean are known
beforehand. Where features are scaled alike as anchors and as keys, a product of two serves both
directions, which halves their number. These products are needed for the normaliser and again for
its gradient; as many as fit into a fixed budget are kept in between, the others are taken again.
Products with prototypes are needed once: the rest of the normaliser is complete by then.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from longtail.losses.checks import wide
from longtail.losses.instances import EPSILON, Contrast
from longtail.losses.plain import differentiable_gradients

BLOCK_ROWS = 512
BLOCK_SCORES = 1 << 21
"""Scores of prototypes held at a time: 8 MB in float32."""
KEPT_PRODUCTS = 1 << 22
"""Products of features kept for the gradient: 16 MB in float32."""
BLOCK_COLUMNS = 1024
"""Of products with prototypes; a CPU's cache holds so many rows of them."""
ON_ACCELERATOR = 16
"""How many times larger a block of scores is there, where small products leave it idle."""


def streamed(c: Contrast) -> Tensor:
    """The kernel's sum (see `instances`), block by block."""
    prototypes = None if c.prototypes is None else wide(c.prototypes)
    value: Tensor = _Streamed.apply(wide(c.features), prototypes, c, torch.is_grad_enabled())
    return value


class _Streamed(torch.autograd.Function):
    """Keeps the gradients, which are as large as the inputs, instead of the scores."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, prototypes: Tensor | None, c: Contrast, differentiable: bool
    ) -> Tensor:
        ctx.contrast = c
        ctx.save_for_backward(features, prototypes)
        c = c._replace(features=features, prototypes=prototypes)
        ctx.wanted = differentiable, ctx.needs_input_grad[1]
        value, *ctx.gradients = value_and_gradients(c, *ctx.wanted)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        features, prototypes = ctx.saved_tensors
        c = ctx.contrast._replace(features=features, prototypes=prototypes)
        if torch.is_grad_enabled():
            return *differentiable_gradients(c, upstream), None, None
        # Handed out without a copy; where the graph is kept for more, they are taken again.
        gradients = ctx.gradients or value_and_gradients(c, *ctx.wanted)[1:]
        ctx.gradients = None
        return *(None if g is None else g.mul_(upstream) for g in gradients), None, None


class _Sides(NamedTuple):
    """Anchors and keys such that their products are scores but for the weights.

    Attributes:
        anchors: [n, d], normalised and scaled features over the root of the temperature.
        keys: [n, d], the same tensor where both are scaled alike.
        anchor_size: [n], what features were multiplied by to be anchors.
        key_size: [n], and to be keys.
        prototype_size: [c], what a raw prototype's products are multiplied by; None without any.
    """

    anchors: Tensor
    keys: Tensor
    anchor_size: Tensor
    key_size: Tensor
    prototype_size: Tensor | None

    @property
    def alike(self) -> bool:
        return self.keys is self.anchors


class _Gradients(NamedTuple):
    """Sums being collected, each of the shape of what it is the gradient of."""

    anchors: Tensor
    keys: Tensor
    prototypes: Tensor | None


Kept = dict[tuple[int, int], Tensor]
"""Products of features, by the first rows of their blocks."""


def value_and_gradients(
    c: Contrast, differentiable: bool, prototypes_too: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The sum and its gradients in features and prototypes; None where none is asked for."""
    sides = _sides(c)
    gradients = _zeros(c, sides, prototypes_too) if differentiable else None
    kept: Kept = {}
    normaliser = _over_features(c, sides, kept)
    if c.prototypes is not None:
        normaliser = _over_prototypes(c, sides, normaliser, gradients)
    # An anchor without any key has a share of 0, and 0 * -inf is no number.
    normaliser = normaliser.clamp(min=torch.finfo(normaliser.dtype).min)
    if gradients is not None:
        _features_gradient(c, sides, normaliser, kept, gradients)
    value = (c.share * normaliser).sum() - _attraction(c, sides, gradients)
    if gradients is None:
        return value, None, None
    d_features = gradients.anchors.mul_(sides.anchor_size[:, None])
    if not sides.alike:
        d_features.addcmul_(gradients.keys, sides.key_size[:, None])
    if c.normalize:
        _across_the_rows(d_features, c.features)
        if gradients.prototypes is not None and c.prototypes is not None:
            _across_the_rows(gradients.prototypes, c.prototypes)
    return value, d_features, gradients.prototypes


def _sides(c: Contrast) -> _Sides:
    cold = c.temperature**-0.5
    size = cold * _inverse_length(c.features, c.normalize)
    anchor_size = size if c.anchor_scale is None else size * c.anchor_scale
    key_size = anchor_size
    anchors = keys = c.features * anchor_size[:, None]
    if c.key_scale is not c.anchor_scale:
        key_size = size if c.key_scale is None else size * c.key_scale
        keys = c.features * key_size[:, None]
    prototype_size = None
    if c.prototypes is not None:
        prototype_size = cold * _inverse_length(c.prototypes, c.normalize)
    return _Sides(anchors, keys, anchor_size, key_size, prototype_size)


def _zeros(c: Contrast, sides: _Sides, prototypes_too: bool) -> _Gradients:
    anchors = torch.zeros_like(sides.anchors)
    keys = anchors if sides.alike else torch.zeros_like(sides.keys)
    if c.prototypes is None or not prototypes_too:
        return _Gradients(anchors, keys, None)
    return _Gradients(anchors, keys, torch.zeros_like(c.prototypes))


def _over_features(c: Contrast, sides: _Sides, kept: Kept) -> Tensor:
    """Log of the sum over the features as keys, [n]."""
    total = torch.full_like(c.share, -torch.inf)
    for first, second in _pairs(sides):
        products = _products(sides, first, second, kept)
        _add(total, first, _scores(c, products, first, second))
        if sides.alike and first != second:
            _add(total, second, _scores(c, products.T, second, first))
    return total


def _features_gradient(
    c: Contrast, sides: _Sides, normaliser: Tensor, kept: Kept, gradients: _Gradients
) -> None:
    """Add the gradient of the normaliser through the features as keys."""
    for first, second in _pairs(sides):
        products = _products(sides, first, second, kept)
        pull = _pull(c, normaliser, products, first, second)
        if sides.alike and first == second:
            gradients.anchors[first].addmm_(pull + pull.T, sides.anchors[first])
            continue
        if sides.alike:
            pull += _pull(c, normaliser, products.T, second, first).T
        gradients.anchors[first].addmm_(pull, sides.keys[second])
        gradients.keys[second].addmm_(pull.T, sides.anchors[first])


def _over_prototypes(
    c: Contrast, sides: _Sides, normaliser: Tensor, gradients: _Gradients | None
) -> Tensor:
    """The normaliser with the prototypes as keys, [n], and the gradient through them."""
    assert c.prototypes is not None
    assert sides.prototype_size is not None
    complete = torch.empty_like(normaliser)
    rows = max(1, min(_block_rows(complete), _larger(BLOCK_SCORES, complete) // len(c.prototypes)))
    for block in _blocks(len(complete), rows):
        scores = _with_prototypes(sides.anchors[block], c.prototypes)
        scores.mul_(sides.prototype_size).add_(c.key_weight)
        if c.own_weight is not None:
            scores.scatter_add_(1, c.labels[block, None], c.own_weight[block, None])
        top = scores.amax(1)
        exponentials = scores.sub_(top[:, None]).exp_()
        here = exponentials.sum(1).log_().add_(top)
        complete[block] = torch.logaddexp(normaliser[block], here)
        if gradients is not None:
            weight = (top - complete[block]).exp_().mul_(c.share[block])
            pull = exponentials.mul_(weight[:, None]).mul_(sides.prototype_size)
            gradients.anchors[block].addmm_(pull, c.prototypes)
            if gradients.prototypes is not None:
                gradients.prototypes.addmm_(pull.T, sides.anchors[block])
    return complete


def _with_prototypes(anchors: Tensor, prototypes: Tensor) -> Tensor:
    products = anchors.new_empty(len(anchors), len(prototypes))
    for block in _blocks(len(prototypes), _larger(BLOCK_COLUMNS, anchors)):
        torch.mm(anchors, prototypes[block].T, out=products[:, block])
    return products


def _attraction(c: Contrast, sides: _Sides, gradients: _Gradients | None) -> Tensor:
    """The mean score of the positives, averaged by the shares; its gradient is taken away."""
    present, of_class = _present(c.labels, len(c.key_weight))
    weight = (c.share / c.positives.clamp(min=1))[:, None]
    key_sum, pull_sum = sides.keys.new_zeros(2, len(present), sides.keys.shape[1])
    blocks = list(_blocks(len(weight), _block_rows(weight)))
    for block in blocks:
        key_sum.index_add_(0, of_class[block], sides.keys[block])
        pull_sum.index_add_(0, of_class[block], sides.anchors[block] * weight[block])
    if c.prototypes is not None and sides.prototype_size is not None:
        size = sides.prototype_size[present, None]
        key_sum.addcmul_(c.prototypes[present], size)
        if gradients is not None and gradients.prototypes is not None:
            gradients.prototypes.index_add_(0, present, pull_sum * size, alpha=-1)
    total = weight.new_zeros(())
    for block in blocks:
        # A sum over positives is the sum of the class's keys, less the anchor's own.
        anchors, keys = sides.anchors[block], sides.keys[block]
        positives = key_sum[of_class[block]].sub_(keys).mul_(weight[block])
        if gradients is not None:
            gradients.anchors[block].sub_(positives)
            mates = pull_sum[of_class[block]].addcmul_(anchors, weight[block], value=-1)
            gradients.keys[block].sub_(mates)
        total += positives.mul_(anchors).sum()
    return total


def _present(labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Ids of the batch's classes, and each label's place among them.

    All classes on an accelerator, where looking for them would make the host wait.
    """
    if labels.device.type == "cpu":
        present, of_class = torch.unique(labels, return_inverse=True)
        return present, of_class
    return torch.arange(num_classes, device=labels.device), labels


def _products(sides: _Sides, anchors: slice, keys: slice, kept: Kept) -> Tensor:
    place = (anchors.start, keys.start)
    if place in kept:
        return kept[place]
    products = sides.anchors[anchors] @ sides.keys[keys].T
    if (len(kept) + 1) * _block_rows(products) ** 2 <= _larger(KEPT_PRODUCTS, products):
        kept[place] = products
    return products


def _scores(c: Contrast, products: Tensor, anchors: slice, keys: slice) -> Tensor:
    """From products, [anchors, keys], to scores; that of an anchor with itself is -inf."""
    scores = products + c.key_weight[c.labels[keys]]
    if c.own_weight is not None:
        same_class = c.labels[anchors, None] == c.labels[keys]
        scores.addcmul_(same_class.to(scores.dtype), c.own_weight[anchors, None])
    if anchors == keys:
        scores.fill_diagonal_(-torch.inf)
    return scores


def _pull(c: Contrast, normaliser: Tensor, products: Tensor, anchors: slice, keys: slice) -> Tensor:
    """The normaliser's gradient in the scores, by the shares: [anchors, keys]."""
    scores = _scores(c, products, anchors, keys)
    return scores.sub_(normaliser[anchors, None]).exp_().mul_(c.share[anchors, None])


def _add(total: Tensor, anchors: slice, scores: Tensor) -> None:
    total[anchors] = torch.logaddexp(total[anchors], torch.logsumexp(scores, 1))


def _inverse_length(rows: Tensor, normalize: bool) -> Tensor:
    length = torch.linalg.vector_norm(rows, dim=1) if normalize else rows.new_ones(len(rows))
    return 1 / length.clamp(min=EPSILON)


def _across_the_rows(gradient: Tensor, rows: Tensor) -> None:
    """Take out what would only lengthen a row; rows too short to be normalised keep it."""
    for block in _blocks(len(rows), _block_rows(rows)):
        length = torch.linalg.vector_norm(rows[block], dim=1)
        along = (gradient[block] * rows[block]).sum(1) / length.clamp(min=EPSILON) ** 2
        along = torch.where(length > EPSILON, along, 0.0)
        gradient[block].addcmul_(rows[block], along[:, None], value=-1)


def _pairs(sides: _Sides) -> Iterator[tuple[slice, slice]]:
    """Every pair of blocks of features: once where both directions come from one product."""
    blocks = list(_blocks(len(sides.anchors), _block_rows(sides.anchors)))
    for number, first in enumerate(blocks):
        for second in blocks[number if sides.alike else 0 :]:
            yield first, second


def _block_rows(like: Tensor) -> int:
    return BLOCK_ROWS if like.device.type == "cpu" else BLOCK_ROWS * math.isqrt(ON_ACCELERATOR)


def _larger(size: int, like: Tensor) -> int:
    return size if like.device.type == "cpu" else size * ON_ACCELERATOR


def _blocks(length: int, rows: int) -> Iterator[slice]:
    for start in range(0, length, rows):
        yield slice(start, min(start + rows, length))
