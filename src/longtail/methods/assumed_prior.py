"""Which class prior a trained model's logits are under, read off its recipe."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from longtail.data.samplers import class_shares
from longtail.losses import (
    ClassBalancedFocalLoss,
    ComplementaryExpertsLoss,
    CrossEntropyLoss,
    EachExpert,
    LDAMLoss,
    LogitAdjustedLoss,
)
from longtail.prior import Floats, as_counts, log_prior
from longtail.recipe import Recipe, Stage

_WHY_NONE: dict[type[nn.Module], str] = {
    ClassBalancedFocalLoss: "focal loss on one sigmoid a class fits no softmax",
    LDAMLoss: "LDAM's margins, on the true logit alone, shift logits by more than a prior",
    ComplementaryExpertsLoss: "its experts are held at zero elsewhere and rescaled to be averaged",
}


class AssumedPrior(NamedTuple):
    """The prior that logits are under.

    Attributes:
        log_prior: float64 [c], its exponentials sum to 1; None where no prior follows.
        reason: why none follows, to stand after a colon; "" where one does.
    """

    log_prior: Floats | None
    reason: str = ""


def assumed_prior(recipe: Recipe, class_counts: npt.ArrayLike) -> AssumedPrior:
    """The prior q for which logits f at the loss's optimum are log p(x | y) + log q_y + const(x).

    Of the last stage in which a classifier learns, with logits free to take any value: a sampler
    that draws class y with share s_y, weights w_y in the cross-entropy and la_tau * log pi_y on the
    logits in training make q_y proportional to s_y * w_y / pi_y**la_tau, and what adjusts logits
    after training goes on top. Exact for class weights only where every batch weighs the same in
    all, which large batches come near. A class without a training sample counts as if it had one.

    No prior follows where the optimum is no such shift, or is not reached: margins, sigmoids,
    distances, rescaled classifiers, features that test samples have otherwise, learned shares.

    Sources: Elkan 2001 (IJCAI) for shares and weights, Menon et al. 2021 (arXiv 2007.07314) for
    la_tau.

    Args:
        recipe: that was trained.
        class_counts: [c] training samples a class.

    Raises:
        DataError: counts that are no counts.
    """
    counts = np.maximum(as_counts(class_counts), 1)
    stage = [stage for stage in recipe.stages if stage.trainable != ("router",)][-1]
    reason = _reshaped(recipe) or _shifting(stage, counts) or _untaught(stage)
    if reason:
        return AssumedPrior(None, reason)
    (loss,) = _classifier_losses(stage)
    found = np.log(class_shares(stage.sampler, counts)) + _shift_by(loss)
    if recipe.posthoc is not None:
        zero = torch.zeros(1, len(counts), dtype=torch.float64)
        found = found + recipe.posthoc(zero)[0].numpy()
    return AssumedPrior(found - np.logaddexp.reduce(found))


def _reshaped(recipe: Recipe) -> str:
    """Why logits at test are not those that were trained; "" where they are."""
    if recipe.heads.nearest_mean:
        return "distances to class means are no log probabilities"
    if recipe.refit is not None:
        return "its classifier is rescaled after training"
    before_head = recipe.compression is not None and recipe.compression.side == "before-head"
    if recipe.feature_factors is not None or before_head:
        return "its features have class factors in training that they lack in test"
    return ""


def _shifting(stage: Stage, counts: npt.NDArray[np.int64]) -> str:
    """Why the classes have no one share of the samples; "" where they have."""
    if stage.meta is not None:
        return "the meta sampler learns how often each class is drawn"
    first, last = (class_shares(stage.sampler, counts, progress) for progress in (0.0, 1.0))
    return "" if np.array_equal(first, last) else "its sampler changes as training goes on"


def _untaught(stage: Stage) -> str:
    """Why the losses do not bring free logits to the posterior; "" where they do."""
    losses = _classifier_losses(stage)
    for loss in losses:
        if not isinstance(loss, CrossEntropyLoss | LogitAdjustedLoss):
            return _WHY_NONE.get(type(loss), "its loss is no cross-entropy")
    if len(losses) != 1:
        return "not one loss teaches its classifier"
    if stage.trainable and "classifier" not in stage.trainable:
        return "only part of its classifier learns in the last stage"
    return ""


def _classifier_losses(stage: Stage) -> list[nn.Module]:
    """Those on logits; of experts, the loss that each has."""
    found = [t.loss for t in stage.terms if t.reads[0] in ("logits", "expert_logits") and t.weight]
    return [loss.loss if isinstance(loss, EachExpert) else loss for loss in found]


def _shift_by(loss: nn.Module) -> Floats | float:
    """What a loss adds to the log prior of the samples it sees."""
    if isinstance(loss, LogitAdjustedLoss):
        return np.asarray(-loss.la_tau * log_prior(loss.class_counts.cpu().numpy()), np.float64)
    assert isinstance(loss, CrossEntropyLoss)  # `_untaught` lets no other pass
    weights = loss.class_weights
    return 0.0 if weights is None else np.log(weights.cpu().numpy().astype(np.float64))
