"""What happens between two epochs: the log's line, the live accuracy, the choice of an epoch."""

import dataclasses
from pathlib import Path
from typing import Any

from longtail.data.dataset import Dataset
from longtail.errors import NumericError
from longtail.evaluation import measure
from longtail.optim import learning_rate
from longtail.recipe import Stage
from longtail.record import BestOnTest, SplitMetrics
from longtail.training.log import append_line
from longtail.training.plan import Plan
from longtail.training.scoring import score_split
from longtail.training.state import TrainState


def end_of_epoch(
    plan: Plan, dataset: Dataset, stage: Stage, state: TrainState, epoch: int, folder: Path | None
) -> dict[str, Any]:
    """Log the 0-based `epoch` that has just ended, with the live accuracy where it is due.

    Raises:
        NumericError: the epoch's loss is not finite, or the weights are not.
    """
    line = _losses(plan, dataset, stage, state, epoch)
    epochs = plan.resolved.settings.epochs
    if (epoch + 1) % plan.eval_every == 0 or epoch + 1 == epochs:
        line |= _live_accuracy(plan, dataset, state, epoch)
    if folder is not None:
        append_line(folder / "log.jsonl", line)
    return line


def _losses(
    plan: Plan, dataset: Dataset, stage: Stage, state: TrainState, epoch: int
) -> dict[str, Any]:
    settings = plan.resolved.settings
    per_epoch = len(dataset.train) // settings.batch_size
    total, *terms = (state.loss_sums / per_epoch).tolist()
    if not state.is_finite():
        raise NumericError(
            f"The loss or the weights are not finite in epoch {epoch + 1}; the last checkpoint is "
            f"from before. Try a smaller rate, e.g. --set lr={settings.lr / 2:g}, in a new folder."
        )
    return {
        "epoch": epoch + 1,
        "step": state.step,
        "lr": learning_rate(settings, state.step - 1, settings.epochs * per_epoch),
        "loss": total,
        "terms": {term.name: value for term, value in zip(stage.terms, terms, strict=False)},
        "seconds": round(state.seconds, 3),
        "images_per_second": round(state.images_per_second(settings.batch_size), 1),
    }


def _live_accuracy(plan: Plan, dataset: Dataset, state: TrainState, epoch: int) -> dict[str, Any]:
    """Accuracy on the hold-out, which may choose the epoch, or else on test, which may not."""
    name, split = ("holdout", dataset.holdout) if dataset.holdout else ("test", dataset.test)
    if split is None:
        return {}
    scores = score_split(plan, state.model, split)
    metrics = measure(scores, split, dataset.counts)
    if name == "holdout":
        _select(state, metrics, epoch)
    else:
        _remember_best_on_test(state, metrics, epoch)
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
