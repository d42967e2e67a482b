"""RCL's compression: which classes are weak is decided once, on the hold-out."""

import torch

from longtail.data.dataset import Dataset
from longtail.evaluation import measure
from longtail.training.plan import Plan
from longtail.training.scoring import score_split
from longtail.training.state import TrainState


def choose_weak_classes(plan: Plan, dataset: Dataset, state: TrainState, epoch: int) -> None:
    """At the recipe's start epoch, give every class below its threshold the factor.

    Source: De Alvis et al. 2023, arXiv 2312.01753. The paper's "validation accuracy" is read as
    that of a hold-out taken from train: on test the method would read the test labels.

    Args:
        plan: with or without compression; without, nothing happens.
        dataset: with a hold-out where there is compression.
        state: its `class_scale` is set.
        epoch: 0-based, about to begin.
    """
    compression = plan.resolved.recipe.compression
    epochs = plan.resolved.settings.epochs
    if compression is None or epoch != min(round(compression.start * epochs), epochs - 1):
        return
    assert dataset.holdout is not None  # make_plan has refused the run otherwise
    scores = score_split(plan, state.model, dataset.holdout)
    per_class = measure(scores, dataset.holdout, dataset.counts).per_class
    # A class without a hold-out picture is not known to be weak.
    weak = [accuracy is not None and accuracy < compression.threshold for accuracy in per_class]
    chosen = torch.where(torch.tensor(weak), compression.factor, 1.0)
    state.class_scale.copy_(chosen)
