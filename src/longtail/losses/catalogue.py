"""Every loss by name, in one shape, so that one contract suite holds all of them.

A new loss is a function, a line here and a slow loop in the tests' references.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from longtail.losses.contrastive import contrastive_loss
from longtail.losses.logit import balanced_softmax_loss, cross_entropy, logit_adjusted_loss
from longtail.losses.modules import (
    BalancedContrastiveLoss,
    BalancedSoftmaxLoss,
    CrossEntropyLoss,
    LogitAdjustedLoss,
    RebalancedContrastiveLoss,
    SupervisedContrastiveLoss,
)

Kind = Literal["logits", "features"]
Loss = Callable[..., Tensor]
"""Called with (logits, labels) or (features, labels, prototypes); returns a scalar."""


@dataclasses.dataclass(frozen=True)
class LossEntry:
    """One loss of the catalogue.

    Attributes:
        kind: what the loss reads: class logits [b, c], or features [n, d] and their labels.
        function: the public function behind it.
        bind: (class_counts int64 [c], **knobs) -> the loss as a pure call; the knobs are keyword
            arguments of the function, such as `temperature` or `la_tau`.
        module: the same as an `nn.Module`, from the same arguments.
        prototypes: the loss reads one prototype a class beside the features.
        parent: the loss it becomes under uniform counts; None where counts change nothing.
    """

    kind: Kind
    function: Loss
    bind: Callable[..., Loss]
    module: Callable[..., nn.Module]
    prototypes: bool = False
    parent: str | None = None


def _without_counts(loss: Callable[..., Any]) -> Callable[..., Any]:
    return lambda class_counts, **knobs: partial(loss, **knobs)


def _on_logits(loss: Loss) -> Callable[..., Loss]:
    return lambda class_counts, **knobs: partial(loss, class_counts=class_counts, **knobs)


def _on_features(*, rebalance: bool, class_average: bool) -> Callable[..., Loss]:
    def bind(class_counts: Tensor, **knobs: Any) -> Loss:
        return partial(
            contrastive_loss,
            class_counts=class_counts if rebalance else None,
            class_average=class_average,
            num_classes=len(class_counts),
            **knobs,
        )

    return bind


LOSSES: dict[str, LossEntry] = {
    "ce": LossEntry(
        "logits",
        cross_entropy,
        _without_counts(cross_entropy),
        lambda class_counts: CrossEntropyLoss(),
    ),
    "balanced-softmax": LossEntry(
        "logits",
        balanced_softmax_loss,
        _on_logits(balanced_softmax_loss),
        BalancedSoftmaxLoss,
        parent="ce",
    ),
    "logit-adjustment": LossEntry(
        "logits",
        logit_adjusted_loss,
        _on_logits(logit_adjusted_loss),
        LogitAdjustedLoss,
        parent="ce",
    ),
    "scl": LossEntry(
        "features",
        contrastive_loss,
        _on_features(rebalance=False, class_average=False),
        lambda class_counts, **knobs: SupervisedContrastiveLoss(**knobs),
    ),
    "bcl": LossEntry(
        "features",
        contrastive_loss,
        _on_features(rebalance=False, class_average=True),
        BalancedContrastiveLoss,
        prototypes=True,
    ),
    "rcl": LossEntry(
        "features",
        contrastive_loss,
        _on_features(rebalance=True, class_average=False),
        RebalancedContrastiveLoss,
        parent="scl",
    ),
    "bcl-rcl": LossEntry(
        "features",
        contrastive_loss,
        _on_features(rebalance=True, class_average=True),
        partial(RebalancedContrastiveLoss, class_average=True),
        prototypes=True,
        parent="bcl",
    ),
}
