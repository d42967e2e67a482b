"""The prototypes as keys, one a class, and all that follows from them.

The scores of an anchor with all of them have to be known before any is turned into its gradient.
Where the anchors are few, the scores wait in the memory that the prototypes' gradient will fill.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from longtail.losses.instances import Contrast
from longtail.losses.streaming.attraction import positive_weight
from longtail.losses.streaming.blocks import blocks, sizes
from longtail.losses.streaming.sides import Gradients, Sides, across_the_rows


class Prototypes(NamedTuple):
    """The c keys.

    Attributes:
        rows: [c, d], as they came.
        size: [c], what their products are multiplied by.
        weight: [c], log weight of each.
    """

    rows: Tensor
    size: Tensor
    weight: Tensor


class Anchors(NamedTuple):
    """Some r of the n anchors.

    Attributes:
        rows: [r, d].
        labels: int64 [r].
        own_weight: [r], what the own class's prototype weighs on top; None is 0.
        share: [r], of each in the mean over anchors.
        positive_weight: [r], of one positive in it.
    """

    rows: Tensor
    labels: Tensor
    own_weight: Tensor | None
    share: Tensor
    positive_weight: Tensor


class Softmax(NamedTuple):
    """What r anchors make of all prototypes.

    Attributes:
        exponentials: [c, r], of scores less the top beside their block.
        tops: of each block of prototypes, [r]: the largest score so far.
        log_sum: [r], log of the sum of the exponentials of scores.
        own_product: [r], with the own class's prototype: the score but for the weights.
    """

    exponentials: Tensor
    tops: list[Tensor]
    log_sum: Tensor
    own_product: Tensor


def over_prototypes(
    c: Contrast, sides: Sides, normaliser: Tensor, gradients: Gradients | None
) -> tuple[Tensor, Tensor]:
    """Take the prototypes as keys beside those of the normaliser, [n], and add the gradients.

    Returns:
        The complete normaliser, [n]; and the sum of the products of anchors with their own class's
        prototypes, each as much as a positive counts.
    """
    assert c.prototypes is not None
    assert sides.prototype_size is not None
    prototypes = Prototypes(c.prototypes, sides.prototype_size, c.key_weight)
    complete, attraction = torch.empty_like(normaliser), normaliser.new_zeros(())
    weight = positive_weight(c)
    wanted = None if gradients is None else gradients.prototypes
    # Few anchors: as columns of scores they have room in the gradient's rows.
    shared = wanted is not None and len(normaliser) <= wanted.shape[1]
    if wanted is not None and not shared:
        wanted.zero_()
    for part, memory in _parts(prototypes, normaliser, wanted if shared else None):
        anchors = _some(c, sides, weight, part)
        softmax = _softmax(anchors, prototypes, memory)
        complete[part] = torch.logaddexp(normaliser[part], softmax.log_sum)
        attraction += anchors.positive_weight @ softmax.own_product
        if gradients is not None:
            d_anchors = gradients.anchors[part]
            _add_gradient(anchors, prototypes, softmax, complete[part], d_anchors, wanted, shared)
    if wanted is not None and c.normalize:
        across_the_rows(wanted, c.prototypes)
    return complete, attraction


def _parts(
    prototypes: Prototypes, normaliser: Tensor, sharing: Tensor | None
) -> Iterator[tuple[slice, Tensor]]:
    """Anchors to take at a time, and memory for their scores, [c, r]: that of `sharing`, if any."""
    classes, size = len(prototypes.rows), len(normaliser)
    if sharing is None:
        at_once = sizes(normaliser)
        size = min(size, max(1, min(at_once.rows, at_once.prototype_scores // classes)))
        memory = normaliser.new_empty(classes * size)
    else:
        memory = sharing.view(-1)
    for part in blocks(len(normaliser), size):
        anchors = part.stop - part.start
        yield part, memory[: classes * anchors].view(classes, anchors)


def _some(c: Contrast, sides: Sides, weight: Tensor, part: slice) -> Anchors:
    return Anchors(
        sides.anchors[part],
        c.labels[part],
        None if c.own_weight is None else c.own_weight[part],
        c.share[part],
        weight[part],
    )


def _softmax(anchors: Anchors, prototypes: Prototypes, memory: Tensor) -> Softmax:
    top = torch.full_like(anchors.share, -torch.inf)
    total, own_product, tops = torch.zeros_like(top), torch.zeros_like(top), []
    for block in blocks(len(memory), sizes(memory).prototypes):
        scores = memory[block]
        torch.mm(prototypes.rows[block], anchors.rows.T, out=scores)
        own = _Own.among(anchors.labels, block)
        own_product += own.read(scores)
        weight, size = prototypes.weight[block, None], prototypes.size[block, None]
        torch.addcmul(weight, scores, size, out=scores)
        if anchors.own_weight is not None:
            own.add(scores, anchors.own_weight)
        before, top = top, torch.maximum(top, scores.amax(0))
        scores.sub_(top).exp_()
        total = total * (before - top).exp_() + scores.sum(0)
        tops.append(top)
    own_product *= prototypes.size[anchors.labels]
    return Softmax(memory, tops, total.log_() + top, own_product)


def _add_gradient(
    anchors: Anchors,
    prototypes: Prototypes,
    softmax: Softmax,
    normaliser: Tensor,
    d_anchors: Tensor,
    d_prototypes: Tensor | None,
    shared: bool,
) -> None:
    """Add the gradient of the normaliser's mean less the attraction; uses the exponentials up.

    The last block comes first: where the exponentials share the memory of the prototypes' gradient,
    what is written then covers nothing that is still to be read.
    """
    block_size = sizes(normaliser).prototypes
    every = list(zip(softmax.tops, blocks(len(prototypes.rows), block_size), strict=True))
    for top, block in reversed(every):
        scale = (top - normaliser).exp_().mul_(anchors.share)
        for part, pull in _pulls(block, softmax.exponentials, d_prototypes if shared else None):
            pull.mul_(scale)
            _Own.among(anchors.labels, part).add(pull, -anchors.positive_weight)
            pull.mul_(prototypes.size[part, None])
            d_anchors.addmm_(pull.T, prototypes.rows[part])
            if d_prototypes is not None:
                d_prototypes[part].addmm_(pull, anchors.rows, beta=0 if shared else 1)


def _pulls(
    block: slice, exponentials: Tensor, sharing: Tensor | None
) -> Iterator[tuple[slice, Tensor]]:
    """A block of prototypes, in parts if it must be, and their exponentials, to be written over.

    Copies, a small part at a time, where those of a block lie where its own gradient will.
    """
    anchors = exponentials.shape[1]
    if sharing is None or block.stop * anchors <= block.start * sharing.shape[1]:
        yield block, exponentials[block]
        return
    size = max(1, sizes(exponentials).pulled_scores // anchors)
    copy = exponentials.new_empty(size, anchors)
    for inside in reversed(list(blocks(block.stop - block.start, size))):
        part = slice(block.start + inside.start, block.start + inside.stop)
        yield part, copy[: part.stop - part.start].copy_(exponentials[part])


class _Own(NamedTuple):
    """Where in a block of scores, [b, r], each anchor meets its own class's prototype.

    Attributes:
        row: [1, r]; 0 where they do not meet.
        met: bool [r].
    """

    row: Tensor
    met: Tensor

    @classmethod
    def among(cls, labels: Tensor, block: slice) -> "_Own":
        met = (labels >= block.start) & (labels < block.stop)
        return cls((labels - block.start).where(met, 0)[None], met)

    def read(self, scores: Tensor) -> Tensor:
        return scores.gather(0, self.row)[0].where(self.met, 0)

    def add(self, scores: Tensor, values: Tensor) -> None:
        scores.scatter_add_(0, self.row, values.where(self.met, 0)[None])
