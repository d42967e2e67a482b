"""Losses: pure functions on tensors, and thin modules around them for any training loop."""

from longtail.losses.centroid import RobustCentroidLoss, robust_centroid_loss
from longtail.losses.complementary import ComplementaryExpertsLoss, complementary_experts_loss
from longtail.losses.contrastive import (
    BalancedContrastiveLoss,
    ContrastiveLoss,
    RebalancedContrastiveLoss,
    SupervisedContrastiveLoss,
    contrastive_loss,
)
from longtail.losses.distillation import DistillationLoss, distillation_loss
from longtail.losses.embedding import EmbeddingMarginLoss, embedding_margin_loss
from longtail.losses.ensemble import (
    EachExpert,
    ExpertDiversityLoss,
    each_expert,
    expert_diversity,
)
from longtail.losses.focal import ClassBalancedFocalLoss, class_balanced_focal_loss
from longtail.losses.ldam import LDAMLoss, ldam_loss
from longtail.losses.logit import (
    BalancedSoftmaxLoss,
    CrossEntropyLoss,
    LogitAdjustedLoss,
    balanced_softmax_loss,
    cross_entropy,
    logit_adjusted_loss,
    posthoc_logit_adjustment,
)
from longtail.losses.prototype import PrototypeLoss, prototype_loss
from longtail.losses.routing import RoutingLoss, routing_loss

__all__ = [
    "BalancedContrastiveLoss",
    "BalancedSoftmaxLoss",
    "ClassBalancedFocalLoss",
    "ComplementaryExpertsLoss",
    "ContrastiveLoss",
    "CrossEntropyLoss",
    "DistillationLoss",
    "EachExpert",
    "EmbeddingMarginLoss",
    "ExpertDiversityLoss",
    "LDAMLoss",
    "LogitAdjustedLoss",
    "PrototypeLoss",
    "RebalancedContrastiveLoss",
    "RobustCentroidLoss",
    "RoutingLoss",
    "SupervisedContrastiveLoss",
    "balanced_softmax_loss",
    "class_balanced_focal_loss",
    "complementary_experts_loss",
    "contrastive_loss",
    "cross_entropy",
    "distillation_loss",
    "each_expert",
    "embedding_margin_loss",
    "expert_diversity",
    "ldam_loss",
    "logit_adjusted_loss",
    "posthoc_logit_adjustment",
    "prototype_loss",
    "robust_centroid_loss",
    "routing_loss",
]
