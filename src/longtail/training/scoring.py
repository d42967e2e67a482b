"""Scoring a split as a plan says."""

import torch

from longtail.data.dataset import Split
from longtail.evaluation import Scores, encode, mean_experts, score
from longtail.nn.experts import ExpertModel
from longtail.nn.model import AnyModel
from longtail.recipe import Labelled
from longtail.training.plan import Plan


def score_split(plan: Plan, model: AnyModel, split: Split) -> Scores:
    """Logits and embeddings of a split, normalised, adjusted and rounded as the plan has it."""
    return score(
        model,
        split,
        statistics=plan.statistics,
        posthoc=plan.resolved.recipe.posthoc,
        device=plan.device,
        precision=plan.decisions.precision,
    )


def experts_asked(plan: Plan, model: AnyModel, split: Split | None) -> float | None:
    """Mean number of experts that a router asks on a split; None without a router."""
    if split is None or not isinstance(model, ExpertModel) or model.router is None:
        return None
    return mean_experts(
        model,
        split,
        statistics=plan.statistics,
        device=plan.device,
        precision=plan.decisions.precision,
    )


def encode_split(plan: Plan, model: AnyModel, split: Split) -> Labelled:
    """Features and labels of a split, on the plan's device."""
    features = encode(
        model,
        split,
        statistics=plan.statistics,
        device=plan.device,
        precision=plan.decisions.precision,
    )
    return Labelled(features, torch.tensor(split.labels, device=plan.device))
