"""Every loss by name, in one shape, so that one contract suite holds all of them.

A new loss is a function, a line here and a slow loop in the tests' references.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from longtail.losses.centroid import RobustCentroidLoss, robust_centroid_loss
from longtail.losses.complementary import ComplementaryExpertsLoss, complementary_experts_loss
from longtail.losses.contrastive import (
    BalancedContrastiveLoss,
    RebalancedContrastiveLoss,
    SupervisedContrastiveLoss,
    contrastive_loss,
)
from longtail.losses.counts import class_balanced_weights
from longtail.losses.distillation import DistillationLoss, distillation_loss
from longtail.losses.embedding import EmbeddingMarginLoss, embedding_margin_loss
from longtail.losses.ensemble import (
    EachExpert,
    ExpertDiversityLoss,
    each_expert,
    expert_diversity,
    expert_temperatures,
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
)
from longtail.losses.prototype import PrototypeLoss, prototype_loss
from longtail.losses.routing import RoutingLoss, routing_loss
from longtail.prior import effective_number_weights, groups

Read = Literal[
    "logits",
    "features",
    "prototypes",
    "class_means",
    "radii",
    "expert_logits",
    "teacher_logits",
    "routing",
]
Loss = Callable[..., Tensor]
"""Called with the first output that it reads, the labels, and the others; returns a scalar."""

BETA = 0.9999
DIVERSITY_FACTOR = 0.05


@dataclasses.dataclass(frozen=True)
class LossEntry:
    """One loss of the catalogue.

    Attributes:
        reads: the outputs it is called with. The first carries the labels: logits [b, c], features
            [n, d], expert_logits [b, k, c] or routing [b, k - 1]. Then further ones: prototypes
            or class_means [c, d], radii [c], teacher_logits [b, c].
        function: the public function behind it.
        bind: (class_counts int64 [c], **knobs) -> the loss as a pure call; the knobs are keyword
            arguments of the function, such as `temperature` or `la_tau`.
        module: the same as an `nn.Module`, from the same arguments.
        counts: what of the class counts changes it: nothing, their ratios, or also their sizes.
        parent: the loss of the catalogue that it equals under uniform counts, if there is one.
    """

    reads: tuple[Read, ...]
    function: Loss
    bind: Callable[..., Loss]
    module: Callable[..., nn.Module]
    counts: Literal["nothing", "ratios", "sizes"] = "nothing"
    parent: str | None = None


def _without_counts(loss: Loss, /, **fixed: Any) -> Callable[..., Any]:
    return lambda class_counts, **knobs: partial(loss, **fixed, **knobs)


def _with_counts(loss: Loss, /, **fixed: Any) -> Callable[..., Loss]:
    return lambda class_counts, **knobs: partial(loss, class_counts=class_counts, **fixed, **knobs)


def _contrastive(*, rebalance: bool, class_average: bool) -> Callable[..., Loss]:
    def bind(class_counts: Tensor, **knobs: Any) -> Loss:
        return partial(
            contrastive_loss,
            class_counts=class_counts if rebalance else None,
            class_average=class_average,
            num_classes=len(class_counts),
            **knobs,
        )

    return bind


def _weights(class_counts: Tensor) -> Tensor:
    return class_balanced_weights(class_counts, BETA, torch.float64)


def _owned(class_counts: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Three experts: for all classes, for medium and few, and for few."""
    members = groups(np.asarray(class_counts))
    few = np.isin(np.arange(sum(map(len, members.values()))), members["few"])
    medium = np.isin(np.arange(len(few)), members["medium"])
    return np.stack([np.ones_like(few), medium | few, few])


