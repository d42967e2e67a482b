"""Training a method on data in one call, and a finished run with what it can do."""

import dataclasses
import functools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch

from longtail.data.batches import Normalisation
from longtail.data.dataset import Dataset, Split, split_of
from longtail.data.decode import decode
from longtail.data.load import SOURCES, load_dataset
from longtail.errors import CheckpointError, DataError
from longtail.evaluation import Scores, as_predictions, measure, score
from longtail.methods.resolve import RecipeKind, Resolved, resolve
from longtail.metrics import confusion_matrix, summarise_confusion
from longtail.nn.encoders import count_parameters, default_backbone
from longtail.nn.model import Model, build_model
from longtail.prior import groups
from longtail.recipe import DataInfo
from longtail.record import (
    DataSummary,
    Provenance,
    Record,
    RunMetrics,
    SplitMetrics,
    hardware,
    read_bytes,
    read_predictions,
    read_record,
    revision,
    source_hash,
    versions,
    write_atomically,
)
from longtail.training.folder import decisions_for, open_folder, stored_configuration
from longtail.training.loop import fit, initial_state
from longtail.training.plan import Plan, Switch, configuration, make_plan
from longtail.training.state import TrainState

_RECORDED_VERSIONS = ("longtail", "torch", "torchvision", "numpy", "pillow", "safetensors")


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
) -> "Run":
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
        image_size: side in pixels that class folders are resized to.
        eval_every: epochs between two live accuracies; 20 of them a run when left out.
        device: "auto", "cpu", "cuda", ...
        precision: "auto", "bf16" or "fp32".
        threads: of the CPU; every core when left out.
        compile: "on" compiles the model; "auto" is off for now.
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
    # Names and the folder are checked before data are read, which may take minutes.
    resolve(method, DataInfo(np.ones(2, np.int64)), knobs=knobs, recipe=recipe)
    stored = stored_configuration(folder, resume)
    dataset = (
        data
        if isinstance(data, Dataset)
        else load_dataset(data, imbalance=imbalance, holdout=holdout, image_size=image_size)
    )
    plan = make_plan(
        dataset,
        resolve(
            method,
            DataInfo(dataset.counts),
            knobs=knobs,
            recipe=recipe,
            epochs=epochs,
            batch_size=batch_size,
        ),
        backbone=backbone or default_backbone(dataset.input_shape),
        seed=seed,
        eval_every=eval_every,
        decisions=decisions_for(stored, device, precision, threads, compile),
    )
    torch.set_num_threads(plan.decisions.threads)
    state = initial_state(plan, dataset)
    notes = open_folder(folder, stored, configuration(plan, dataset, holdout), state)
    if progress:
        print(*dataset.notes, *notes, sep="\n")
    fit(
        plan,
        dataset,
        state,
        folder=folder,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
    )
    options = {"--imbalance": imbalance, "--holdout": holdout, "--image-size": image_size}
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
) -> "Run":
    """Evaluate the selected epoch and write the model, the predictions and the record."""
    if state.selected_model:
        state.model.load_state_dict(state.selected_model)
    weights = {k: v.detach().cpu().contiguous() for k, v in state.model.state_dict().items()}
    write_atomically(folder / "model.safetensors", safetensors.torch.save(weights))
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
        command=command,
    )
    record.write(folder / "record.json")
    return Run(folder, read_record(folder / "record.json"))


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


