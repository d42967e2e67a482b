"""Training a method on data in one call, from words to a finished run folder."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from longtail.data.batches import Normalisation
from longtail.data.dataset import Dataset, Split
from longtail.data.load import load_dataset, prepare
from longtail.errors import DataError, UsageError, printable
from longtail.evaluation import as_predictions, measure
from longtail.methods.resolve import RecipeKind, resolve
from longtail.nn.encoders import count_parameters, default_backbone
from longtail.nn.model import AnyModel, Model
from longtail.nn.weights import write_weights
from longtail.prior import groups
from longtail.recipe import Choices, DataInfo
from longtail.record import (
    DataSummary,
    Provenance,
    Record,
    RunMetrics,
    SplitMetrics,
    hardware,
    revision,
    source_hash,
    versions,
)
from longtail.run import Run, load
from longtail.training.decisions import Switch, decisions_line, pixels_seen
from longtail.training.feed import sampler_lines
from longtail.training.folder import decisions_for, locked, open_folder, stored_configuration
from longtail.training.loop import fit, initial_state, num_steps
from longtail.training.plan import Plan, configuration, make_plan
from longtail.training.scoring import encode_split, score_split
from longtail.training.state import TrainState
from longtail.training.threads import torch_threads

_RECORDED_VERSIONS = ("longtail", "torch", "torchvision", "numpy", "pillow", "safetensors")
_FEW_STEPS = 500
_STANDING_IN = DataInfo(np.ones(1000, np.int64))


def train(
    data: str | Dataset,
    method: str = "rcl",
    *,
    seed: int = 0,
    knobs: Mapping[str, object] | None = None,
    recipe: RecipeKind = "common",
    backbone: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    imbalance: float | None = None,
    holdout: str | None = None,
    image_size: int | None = None,
    eval_every: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    compile: Switch = "auto",
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    checkpoint_seconds: float = 60.0,
) -> Run:
    """Train a method and write a run folder: record, log, predictions, model, checkpoints.

    Args:
        data: a name (cifar10-lt, cifar100-lt, digits-lt, ...), a path to class folders, .zip or
            .npz, or a `Dataset`.
        method: as listed by `longtail methods`.
        seed: of the weights and of every draw.
        knobs: of the method and the optimiser, e.g. {"la_tau": 1.0, "lr": 0.1}.
        recipe: "common" (all methods alike) or "paper" (the method's own).
        backbone: resnet32, resnet8-w8, mlp, timm:NAME, ...; by the data when left out.
        epochs: passes over the data; the recipe's when left out.
        batch_size: the recipe's when left out.
        imbalance: cuts the data to this ratio of largest to smallest class.
        holdout: "0.1" or "discarded:20": what choices are made on.
        image_size: side in pixels that class folders are resized to; a `Dataset` has its own.
        eval_every: epochs between two live accuracies; 20 of them a run when left out.
        device: "auto", "cpu", "cuda", ...
        precision: "auto", "bf16" or "fp32".
        threads: of the CPU; every core when left out.
        compile: "on" compiles the model; "auto" does where the run is long enough for it to pay.
        out: the run's folder; runs/DATA-METHOD-sSEED when left out.
        resume: goes on with an existing run, and starts one that is missing.
        progress: shows how it goes.
        checkpoint_seconds: time between checkpoints.

    Returns:
        The finished run.

    Raises:
        UsageError: an unknown name, knob or option, or a folder that exists already.
        DataError: data that cannot be read or that the method cannot work with.
        CheckpointError: a checkpoint of another configuration, or none that is intact.
        NumericError: the loss is no longer finite.
        Interrupted: a signal asked for the end.
    """
    folder = Path(out) if out is not None else default_folder(data, method, seed)
    if not 0 <= seed < 2**32:
        raise UsageError(f"--seed {seed}: it must lie in 0..{2**32 - 1}.")
    # Names and the folder are checked before data are read, which may take minutes, and before
    # anything is written into a folder that may not be a run's.
    resolve(method, _STANDING_IN, knobs=knobs, recipe=recipe)
    stored_configuration(folder, resume)
    with locked(folder):
        stored = stored_configuration(folder, resume)
        if isinstance(data, Dataset):
            dataset = prepare(data, imbalance=imbalance, holdout=holdout)
        else:
            dataset = load_dataset(
                data, imbalance=imbalance, holdout=holdout, image_size=image_size
            )
        resolved = resolve(
            method,
            DataInfo(dataset.counts),
            knobs=knobs,
            recipe=recipe,
            epochs=epochs,
            batch_size=batch_size,
        )
        pixels = pixels_seen(dataset, resolved)
        plan = make_plan(
            dataset,
            resolved,
            backbone=backbone or default_backbone(dataset.input_shape),
            seed=seed,
            eval_every=eval_every,
            decisions=decisions_for(stored, device, precision, threads, compile, pixels=pixels),
        )
        options = {"--imbalance": imbalance, "--holdout": holdout, "--image-size": image_size}
        with torch_threads(plan.decisions.threads):
            teacher = teacher_of(plan, dataset)
            state = initial_state(plan, dataset)
            notes = open_folder(folder, stored, configuration(plan, dataset, holdout), state)
            if progress:
                how = decisions_line(plan.decisions)
                sampling = sampler_lines(plan, dataset)
                lines = (*dataset.notes, *notes, length_of(plan, dataset), *sampling, how)
                print(*map(printable, lines), sep="\n")
            # A finished run is left as it is: its record says which code it was that ran.
            if stored and state.step == num_steps(plan, dataset) and _is_finished(folder):
                return load(folder)
            fit(
                plan,
                dataset,
                state,
                teacher=teacher,
                folder=folder,
                checkpoint_seconds=checkpoint_seconds,
                progress=progress,
            )
            command = command_of(data, plan, options, folder)
            return finish(folder, plan, dataset, state, holdout=holdout, command=command)


def default_folder(data: str | Dataset, method: str, seed: int) -> Path:
    """runs/DATA-METHOD-sSEED."""
    name = data.name if isinstance(data, Dataset) else Path(data).stem or Path(data).resolve().name
    return Path("runs") / f"{name}-{method}-s{seed}"


def finish(
    folder: Path,
    plan: Plan,
    dataset: Dataset,
    state: TrainState,
    *,
    holdout: str | None,
    command: str,
) -> Run:
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
        provenance=_provenance(plan, state),
        metrics=RunMetrics(**metrics),
        selected_epoch=state.selected_epoch or plan.resolved.settings.epochs,
        selection="hold-out" if state.selected_epoch else "last epoch",
        best_on_test=state.best_on_test,
        choices=choices,
        command=command,
    )
    record.write(folder / "record.json")
    return load(folder)


def refit_classifier(plan: Plan, dataset: Dataset, model: AnyModel) -> Choices:
    """What the method does to the classifier once training is over, and what it chose thereby."""
    refit = plan.resolved.recipe.refit
    if refit is None:
        return {}
    assert isinstance(model, Model)  # experts have no one classifier
    holdout = encode_split(plan, model, dataset.holdout) if dataset.holdout else None
    return refit.function(model, encode_split(plan, model, dataset.train), holdout)


def teacher_of(plan: Plan, dataset: Dataset) -> AnyModel | None:
    """The model of the finished run that the recipe learns from, on the plan's device.

    Raises:
        DataError: it was trained on other classes or inputs.
        CheckpointError: no finished run, or a corrupt one.
    """
    path = plan.resolved.recipe.teacher
    if path is None:
        return None
    run = load(path)
    known, wanted = run.record.data, summarise_data(dataset, plan.statistics, None)
    for name in ("class_names", "input_shape", "mean", "std"):
        if getattr(known, name) != getattr(wanted, name):
            raise DataError(
                f"The teacher {path} was trained on {known.name} with other {name} than "
                f"{dataset.name}; train a teacher on the same data."
            )
    return run.model.to(plan.device).requires_grad_(False)


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


def command_of(data: str | Dataset, plan: Plan, options: Mapping[str, object], folder: Path) -> str:
    """The command line that runs a plan again, with every decision spelled out."""
    resolved, decisions = plan.resolved, plan.decisions
    settings = dataclasses.asdict(resolved.settings)
    sizes = {name: settings.pop(name) for name in ("epochs", "batch_size")}
    words = ["longtail", "train", data if isinstance(data, str) else data.name]
    flags = {
        "--method": resolved.method,
        "--recipe": resolved.recipe_kind,
        "--backbone": plan.backbone,
        "--epochs": sizes["epochs"],
        "--batch-size": sizes["batch_size"],
        "--seed": plan.seed,
        **{name: value for name, value in options.items() if value is not None},
        "--eval-every": plan.eval_every,
        "--device": decisions.device,
        "--precision": decisions.precision,
        "--threads": decisions.threads,
        "--compile": "on" if decisions.compile else "off",
        "--out": folder,
    }
    for flag, value in flags.items():
        words += [flag, str(value)]
    for name, value in {**resolved.knobs, **settings}.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += ["--set", f"{name}={text}"]
    return shlex.join(words)


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


def _provenance(plan: Plan, state: TrainState) -> Provenance:
    gpu = torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else None
    return Provenance(
        source_hash=source_hash(),
        revision=revision(),
        versions=versions(_RECORDED_VERSIONS),
        hardware=hardware(gpu),
        seconds=round(state.seconds, 3),
        images_per_second=round(
            state.step * plan.resolved.settings.batch_size / max(state.seconds, 1e-9), 1
        ),
        parameters=count_parameters(state.model),
        steps=state.step,
    )


def length_of(plan: Plan, dataset: Dataset) -> str:
    """How long a run is, in words, since small data make epochs of very few steps."""
    steps, batch = num_steps(plan, dataset), plan.resolved.settings.batch_size
    text = f"{steps:,} steps of {batch} samples, {steps // plan.resolved.settings.epochs} an epoch."
    if steps < _FEW_STEPS:
        text += " That is little to learn from: try more --epochs or a smaller --batch-size."
    return text


def _is_finished(folder: Path) -> bool:
    return (folder / "record.json").exists() and (folder / "model.safetensors").exists()
