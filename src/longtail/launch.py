"""Training a method on data in one call, from words to a finished run folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from longtail.data.dataset import Dataset
from longtail.errors import CheckpointError, DataError, printable
from longtail.methods.resolve import RecipeKind, resolve
from longtail.nn.model import AnyModel
from longtail.recipe import DataInfo
from longtail.record import running_code
from longtail.request import Request, command_of, load_data, plan_run, words_of
from longtail.run import Run, load
from longtail.training.decisions import Switch, decisions_line
from longtail.training.feed import sampler_lines
from longtail.training.finish import finish, summarise_data
from longtail.training.folder import locked, open_folder, stored_configuration
from longtail.training.loop import fit, initial_state, num_steps
from longtail.training.plan import Plan, configuration
from longtail.training.threads import torch_threads

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
    watch: Callable[[dict[str, Any]], None] | None = None,
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
        watch: called with each epoch's line of the log; what it raises ends the training.

    Returns:
        The finished run.

    Raises:
        UsageError: an unknown name, knob or option, or a folder that exists already.
        DataError: data that cannot be read or that the method cannot work with.
        CheckpointError: a checkpoint of another configuration, or none that is intact.
        NumericError: the loss is no longer finite.
        Interrupted: a signal asked for the end.
    """
    request = Request(
        data=data,
        method=method,
        seed=seed,
        knobs=knobs or {},
        recipe=recipe,
        backbone=backbone,
        epochs=epochs,
        batch_size=batch_size,
        imbalance=imbalance,
        holdout=holdout,
        image_size=image_size,
        eval_every=eval_every,
        device=device,
        precision=precision,
        threads=threads,
        compile=compile,
    )
    folder = Path(out) if out is not None else default_folder(data, method, seed)
    # Names and the folder are checked before data are read, which may take minutes, and before
    # anything is written into a folder that may not be a run's.
    teacher = resolve(method, _STANDING_IN, knobs=knobs, recipe=recipe).recipe.teacher
    if teacher is not None:
        load_teacher(teacher)
    stored_configuration(folder, resume)
    with locked(folder):
        stored = stored_configuration(folder, resume)
        dataset = load_data(request)
        plan = plan_run(request, dataset, stored)
        with torch_threads(plan.decisions.threads):
            _train_to_the_end(
                plan,
                dataset,
                folder,
                stored,
                holdout=holdout,
                command=command_of(words_of(request, plan, folder)),
                progress=progress,
                checkpoint_seconds=checkpoint_seconds,
                watch=watch,
            )
        return load(folder)


def _train_to_the_end(
    plan: Plan,
    dataset: Dataset,
    folder: Path,
    stored: dict[str, Any] | None,
    *,
    holdout: str | None,
    command: str,
    progress: bool,
    checkpoint_seconds: float,
    watch: Callable[[dict[str, Any]], None] | None,
) -> None:
    """From wherever the folder is to a finished run."""
    teacher, state = teacher_of(plan, dataset, holdout), initial_state(plan, dataset)
    notes = open_folder(folder, stored, configuration(plan, dataset, holdout), state)
    if progress:
        sampling, how = sampler_lines(plan, dataset), decisions_line(plan.decisions)
        lines = (*dataset.notes, *notes, length_of(plan, dataset), *sampling, how)
        print(*map(printable, lines), sep="\n")
    # A finished run is left as it is: its record says which code it was that ran.
    if stored and state.step == num_steps(plan, dataset) and _is_finished(folder):
        return
    code = running_code()  # a checkout may change meanwhile
    fit(
        plan,
        dataset,
        state,
        teacher=teacher,
        folder=folder,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
        watch=watch,
    )
    finish(folder, plan, dataset, state, holdout=holdout, command=command, code=code)


def default_folder(data: str | Dataset, method: str, seed: int) -> Path:
    """runs/DATA-METHOD-sSEED."""
    name = data.name if isinstance(data, Dataset) else Path(data).stem or Path(data).resolve().name
    return Path("runs") / f"{name}-{method}-s{seed}"


def teacher_of(plan: Plan, dataset: Dataset, holdout: str | None) -> AnyModel | None:
    """The model of the finished run that the recipe learns from, on the plan's device.

    Raises:
        DataError: it was trained on other data: it may have seen what this run is tested on.
        CheckpointError: no finished run, or a corrupt one.
    """
    path = plan.resolved.recipe.teacher
    if path is None:
        return None
    run = load_teacher(path)
    known, wanted = run.record.data, summarise_data(dataset, plan.statistics, holdout)
    for name in ("class_names", "hash", "holdout", "train_counts", "input_shape"):
        there, here = getattr(known, name), getattr(wanted, name)
        if there != here:
            raise DataError(
                f"The teacher {path} was trained on {known.name} with another {name} than this run "
                f"of {dataset.name}; train a teacher on the same data, cut and hold-out."
            )
    if run.resolved.recipe.heads.nearest_mean or run.resolved.recipe.posthoc:
        raise DataError(
            f"The teacher {path} ({run.record.method}) does not predict with what it was trained "
            "by; teach with a run of another method."
        )
    return run.model.to(plan.device).requires_grad_(False)


def load_teacher(path: str) -> Run:
    """The finished run at `path`.

    Raises:
        CheckpointError: there is none; the message names the knob.
    """
    try:
        run = load(path)
        run.model  # noqa: B018 - its weights are read now, while the error can name the knob
        return run
    except CheckpointError as error:
        raise CheckpointError(f"--set teacher={path}: {error}") from error


def length_of(plan: Plan, dataset: Dataset) -> str:
    """How long a run is, in words, since small data make epochs of very few steps."""
    steps, batch = num_steps(plan, dataset), plan.resolved.settings.batch_size
    text = f"{steps:,} steps of {batch} samples, {steps // plan.resolved.settings.epochs} an epoch."
    if steps < _FEW_STEPS:
        text += " That is little to learn from: try more --epochs or a smaller --batch-size."
    return text


def _is_finished(folder: Path) -> bool:
    return (folder / "record.json").exists() and (folder / "model.safetensors").exists()
