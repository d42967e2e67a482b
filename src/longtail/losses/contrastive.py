"""Supervised contrastive learning and its three prior-aware forms, as one softmax over instances.

Letters: n features (views of a batch), m keys (features, then prototypes), c classes, d dimension.

For anchor i of class y and key k of class j, never i itself,

    s_ik = z_i.z_k / temperature + [rebalance] log n_j - [average] log m_ij
    loss_i = logsumexp_k s_ik - mean_{p in P(i)} z_i.z_p / temperature - [rebalance] log n_y

with n_j the class's training count, m_ij the number of keys of class j other than i, and P(i) the
keys of class y other than i. The two switches and the optional prototypes span the family:

    =====================  =========  =======  ==========
    loss                   rebalance  average  prototypes
    =====================  =========  =======  ==========
    SCL (SupCon)           no         no       no
    BCL, Eq. 3             no         yes      yes
    RCL, Eq. 4             yes        no       no
    BCL+RCL, Eq. 5         yes        yes      yes
    =====================  =========  =======  ==========
"""

from typing import Literal

import numpy.typing as npt
import torch
from torch import Tensor, nn

from longtail.errors import DataError, UsageError
from longtail.losses.checks import (
    check_centres,
    check_class_counts,
    check_features,
    check_labels,
    check_one_a_class,
    check_temperature,
)
from longtail.losses.counts import counts_tensor, log_counts
from longtail.losses.instances import make_contrast
from longtail.losses.kernels import KernelName, choose_kernel

ScaleOn = Literal["both", "anchors", "keys"]


def contrastive_loss(
    features: Tensor,
    labels: Tensor,
    prototypes: Tensor | None = None,
    *,
    class_counts: Tensor | None = None,
    class_average: bool = False,
    temperature: float = 0.1,
    class_scale: Tensor | None = None,
    scale_on: ScaleOn = "both",
    normalize: bool = True,
    num_classes: int | None = None,
    kernel: KernelName = "auto",
) -> Tensor:
    """The contrastive softmax of this module, averaged over the anchors that have a positive.

    Sources: SCL, Khosla et al. 2020, arXiv 2004.11362, Eq. 2; BCL, Zhu et al. 2022, arXiv
    2207.09052, Eq. 5 (Eq. 3 of RCL); RCL, De Alvis et al. 2023, arXiv 2312.01753, Eq. 4 and 5.
    Uniform `class_counts` give the loss without them.

    Compression (RCL) multiplies normalised features by a factor of their class. With factor a on
    anchors and keys, an affected anchor sees other keys at temperature / a and affected keys at
    temperature / a**2; on anchors only, it sees all keys at temperature / a; on keys only, every
    anchor sees the affected keys at temperature / a. A small factor so takes those classes out of
    the comparison and leaves the prior to decide. Prototypes are keys that are never scaled.

    Args:
        features: float [n, d], all views of all pictures; rows are normalised here.
        labels: int64 [n], class of each feature, values in [0, c).
        prototypes: float [c, d], one key a class beside the features; never anchors.
        class_counts: int64 [c], training pictures a class; given, it rebalances the softmax.
        class_average: average the keys of a class instead of adding them up.
        temperature: of the softmax, above 0.
        class_scale: float [c], compression factor a class; None is 1 for all.
        scale_on: which side of the product is scaled.
        normalize: False takes the rows as they are (the caller has normalised them).
        num_classes: c, where neither counts nor prototypes tell; None reads it off the labels
            (which makes the host wait for an accelerator).
        kernel: how it is computed, which changes values by rounding alone: "plain" holds all n m
            scores at once; "streamed" holds a block of them at a time; "triton" holds none
            (CUDA, float32 or half precision, d up to 256); "auto" takes the one that suits device
            and size, and the plain one where the temperature or scale is learned.

    Returns:
        Scalar; float32 for half-precision features, else their dtype. Zero with a graph when no
        anchor has a positive. Values of different classes are not comparable under rebalancing:
        a rare anchor carries about log(N / n_y) more.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.
        UsageError: a temperature that is not positive, an unknown `scale_on` or `kernel`.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> y = torch.tensor([0, 0, 1])  # both anchors: log(e + e^0) - 1; the third has no positive
    >>> round(contrastive_loss(z, y, temperature=1.0).item(), 4)
    0.3133
    >>> counts = torch.tensor([1, 3])  # the other class's key counts three times: log(e + 3) - 1
    >>> round(contrastive_loss(z, y, class_counts=counts, temperature=1.0).item(), 4)
    0.7437
    """
    _check(features, labels, prototypes, temperature, scale_on)
    num_classes = _num_classes(labels, prototypes, class_counts, class_scale, num_classes)
    # Under autocast the products would be rounded to half precision before the exponential.
    with torch.autocast(features.device.type, enabled=False):
        contrast = make_contrast(
            features,
            labels,
            prototypes,
            num_classes=num_classes,
            class_counts=class_counts,
            class_average=class_average,
            temperature=temperature,
            class_scale=class_scale,
            scale_anchors=scale_on != "keys",
            scale_keys=scale_on != "anchors",
            normalize=normalize,
        )
        value = choose_kernel(kernel, contrast)(contrast)
        if class_counts is None:
            return value
        log_n = log_counts(class_counts, value.dtype)
        return value - (contrast.share * log_n[labels]).sum()


