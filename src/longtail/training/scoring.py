"""Scoring a split as a plan says."""

from longtail.data.dataset import Split
from longtail.evaluation import Scores, score
from longtail.nn.model import Model
from longtail.training.plan import Plan


def score_split(plan: Plan, model: Model, split: Split) -> Scores:
    """Logits and embeddings of a split, normalised, adjusted and rounded as the plan has it."""
    return score(
        model,
        split,
        statistics=plan.statistics,
        posthoc=plan.resolved.recipe.posthoc,
        device=plan.device,
        precision=plan.decisions.precision,
    )