LOSSES: dict[str, LossEntry] = {
    "ce": LossEntry(
        ("logits",),
        cross_entropy,
        _without_counts(cross_entropy),
        lambda class_counts: CrossEntropyLoss(),
    ),
    "class-balanced": LossEntry(
        ("logits",),
        cross_entropy,
        lambda class_counts: partial(cross_entropy, class_weights=_weights(class_counts)),
        lambda class_counts: CrossEntropyLoss(effective_number_weights(class_counts, BETA)),
        counts="sizes",
        parent="ce",
    ),
    "balanced-softmax": LossEntry(
        ("logits",),
        balanced_softmax_loss,
        _with_counts(balanced_softmax_loss),
        BalancedSoftmaxLoss,
        counts="ratios",
        parent="ce",
    ),
    "logit-adjustment": LossEntry(
        ("logits",),
        logit_adjusted_loss,
        _with_counts(logit_adjusted_loss),
        LogitAdjustedLoss,
        counts="ratios",
        parent="ce",
    ),
    "ldam": LossEntry(("logits",), ldam_loss, _with_counts(ldam_loss), LDAMLoss, counts="ratios"),
    "ldam-drw": LossEntry(
        ("logits",),
        ldam_loss,
        lambda class_counts: partial(
            ldam_loss, class_counts=class_counts, class_weights=_weights(class_counts)
        ),
        partial(LDAMLoss, beta=BETA),
        counts="sizes",
        parent="ldam",
    ),
    "cb-focal": LossEntry(
        ("logits",),
        class_balanced_focal_loss,
        _with_counts(class_balanced_focal_loss),
        ClassBalancedFocalLoss,
        counts="sizes",
    ),
    "scl": LossEntry(
        ("features",),
        contrastive_loss,
        _contrastive(rebalance=False, class_average=False),
        lambda class_counts, **knobs: SupervisedContrastiveLoss(**knobs),
    ),
    "bcl": LossEntry(
        ("features", "prototypes"),
        contrastive_loss,
        _contrastive(rebalance=False, class_average=True),
        BalancedContrastiveLoss,
    ),
    "rcl": LossEntry(
        ("features",),
        contrastive_loss,
        _contrastive(rebalance=True, class_average=False),
        RebalancedContrastiveLoss,
        counts="ratios",
        parent="scl",
    ),
    "bcl-rcl": LossEntry(
        ("features", "prototypes"),
        contrastive_loss,
        _contrastive(rebalance=True, class_average=True),
        partial(RebalancedContrastiveLoss, class_average=True),
        counts="ratios",
        parent="bcl",
    ),
    "embedding-margin": LossEntry(
        ("features",),
        embedding_margin_loss,
        _with_counts(embedding_margin_loss),
        EmbeddingMarginLoss,
        counts="ratios",
    ),
    "embedding-margin-cosine": LossEntry(
        ("features",),
        embedding_margin_loss,
        _with_counts(embedding_margin_loss, distance="cosine"),
        partial(EmbeddingMarginLoss, distance="cosine"),
        counts="ratios",
    ),
    "prototype": LossEntry(
        ("features", "prototypes"),
        prototype_loss,
        _without_counts(prototype_loss),
        lambda class_counts, **knobs: PrototypeLoss(**knobs),
    ),
    "robust-centroid": LossEntry(
        ("features", "class_means", "radii"),
        robust_centroid_loss,
        _without_counts(robust_centroid_loss),
        lambda class_counts, **knobs: RobustCentroidLoss(**knobs),
    ),
    "each-expert": LossEntry(
        ("expert_logits",),
        each_expert,
        _without_counts(each_expert, loss=cross_entropy),
        lambda class_counts: EachExpert(CrossEntropyLoss()),
    ),
    "expert-diversity": LossEntry(
        ("expert_logits",),
        expert_diversity,
        _without_counts(expert_diversity),
        ExpertDiversityLoss,
    ),
    "expert-diversity-tempered": LossEntry(
        ("expert_logits",),
        expert_diversity,
        lambda class_counts: partial(
            expert_diversity,
            temperatures=expert_temperatures(class_counts, DIVERSITY_FACTOR, torch.float64),
        ),
        partial(ExpertDiversityLoss, factor=DIVERSITY_FACTOR),
        counts="ratios",
        parent="expert-diversity",
    ),
    "distillation": LossEntry(
        ("expert_logits", "teacher_logits"),
        distillation_loss,
        _without_counts(distillation_loss),
        lambda class_counts, **knobs: DistillationLoss(**knobs),
    ),
    "complementary-experts": LossEntry(
        ("expert_logits",),
        complementary_experts_loss,
        lambda class_counts: partial(
            complementary_experts_loss, owned=torch.from_numpy(_owned(class_counts))
        ),
        lambda class_counts: ComplementaryExpertsLoss(_owned(class_counts)),
        counts="sizes",
    ),
    "routing": LossEntry(
        ("routing", "expert_logits"),
        routing_loss,
        _without_counts(routing_loss),
        lambda class_counts, **knobs: RoutingLoss(**knobs),
    ),
}
