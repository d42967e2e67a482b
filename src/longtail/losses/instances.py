"""The softmax over instances as its kernels see it: rows, labels, and one log weight a class.

Letters: n features (the anchors, and the first keys), c classes (a prototype each, the other keys),
d dimension. A kernel is a function from a `Contrast` to

    sum_i share_i * (logsumexp_k s_ik - mean_{p in P(i)} a_i.k_p / temperature)
    s_ik = a_i.k_k / temperature + key_weight_j + [j = y_i] own_weight_i

over the keys k other than i, with j the class of k, y_i that of anchor i, and P(i) the keys of
class y_i. Anchors a and keys k are the rows, normalised and scaled where asked.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.losses.checks import wide
from longtail.losses.counts import log_counts

EPSILON = 1e-12
"""Rows shorter than this are divided by it instead of by their length, as F.normalize does."""


class Contrast(NamedTuple):
    """What every kernel reads.

    Attributes:
        features: float [n, d] of any precision.
        labels: int64 [n].
        prototypes: [c, d] of the same dtype, or None.
        normalize: whether the rows of features and prototypes still have to be normalised.
        temperature: above 0.
        anchor_scale: [n] factors of the features as anchors; None is 1.
        key_scale: [n] factors of the features as keys; None is 1. Prototypes are never scaled.
        key_weight: [c] log weight of a key of each class.
        own_weight: [n] what a key of the anchor's own class has on top; None is 0.
        positives: [n] number of positives of each anchor.
        share: [n] of each anchor in the mean; 0 without a positive.

    Scales, weights, positives and shares are float32, or float64 where the features are.
    """

    features: Tensor
    labels: Tensor
    prototypes: Tensor | None
    normalize: bool
    temperature: float
    anchor_scale: Tensor | None
    key_scale: Tensor | None
    key_weight: Tensor
    own_weight: Tensor | None
    positives: Tensor
    share: Tensor


def make_contrast(
    features: Tensor,
    labels: Tensor,
    prototypes: Tensor | None,
    *,
    num_classes: int,
    class_counts: Tensor | None,
    class_average: bool,
    temperature: float,
    class_scale: Tensor | None,
    scale_anchors: bool,
    scale_keys: bool,
    normalize: bool,
) -> Contrast:
    """A `Contrast` from the arguments of `contrastive_loss`, which has checked them."""
    if prototypes is not None:
        dtype = torch.promote_types(features.dtype, prototypes.dtype)
        features, prototypes = features.to(dtype), prototypes.to(dtype)
    exact = wide(features.new_empty(0)).dtype
    sizes = class_sizes(labels, num_classes, prototypes=prototypes is not None)
    positives = (sizes[labels] - 1).to(exact)
    key_weight = sizes.new_zeros(num_classes, dtype=exact)
    own_weight = None
    if class_counts is not None:
        key_weight = key_weight + log_counts(class_counts, exact)
    if class_average:
        # m_ij counts the keys of class j other than i: in the anchor's own class one fewer.
        log_size, log_others = log_counts(sizes, exact), log_counts(sizes - 1, exact)
        key_weight, own_weight = key_weight - log_size, (log_size - log_others)[labels]
    scale = None if class_scale is None else class_scale.to(exact)[labels]
    has_positive = (positives > 0).to(exact)
    return Contrast(
        features=features,
        labels=labels,
        prototypes=prototypes,
        normalize=normalize,
        temperature=temperature,
        anchor_scale=scale if scale_anchors else None,
        key_scale=scale if scale_keys else None,
        key_weight=key_weight,
        own_weight=own_weight,
        positives=positives,
        share=has_positive / has_positive.sum().clamp(min=1),
    )


def class_sizes(labels: Tensor, num_classes: int, *, prototypes: bool) -> Tensor:
    """Keys of each class, int64 [c]; integer sums, so that their order does not matter."""
    sizes = torch.full((num_classes,), int(prototypes), device=labels.device)
    return sizes.scatter_add_(0, labels, torch.ones_like(labels))


def without_rows(c: Contrast) -> Contrast:
    """All but the features and prototypes: what a loss may hold on to when its rows can go."""
    return c._replace(features=c.share, prototypes=None)


def unit_rows(rows: Tensor, normalize: bool) -> Tensor:
    """The rows at length 1, or as they are."""
    return F.normalize(rows, dim=1, eps=EPSILON) if normalize else rows


def scaled(rows: Tensor, factor: Tensor | None) -> Tensor:
    """Each row times its factor."""
    return rows if factor is None else rows * factor[:, None]
