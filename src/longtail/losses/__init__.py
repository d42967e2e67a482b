"""Losses: pure functions on tensors, and thin modules around them for any training loop."""

from longtail.losses.contrastive import contrastive_loss
from longtail.losses.logit import (
    balanced_softmax_loss,
    cross_entropy,
    logit_adjusted_loss,
    posthoc_logit_adjustment,
)
from longtail.losses.modules import (
    BalancedContrastiveLoss,
    BalancedSoftmaxLoss,
    ContrastiveLoss,
    CrossEntropyLoss,
    LogitAdjustedLoss,
    RebalancedContrastiveLoss,
    SupervisedContrastiveLoss,
)

__all__ = [
    "BalancedContrastiveLoss",
    "BalancedSoftmaxLoss",
    "ContrastiveLoss",
    "CrossEntropyLoss",
    "LogitAdjustedLoss",
    "RebalancedContrastiveLoss",
    "SupervisedContrastiveLoss",
    "balanced_softmax_loss",
    "contrastive_loss",
    "cross_entropy",
    "logit_adjusted_loss",
    "posthoc_logit_adjustment",
]