class Prediction(NamedTuple):
    """What a model says of one input.

    Attributes:
        source: the file, or the position in the array.
        classes: names, most probable first.
        probabilities: softmax of the logits, under a uniform prior for prior-aware methods.
    """

    source: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it lies.
        record: its `record.json`.
    """

    folder: Path
    record: Record

    @functools.cached_property
    def model(self) -> Model:
        """The trained model, in evaluation mode on the CPU.

        Raises:
            CheckpointError: the weights are missing, corrupt or of another model.
        """
        data = self.record.data
        model = build_model(
            self.record.backbone,
            data.input_shape,
            len(data.class_names),
            self.resolved.recipe.heads,
            self.record.seed,
        )
        path = self.folder / "model.safetensors"
        try:
            model.load_state_dict(safetensors.torch.load(read_bytes(path)))
        except (safetensors.SafetensorError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: not the weights of this run ({str(error).splitlines()[0]}). Its "
                "checkpoint may still be intact: run its train command with --resume."
            ) from error
        return model.eval()

    @functools.cached_property
    def resolved(self) -> Resolved:
        """The method with the knobs it was trained with."""
        record = self.record
        counts = np.asarray(record.data.train_counts, np.int64)
        return resolve(record.method, DataInfo(counts), knobs=record.knobs, recipe=record.recipe)

    def evaluate(self, data: str | Dataset | None = None) -> SplitMetrics:
        """Metrics on the test split of `data`, or on the run's own.

        Args:
            data: what `train` takes, with the same classes; None is the run's own test split.

        Raises:
            DataError: no test split, other classes, or inputs of another shape.
            CheckpointError: the run's files are missing or corrupt.
        """
        return summarise_confusion(self.confusion(data), self.record.data.train_counts)

    def confusion(self, data: str | Dataset | None = None) -> npt.NDArray[np.int64]:
        """Confusion matrix int64 [c, c], row = true class; arguments and errors as `evaluate`."""
        num_classes = len(self.record.data.class_names)
        if data is None:
            if self.record.metrics.test is None:
                raise DataError(f"{self.folder}: trained without a test split; name some DATA.")
            kept = read_predictions(self.folder / "predictions-test.npz")
            return confusion_matrix(kept.labels, kept.predicted, num_classes)
        test = self._test_split(data)
        return confusion_matrix(test.labels, self.score(test).logits.argmax(1), num_classes)

    def predict(
        self, images: Sequence[str | Path] | npt.NDArray[np.generic], top_k: int = 1
    ) -> list[Prediction]:
        """The most probable classes of new pictures or vectors.

        Args:
            images: files, or an array uint8 [n, h, w, 3] or float [n, d] shaped as trained on.
            top_k: classes each, at least 1.

        Raises:
            DataError: an unreadable file, or an array of another shape.
        """
        inputs, names = self._inputs(images)
        if not len(inputs):
            return []
        logits = self.score(split_of(inputs, np.zeros(len(inputs), np.int64))).logits
        probabilities, classes = (
            torch.from_numpy(logits).softmax(1).topk(min(top_k, logits.shape[1]))
        )
        class_names = self.record.data.class_names
        return [
            Prediction(name, tuple(class_names[c] for c in best), tuple(shares))
            for name, best, shares in zip(
                names, classes.tolist(), probabilities.tolist(), strict=True
            )
        ]

    def score(self, split: Split) -> Scores:
        """Logits and embeddings of a split, on the CPU in the precision of training."""
        data = self.record.data
        if tuple(split.inputs.shape[1:]) != tuple(data.input_shape):
            raise DataError(
                f"The inputs have shape {tuple(split.inputs.shape[1:])}; this run was trained on "
                f"{tuple(data.input_shape)}."
            )
        return score(
            self.model,
            split,
            statistics=Normalisation(data.mean or (), data.std or ()),
            posthoc=self.resolved.recipe.posthoc,
            device=torch.device("cpu"),
            precision="fp32",
        )

    def _test_split(self, data: str | Dataset) -> Split:
        known = self.record.data
        if isinstance(data, str):
            # Only class folders can be resized, and they must be, to what the model has seen.
            size = None if data in SOURCES or data.endswith(".npz") else known.image_size
            data = load_dataset(data, image_size=size)
        if data.class_names != known.class_names:
            raise DataError(
                f"{data.name} has {data.num_classes} classes ({', '.join(data.class_names[:5])}"
                f"...); this run knows {len(known.class_names)} "
                f"({', '.join(known.class_names[:5])}...)."
            )
        if data.test is None:
            raise DataError(f"{data.name} has no test split to evaluate on.")
        return data.test

    def _inputs(
        self, images: Sequence[str | Path] | npt.NDArray[np.generic]
    ) -> tuple[npt.NDArray[np.generic], list[str]]:
        if isinstance(images, np.ndarray):
            wide = images.astype(np.float32) if self.record.data.kind == "vector" else images
            return wide, [str(row) for row in range(len(images))]
        size = self.record.data.image_size
        if size is None:
            raise DataError("This run was trained on vectors; pass an array [n, d], not files.")
        decoded = [decode(Path(path), size) for path in images]
        return np.stack(decoded) if decoded else np.empty(0), [str(path) for path in images]


def load(path: str | Path) -> Run:
    """A finished run from its folder.

    Raises:
        CheckpointError: no run, one that has not finished, or a corrupt record.
    """
    return Run(Path(path), read_record(Path(path) / "record.json"))


def _evaluate_split(
    folder: Path, plan: Plan, dataset: Dataset, model: Model, name: str, split: Split | None
) -> SplitMetrics | None:
    """Write `predictions-NAME.npz` and return the metrics."""
    if split is None:
        return None
    scores = score(
        model,
        split,
        statistics=plan.statistics,
        posthoc=plan.resolved.recipe.posthoc,
        device=plan.device,
        precision=plan.decisions.precision,
    )
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
