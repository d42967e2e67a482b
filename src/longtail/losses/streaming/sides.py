"""The two sides of a product of features, and the sums of gradients that belong to them."""

from typing import NamedTuple

import torch
from torch import Tensor

from longtail.losses.instances import EPSILON, Contrast


class Sides(NamedTuple):
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
        """Whether the products of two features are the same in both directions."""
        return self.keys is self.anchors


class Gradients(NamedTuple):
    """Sums being collected, each of the shape of what it is the gradient of.

    Attributes:
        anchors: [n, d].
        keys: [n, d], the same tensor where the sides are alike.
        prototypes: [c, d] of the raw prototypes; None where none is wanted.
    """

    anchors: Tensor
    keys: Tensor
    prototypes: Tensor | None


def make_sides(c: Contrast) -> Sides:
    """Both sides of the features of a `Contrast` in float32 or float64."""
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
    return Sides(anchors, keys, anchor_size, key_size, prototype_size)


def _inverse_length(rows: Tensor, normalize: bool) -> Tensor:
    length = torch.linalg.vector_norm(rows, dim=1) if normalize else rows.new_ones(len(rows))
    return 1 / length.clamp(min=EPSILON)


def through_the_sides(c: Contrast, sides: Sides, gradients: Gradients) -> Tensor:
    """The gradient in the features, [n, d], from that in anchors and keys, which is used up."""
    d_features = gradients.anchors.mul_(sides.anchor_size[:, None])
    if not sides.alike:
        d_features.addcmul_(gradients.keys, sides.key_size[:, None])
    if c.normalize:
        across_the_rows(d_features, c.features)
    return d_features


def across_the_rows(gradient: Tensor, rows: Tensor) -> None:
    """Take out what would only lengthen a row; rows too short to be normalised keep it."""
    length = torch.linalg.vector_norm(rows, dim=1)
    # As products of matrices, which hold no third of the size of these two.
    along = torch.bmm(gradient[:, None], rows[:, :, None])[:, 0, 0] / length.clamp(min=EPSILON) ** 2
    along = torch.where(length > EPSILON, along, 0.0)
    gradient.addcmul_(rows, along[:, None], value=-1)
