"""Losses for other people's loops: modules that hold the class counts and call the functions.

Counts are a buffer, so `.to(device)` moves them; they are not saved with a model.
"""

import numpy.typing as npt
import torch
from torch import Tensor, nn

from longtail.errors import UsageError
from longtail.losses.contrastive import ScaleOn, contrastive_loss
from longtail.losses.logit import cross_entropy, logit_adjusted_loss
from longtail.prior import as_counts


class CrossEntropyLoss(nn.Module):
    """Plain `cross_entropy` as a module, so that a recipe's terms are all of one kind."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of logits [b, c] and int64 labels [b]."""
        return cross_entropy(logits, labels)


class LogitAdjustedLoss(nn.Module):
    """Logit adjustment (Menon et al. 2021); see `logit_adjusted_loss`.

    Args:
        class_counts: [c] training pictures a class, by class id.
        la_tau: strength of the prior.
    """

    def __init__(self, class_counts: npt.ArrayLike, la_tau: float = 1.0) -> None:
        super().__init__()
        self.la_tau = la_tau
        self.class_counts: Tensor
        self.register_buffer("class_counts", _counts(class_counts), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of raw logits [b, c] and int64 labels [b]."""
        return logit_adjusted_loss(logits, labels, self.class_counts, la_tau=self.la_tau)


class BalancedSoftmaxLoss(LogitAdjustedLoss):
    """Balanced Softmax (Ren et al. 2020): logit adjustment at strength 1."""

    def __init__(self, class_counts: npt.ArrayLike) -> None:
        super().__init__(class_counts, la_tau=1.0)


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
        counts = None if class_counts is None else _counts(class_counts)
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


def _counts(class_counts: npt.ArrayLike) -> Tensor:
    # An accelerator's tensor cannot become a numpy array by itself.
    on_cpu = class_counts.cpu() if isinstance(class_counts, Tensor) else class_counts
    return torch.from_numpy(as_counts(on_cpu))
