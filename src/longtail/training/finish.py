"""The end of a run: the refit, the weights, the predictions and the record."""

import dataclasses
from pathlib import Path

import torch

from longtail.data.batches import Normalisation
from longtail.data.dataset import Dataset, Split
from longtail.evaluation import as_predictions, measure
from longtail.nn.encoders import count_parameters
from longtail.nn.model import AnyModel, Model
from longtail.nn.weights import write_weights
from longtail.prior import groups
from longtail.recipe import Choices
from longtail.record import (
    Code,
    DataSummary,
    Provenance,
    Record,
    RunMetrics,
    SplitMetrics,
    hardware,
    versions,
)
from longtail.training.plan import Plan
from longtail.training.scoring import encode_split, experts_asked, score_split
from longtail.training.state import TrainState

_RECORDED_VERSIONS = ("longtail", "torch", "torchvision", "numpy", "pillow", "safetensors")


def finish(
    folder: Path,
    plan: Plan,
    dataset: Dataset,
    state: TrainState,
    *,
    holdout: str | None,
    command: str,
    code: Code,
) -> None:
    """Evaluate the selected epoch and write the model, the predictions and the record."""
    if state.selected_model:
        state.model.load_state_dict(state.selected_model)
    choices = refit_classifier(plan, dataset, state.model)
    write_weights(folder / "model.safetensors", state.model)
    metrics = {
        name: _evaluate_split(folder, plan, dataset, state.model, name, split)
        for name, split in (("test", dataset.test), ("holdout", dataset.holdout))
    }
    record = Record(
        method=plan.resolved.method,
        recipe=plan.resolved.recipe_kind,
        knobs=plan.resolved.knobs,
        settings=dataclasses.asdict(plan.resolved.settings),
        backbone=plan.backbone,
        seed=plan.seed,
        data=summarise_data(dataset, plan.statistics, holdout),
        decisions=plan.decisions,
        provenance=_provenance(plan, state, code),
        metrics=RunMetrics(**metrics),
        selected_epoch=state.selected_epoch or plan.resolved.settings.epochs,
        selection="hold-out" if state.selected_epoch else "last epoch",
        best_on_test=state.best_on_test,
        choices=choices,
        experts_asked=experts_asked(plan, state.model, dataset.test or dataset.holdout),
        command=command,
    )
    record.write(folder / "record.json")


def refit_classifier(plan: Plan, dataset: Dataset, model: AnyModel) -> Choices:
    """What the method does to the classifier once training is over, and what it chose thereby."""
    refit = plan.resolved.recipe.refit
    if refit is None:
        return {}
    assert isinstance(model, Model)  # experts have no one classifier
    holdout = encode_split(plan, model, dataset.holdout) if dataset.holdout else None
    return refit.function(model, encode_split(plan, model, dataset.train), holdout)


def summarise_data(dataset: Dataset, statistics: Normalisation, holdout: str | None) -> DataSummary:
    """A dataset as its runs' records keep it."""
    pictures = dataset.kind != "vector"
    return DataSummary(
        name=dataset.name,
        source=dataset.source,
        hash=dataset.data_hash,
        kind=dataset.kind,
        class_names=dataset.class_names,
        train_counts=tuple(dataset.counts.tolist()),
        groups={name: tuple(ids) for name, ids in groups(dataset.counts).items()},
        test_size=len(dataset.test) if dataset.test else 0,
        holdout=holdout,
        input_shape=dataset.input_shape,
        image_size=dataset.input_shape[0] if pictures else None,
        mean=statistics.mean,
        std=statistics.std,
        notes=dataset.notes,
    )


def _evaluate_split(
    folder: Path, plan: Plan, dataset: Dataset, model: AnyModel, name: str, split: Split | None
) -> SplitMetrics | None:
    """Write `predictions-NAME.npz` and return the metrics."""
    if split is None:
        return None
    scores = score_split(plan, model, split)
    with torch.no_grad():
        prototypes = model.eval().prototypes()
    as_predictions(scores, split, prototypes).write(folder / f"predictions-{name}.npz")
    return measure(scores, split, dataset.counts)


def _provenance(plan: Plan, state: TrainState, code: Code) -> Provenance:
    gpu = torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else None
    return Provenance(
        **code._asdict(),
        versions=versions(_RECORDED_VERSIONS),
        hardware=hardware(gpu),
        seconds=round(state.seconds, 3),
        images_per_second=round(state.images_per_second(plan.resolved.settings.batch_size), 1),
        parameters=count_parameters(state.model),
        steps=state.step,
    )
