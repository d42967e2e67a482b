"""Scoring a split as a plan says."""

import torch

from longtail.data.dataset import Split
from longtail.evaluation import Scores, encode, score
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
