"""The features as keys: their part of the normaliser, and its gradient.

Scores are needed for the normaliser and again for its gradient. As many as fit into a fixed budget
are kept in between, the others are taken again.
"""

from collections.abc import Iterator
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from longtail.losses.instances import Contrast
from longtail.losses.streaming.blocks import Kept, blocks, sizes
from longtail.losses.streaming.sides import Gradients, Sides

LARGEST_PRODUCT = 40.0
"""Its exponential, and that of minus it, are far from the ends of float32's range."""


class Features(Protocol):
    """One way to take the features as keys."""

    def normaliser(self) -> Tensor:
        """Log of the sum over the features as keys, [n]; minus infinity without any key."""

    def add_gradient(self, normaliser: Tensor, gradients: Gradients) -> None:
        """Add that of the mean normaliser through the features, given the complete one; once."""


def features_as_keys(c: Contrast, sides: Sides, differentiable: bool) -> Features:
    """The quicker way where it is safe; nothing is kept where no gradient will be asked for."""
    room = sizes(sides.anchors).kept_scores if differentiable else 0
    if sides.alike and _short(c, sides):
        return Mutual(c, sides.anchors, room)
    return Directed(c, sides, room)


def _short(c: Contrast, sides: Sides) -> bool:
    if c.normalize and c.anchor_scale is None:
        return 1 / c.temperature <= LARGEST_PRODUCT
    if sides.anchors.device.type != "cpu":
        return False  # not known without waiting for it
    longest = torch.linalg.vector_norm(sides.anchors, dim=1).max()
    return bool(longest.square() <= LARGEST_PRODUCT)


class Mutual:
    """For anchors that are the keys, and short: a block of exponentials serves both directions.

    The exponential of a product and its class's own weight is the same for (i, k) and (k, i), and
    can neither overflow nor vanish; so sums over keys are products with what the keys weigh.

    Args:
        c: the batch.
        rows: [n, d], whose products are scores but for the weights.
        room: exponentials to keep.
    """

    def __init__(self, c: Contrast, rows: Tensor, room: int) -> None:
        self.c = c
        self.rows = rows
        self.exponentials = Kept(partial(_exponentials, c, rows), room)
        # In parts of the heaviest, for counts may be of any size.
        self.heaviest = c.key_weight.max()
        self.key_weight = (c.key_weight - self.heaviest).exp_()[c.labels]

    def normaliser(self) -> Tensor:
        """See `Features`."""
        total = torch.zeros_like(self.key_weight)
        for first, second in self._pairs():
            exponentials = self.exponentials(first, second)
            total[first].addmv_(exponentials, self.key_weight[second])
            if first != second:
                total[second].addmv_(exponentials.T, self.key_weight[first])
        return total.log_().add_(self.heaviest)

    def add_gradient(self, normaliser: Tensor, gradients: Gradients) -> None:
        """See `Features`; the blocks held become their gradient."""
        keys = self.key_weight
        # By logarithms, for an anchor without a share or any key: 0 * inf is no number.
        anchors = (self.c.share.log() + self.heaviest - normaliser).exp_()
        for first, second in self._pairs():
            pull = self.exponentials.pop(first, second)
            for part in blocks(len(pull), sizes(pull).pulled_scores // pull.shape[1]):
                here = anchors[first][part], keys[first][part]
                pull[part].mul_(torch.outer(here[0], keys[second]).addr_(here[1], anchors[second]))
            gradients.anchors[first].addmm_(pull, self.rows[second])
            if first != second:
                gradients.anchors[second].addmm_(pull.T, self.rows[first])

    def _pairs(self) -> Iterator[tuple[slice, slice]]:
        """Every two blocks once, in whichever order."""
        every = list(blocks(len(self.rows), sizes(self.rows).rows))
        for number, first in enumerate(every):
            for second in every[number:]:
                yield first, second


class Directed:
    """For any anchors and keys: scores of their own in each direction, safe at any size.

    So it takes the product of two features for each, even where the sides are alike.

    Args:
        c: the batch.
        sides: its rows.
        room: scores to keep.
    """

    def __init__(self, c: Contrast, sides: Sides, room: int) -> None:
        self.c = c
        self.sides = sides
        self.scores = Kept(partial(_scores, c, sides), room)

    def normaliser(self) -> Tensor:
        """See `Features`."""
        total = torch.full_like(self.c.share, -torch.inf)
        for anchors, keys in self._pairs():
            here = torch.logsumexp(self.scores(anchors, keys), 1)
            total[anchors] = torch.logaddexp(total[anchors], here)
        return total

    def add_gradient(self, normaliser: Tensor, gradients: Gradients) -> None:
        """See `Features`; the blocks held become their gradient."""
        for anchors, keys in self._pairs():
            pull = self.scores.pop(anchors, keys).sub_(normaliser[anchors, None]).exp_()
            pull.mul_(self.c.share[anchors, None])
            gradients.anchors[anchors].addmm_(pull, self.sides.keys[keys])
            gradients.keys[keys].addmm_(pull.T, self.sides.anchors[anchors])

    def _pairs(self) -> Iterator[tuple[slice, slice]]:
        every = list(blocks(len(self.sides.anchors), sizes(self.sides.anchors).rows))
        return ((anchors, keys) for anchors in every for keys in every)


def _exponentials(c: Contrast, rows: Tensor, first: slice, second: slice) -> Tensor:
    """Of products and own weights, the same for both directions; 0 of a feature with itself."""
    scores = rows[first] @ rows[second].T
    _add_own_weight(c, scores, first, second)
    exponentials = scores.exp_()
    return exponentials.fill_diagonal_(0) if first == second else exponentials


def _scores(c: Contrast, sides: Sides, anchors: slice, keys: slice) -> Tensor:
    """Minus infinity of a feature with itself."""
    scores = sides.anchors[anchors] @ sides.keys[keys].T
    scores += c.key_weight[c.labels[keys]]
    _add_own_weight(c, scores, anchors, keys)
    return scores.fill_diagonal_(-torch.inf) if anchors == keys else scores


def _add_own_weight(c: Contrast, scores: Tensor, anchors: slice, keys: slice) -> None:
    if c.own_weight is not None:
        same_class = c.labels[anchors, None] == c.labels[keys]
        scores.addcmul_(same_class.to(scores.dtype), c.own_weight[anchors, None])