class ContrastiveLoss(nn.Module):
    """The whole family by its switches; see `contrastive_loss` for what each does.

    Args:
        class_counts: [c] training pictures a class, by class id; None where the loss needs none.
        temperature: of the softmax, above 0.
        rebalance: weigh the keys of a class by its training count.
        class_average: average the keys of a class instead of adding them up.
        scale_on: which side `class_scale` acts on.
        normalize: False takes the rows of features and prototypes as they are.

    Raises:
        UsageError: `rebalance` without the counts to do it with.
    """

    def __init__(
        self,
        class_counts: npt.ArrayLike | None = None,
        temperature: float = 0.1,
        *,
        rebalance: bool = False,
        class_average: bool = False,
        scale_on: ScaleOn = "both",
        normalize: bool = True,
    ) -> None:
        super().__init__()
        if rebalance and class_counts is None:
            raise UsageError("rebalance needs class_counts: the training pictures a class.")
        counts = None if class_counts is None else counts_tensor(class_counts)
        self.class_counts: Tensor | None
        self.register_buffer("class_counts", counts, persistent=False)
        self.temperature = temperature
        self.rebalance = rebalance
        self.class_average = class_average
        self.scale_on: ScaleOn = scale_on
        self.normalize = normalize

    def forward(
        self,
        features: Tensor,
        labels: Tensor,
        prototypes: Tensor | None = None,
        class_scale: Tensor | None = None,
    ) -> Tensor:
        """Scalar loss of features [n, d], int64 labels [n] and perhaps prototypes [c, d]."""
        return contrastive_loss(
            features,
            labels,
            prototypes,
            class_counts=self.class_counts if self.rebalance else None,
            class_average=self.class_average,
            temperature=self.temperature,
            class_scale=class_scale,
            scale_on=self.scale_on,
            normalize=self.normalize,
            num_classes=None if self.class_counts is None else len(self.class_counts),
        )


class SupervisedContrastiveLoss(ContrastiveLoss):
    """SCL, also called SupCon (Khosla et al. 2020, Eq. 2)."""

    def __init__(
        self, temperature: float = 0.1, *, scale_on: ScaleOn = "both", normalize: bool = True
    ) -> None:
        super().__init__(None, temperature, scale_on=scale_on, normalize=normalize)


class BalancedContrastiveLoss(ContrastiveLoss):
    """BCL (Zhu et al. 2022): class averaging; give it prototypes for class complement.

    `class_counts` only tell the number of classes: BCL weighs all classes alike.
    """

    def __init__(
        self,
        class_counts: npt.ArrayLike,
        temperature: float = 0.1,
        *,
        scale_on: ScaleOn = "both",
        normalize: bool = True,
    ) -> None:
        super().__init__(
            class_counts, temperature, class_average=True, scale_on=scale_on, normalize=normalize
        )


class RebalancedContrastiveLoss(ContrastiveLoss):
    """RCL (De Alvis et al. 2023): Eq. 4, or Eq. 5 (BCL+RCL) with `class_average` and prototypes."""

    def __init__(
        self,
        class_counts: npt.ArrayLike,
        temperature: float = 0.1,
        class_average: bool = False,
        *,
        scale_on: ScaleOn = "both",
        normalize: bool = True,
    ) -> None:
        super().__init__(
            class_counts,
            temperature,
            rebalance=True,
            class_average=class_average,
            scale_on=scale_on,
            normalize=normalize,
        )


def _num_classes(
    labels: Tensor,
    prototypes: Tensor | None,
    class_counts: Tensor | None,
    class_scale: Tensor | None,
    num_classes: int | None,
) -> int:
    if num_classes is None:
        known = (x for x in (class_counts, class_scale, prototypes) if x is not None)
        first = next(known, None)
        num_classes = int(labels.max()) + 1 if first is None else len(first)
    if class_counts is not None:
        check_class_counts(class_counts, num_classes)
    if class_scale is not None:
        check_one_a_class("class_scale", class_scale, num_classes)
    if prototypes is not None and len(prototypes) != num_classes:
        raise DataError(f"{len(prototypes)} prototypes for {num_classes} classes; pass one each.")
    check_labels(labels, num_classes)
    return num_classes


def _check(
    features: Tensor,
    labels: Tensor,
    prototypes: Tensor | None,
    temperature: float,
    scale_on: str,
) -> None:
    check_features(features, labels)
    if prototypes is not None:
        check_centres("prototypes", prototypes, features)
    check_temperature(temperature)
    if scale_on not in ("both", "anchors", "keys"):
        raise UsageError(f"scale_on is {scale_on!r}; it must be 'both', 'anchors' or 'keys'.")
