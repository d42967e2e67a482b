"""What happens between two epochs: what holds for the next, the log's line, the live accuracy."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from longtail.data.dataset import Dataset
from longtail.errors import NumericError
from longtail.evaluation import measure
from longtail.nn.classifiers import class_means
from longtail.nn.model import AnyModel
from longtail.recipe import Weight
from longtail.record import BestOnTest, SplitMetrics
from longtail.training.compression import choose_weak_classes
from longtail.training.feed import drawn_classes
from longtail.training.log import append_line
from longtail.training.plan import Plan
from longtail.training.scoring import encode_split, score_split
from longtail.training.stages import Phase
from longtail.training.state import TrainState


def start_of_epoch(
    plan: Plan, dataset: Dataset, state: TrainState, phase: Phase, epoch: int, *, resumed: bool
) -> None:
    """Set what holds for the whole 0-based `epoch`; what was measured is kept when resumed."""
    recipe, progress = plan.resolved.recipe, epoch / plan.resolved.settings.epochs
    weights = [weight_at(term.weight, progress) for term in phase.stage.terms]
    state.term_weights[: len(weights)] = torch.tensor(weights)
    if recipe.feature_factors and progress >= recipe.feature_factors.start:
        state.feature_factors.copy_(recipe.feature_factors.factors)
    if resumed:
        return
    state.loss_sums.zero_()
    choose_weak_classes(plan, dataset, state, epoch)
    if any("class_means" in term.reads for term in phase.stage.terms):
        state.class_means.copy_(measure_class_means(plan, dataset, state.model))


def weight_at(weight: Weight, progress: float) -> float:
    """A term's weight after `progress` of training, in [0, 1)."""
    return weight(progress) if callable(weight) else weight


def measure_class_means(plan: Plan, dataset: Dataset, model: AnyModel) -> Tensor:
    """Mean features [c, d] of each class's training samples as they are; 0 without a sample."""
    features, labels = encode_split(plan, model, dataset.train)
    return class_means(features, labels, dataset.num_classes)


def end_of_epoch(
    plan: Plan, dataset: Dataset, phase: Phase, state: TrainState, epoch: int, folder: Path | None
) -> dict[str, Any]:
    """Log the 0-based `epoch` that has just ended, with the live accuracy where it is due.

    Raises:
        NumericError: the epoch's loss is not finite, or the weights are not.
    """
    line = _losses(plan, dataset, phase, state, epoch)
    line |= drawn_classes(plan, dataset, state, phase, epoch)
    epochs = plan.resolved.settings.epochs
    if (epoch + 1) % plan.eval_every == 0 or epoch + 1 == epochs:
        line |= _live_accuracy(plan, dataset, state, epoch, last=phase.end == epochs)
    if folder is not None:
        append_line(folder / "log.jsonl", line)
    return line


def _losses(
    plan: Plan, dataset: Dataset, phase: Phase, state: TrainState, epoch: int
) -> dict[str, Any]:
    settings = plan.resolved.settings
    per_epoch = len(dataset.train) // settings.batch_size
    total, *terms = (state.loss_sums / per_epoch).tolist()
    if not state.is_finite():
        raise NumericError(
            f"The loss or the weights are not finite in epoch {epoch + 1}; the last checkpoint is "
            f"from before. Try a smaller rate in a new folder, e.g. {_slower(phase)}."
        )
    return {
        "epoch": epoch + 1,
        "step": state.step,
        "stage": phase.number + 1,
        "lr": phase.learning_rate(state.step - 1, per_epoch),
        "loss": total,
        "terms": {term.name: value for term, value in zip(phase.stage.terms, terms, strict=False)},
        "seconds": round(state.seconds, 3),
        "images_per_second": round(state.images_per_second(settings.batch_size), 1),
    }


def _slower(phase: Phase) -> str:
    """What to type for half the rate of a phase."""
    if phase.schedule_first == 0:
        return f"--set lr={phase.settings.lr / 2:g}"
    return f"{phase.settings.lr / 2:g} for stage {phase.number + 1}, which has a knob for it"


def _live_accuracy(
    plan: Plan, dataset: Dataset, state: TrainState, epoch: int, *, last: bool
) -> dict[str, Any]:
    """Accuracy on the hold-out, which may choose the epoch, or else on test, which may not.

    Epochs of the last stage alone are chosen or remembered, and none before a refit: they do not
    predict as the method does in the end.
    """
    name, split = ("holdout", dataset.holdout) if dataset.holdout else ("test", dataset.test)
    if split is None:
        return {}
    scores = score_split(plan, state.model, split)
    metrics = measure(scores, split, dataset.counts)
    if last and plan.resolved.recipe.refit is None:
        keep = _select if name == "holdout" else _remember_best_on_test
        keep(state, metrics, epoch)
    return {"split": name, "accuracy": dataclasses.asdict(metrics)}


def _select(state: TrainState, metrics: SplitMetrics, epoch: int) -> None:
    """Keep the weights of the epoch that the hold-out likes best; the first of equals."""
    if metrics.balanced_accuracy > state.selected_score:
        state.selected_epoch = epoch + 1
        state.selected_score = metrics.balanced_accuracy
        state.selected_model = {
            name: value.detach().cpu().clone() for name, value in state.model.state_dict().items()
        }


def _remember_best_on_test(state: TrainState, metrics: SplitMetrics, epoch: int) -> None:
    best = state.best_on_test
    if best is None or metrics.balanced_accuracy > best.balanced_accuracy:
        names = {field.name for field in dataclasses.fields(BestOnTest)} - {"epoch"}
        numbers = {name: getattr(metrics, name) for name in names}
        state.best_on_test = BestOnTest(epoch=epoch + 1, **numbers)
