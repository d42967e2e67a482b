"""A run folder as a report reads it: whatever of it can be read, and what cannot."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from longtail.errors import CheckpointError, printable
from longtail.metrics import confusion_matrix, per_class_accuracy
from longtail.metrics.checks import softmax
from longtail.metrics.embedding import POINTS
from longtail.prior import GROUPS, Group, group_of
from longtail.record import (
    DataSummary,
    Predictions,
    Record,
    SplitMetrics,
    read_predictions,
    read_record,
)
from longtail.report.arrays import Floats, Ints
from longtail.report.epochs import Epoch, read_epochs
from longtail.report.words import class_label

if TYPE_CHECKING:
    from longtail.report.embedding import EmbeddingMap

MARKS = ("record.json", "config.json", "log.jsonl")
"""Files that a training leaves; one of them makes a folder a run's."""

Split = Literal["test", "holdout"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunView:
    """What there is to show of a finished run; made by `open_run`.

    Attributes:
        folder: where it lies.
        record: its `record.json`.
        split: what is shown: "test", or "holdout" where the data have no test split.
        metrics: of that split, from the record.
        predictions: of that split; None where they are missing, damaged or were not asked for.
        problems: what could not be read, in sentences.
        baseline: a run of cross-entropy that differs in nothing but the method; None without one.
        map_points: samples on the embedding map, at most.
    """

    folder: Path
    record: Record
    split: Split
    metrics: SplitMetrics
    predictions: Predictions | None = None
    problems: tuple[str, ...] = ()
    baseline: "RunView | None" = None
    map_points: int = POINTS

    @property
    def name(self) -> str:
        """The folder's name, without control characters."""
        return printable(self.folder.resolve().name)

    @functools.cached_property
    def log(self) -> tuple[Epoch, ...]:
        """The epochs that were logged, oldest first."""
        return tuple(read_epochs(self.folder))

    @functools.cached_property
    def tested_on(self) -> str | None:
        """Hash of the labels and of the test and hold-out samples; None where none was kept."""
        try:
            found = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        known = found.get("labels_and_test") if isinstance(found, dict) else None
        return known if isinstance(known, str) else None

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """One printable name a class id."""
        return tuple(map(class_label, self.record.data.class_names))

    @functools.cached_property
    def counts(self) -> Ints:
        """Training samples a class, int64 [c]."""
        return np.asarray(self.record.data.train_counts, np.int64)

    @functools.cached_property
    def groups(self) -> tuple[Group, ...]:
        """The group of each class."""
        return tuple(map(group_of, self.counts.tolist()))

    @functools.cached_property
    def members(self) -> dict[Group, Ints]:
        """Class ids of each group that has a class, many first, int64 [k] rising."""
        groups = np.asarray(self.groups)
        return {group: np.flatnonzero(groups == group) for group in self.present_groups}

    @functools.cached_property
    def tested(self) -> Ints | None:
        """Samples of each class on the shown split, int64 [c]; None without predictions."""
        if self.predictions is None:
            return None
        return np.bincount(self.predictions.labels, minlength=len(self.counts)).astype(np.int64)

    @functools.cached_property
    def order(self) -> Ints:
        """Class ids from head to tail, of equal counts the smaller id first, int64 [c]."""
        return np.argsort(-self.counts, kind="stable")

    @functools.cached_property
    def per_class(self) -> Floats:
        """Accuracy of each class as recorded, float64 [c]; NaN for one without a sample."""
        return np.array([np.nan if a is None else a for a in self.metrics.per_class])

    @functools.cached_property
    def confusion(self) -> Ints | None:
        """Int64 [c, c], row = true class; None without predictions."""
        if self.predictions is None:
            return None
        p = self.predictions
        return confusion_matrix(p.labels, p.predicted, len(self.class_names))

    @functools.cached_property
    def probabilities(self) -> Floats | None:
        """Softmax of the logits, float64 [n, c]; None where not every class's logit is kept."""
        if self.predictions is None or self.predictions.logit_classes is not None:
            return None
        if self.predictions.logits.shape[1] != len(self.class_names):
            return None
        return softmax(self.predictions.logits.astype(np.float64))

    @functools.cached_property
    def map(self) -> "EmbeddingMap | None":
        """Where t-SNE puts the samples; None where `embedding.no_map` says why."""
        from longtail.report.embedding import map_of

        return map_of(self)

    @property
    def present_groups(self) -> tuple[Group, ...]:
        """The groups that have a class, many first."""
        return tuple(group for group in GROUPS if group in self.groups)

    @property
    def split_name(self) -> str:
        """The split in words."""
        return "test" if self.split == "test" else "hold-out"


def placeless(text: str, folder: Path) -> str:
    """A message about a folder without the machine's path to it: pages are sent to others."""
    return text.replace(str(folder), folder.resolve().name) if folder.is_absolute() else text


def same_samples(first: RunView, second: RunView) -> bool:
    """Whether two runs on the same data both have predictions, and of the very same samples.

    Training data of one hash may be tested on other pictures; runs know by a hash what they were
    tested on, but for the oldest.
    """
    a, b = first.predictions, second.predictions
    if (
        a is None
        or b is None
        or (first.tested_on or second.tested_on) != (second.tested_on or first.tested_on)
    ):
        return False
    return np.array_equal(a.index, b.index) and np.array_equal(a.labels, b.labels)


def open_run(
    folder: Path, *, map_points: int = POINTS, predictions: bool = True, pictures: bool = True
) -> RunView:
    """Read a finished run.

    Args:
        folder: where it lies.
        map_points: samples on its embedding map, at most.
        predictions: False leaves them unread: tables of many runs need the records alone.
        pictures: False leaves the thumbnails unread.

    Raises:
        CheckpointError: there is no such folder, no finished run in it, or its record is damaged.
            The message says what is there.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; name one that `longtail train` wrote.")
    if not (folder / "record.json").exists():
        raise CheckpointError(f"{folder}: {_unfinished(folder)}")
    record = read_record(folder / "record.json")
    metrics = record.metrics.shown
    if metrics is None:
        raise CheckpointError(
            f"{folder}: this run was measured on nothing: its data have neither a test split nor "
            "a hold-out. Type: longtail evaluate RUN DATA"
        )
    if problem := _contradiction(record.data, metrics):
        raise CheckpointError(f"{folder / 'record.json'}: {problem}. Restore it, or train again.")
    view = RunView(
        folder=folder,
        record=record,
        split="test" if record.metrics.test is not None else "holdout",
        metrics=metrics,
        map_points=map_points,
    )
    return _with_predictions(view, pictures) if predictions else view


def _contradiction(data: DataSummary, metrics: SplitMetrics) -> str:
    """What of a record cannot be, or nothing."""
    classes = len(data.class_names)
    for name, values in (("train_counts", data.train_counts), ("per_class", metrics.per_class)):
        if len(values) != classes:
            return f"{len(values)} {name} for {classes} classes"
    if min(data.train_counts, default=0) < 0 or not any(data.train_counts):
        return "its train_counts are no counts"
    return ""


def is_run(folder: Path) -> bool:
    """Whether a training has begun here."""
    return any((folder / name).is_file() for name in MARKS)


def _unfinished(folder: Path) -> str:
    """What is there where there is no record, as a sentence."""
    if not is_run(folder):
        return "no run has finished here; name a folder that `longtail train` wrote."
    logged = len(read_epochs(folder))
    epochs = "1 epoch is" if logged == 1 else f"{logged:,} epochs are" if logged else "no epoch is"
    return (
        f"this run has not finished: {epochs} logged and there is no record.json. If it was "
        "stopped, go on with its train command and --resume."
    )


def _with_predictions(view: RunView, pictures: bool) -> RunView:
    """The predictions, if they are whole and are the ones that the record was measured on."""
    path = view.folder / f"predictions-{view.split}.npz"
    if not path.exists():
        problem = (
            f"{path.name} is not in the folder: what needs the single predictions (confusions, "
            "calibration, mistakes, the map) cannot be shown."
        )
        return dataclasses.replace(view, problems=(problem,))
    try:
        predictions = read_predictions(path, thumbnails=pictures)
    except CheckpointError as error:
        problem = f"{path.name} cannot be read, and what needs it is not shown. " + placeless(
            str(error), view.folder
        )
        return dataclasses.replace(view, problems=(problem,))
    if problem := _disagreement(predictions, view.record, view.metrics):
        return dataclasses.replace(view, problems=(f"{path.name} {problem} It is not used.",))
    return dataclasses.replace(view, predictions=predictions)


def _disagreement(predictions: Predictions, record: Record, metrics: SplitMetrics) -> str:
    """Why these predictions are not the record's, or nothing."""
    classes = len(record.data.class_names)
    ids = np.concatenate([predictions.labels, predictions.predicted])
    if ids.size and not (ids.min() >= 0 and ids.max() < classes):
        return f"has classes outside the record's {classes}."
    if problem := _misfit(predictions, classes):
        return problem
    found = per_class_accuracy(confusion_matrix(predictions.labels, predictions.predicted, classes))
    recorded = np.array([np.nan if a is None else a for a in metrics.per_class])
    if not np.allclose(found, recorded, atol=1e-9, equal_nan=True):
        return "does not give the accuracies in the record: one of the two is of another run."
    return ""


def _misfit(predictions: Predictions, classes: int) -> str:
    """Why logits or prototypes cannot be of so many classes, or nothing."""
    kept, width = predictions.logit_classes, predictions.logits.shape[1]
    # What is kept beside a page of results has no logits at all.
    if kept is None and width not in (0, classes):
        return f"has {width} logits a sample for {classes} classes."
    if kept is not None and kept.size and not (kept.min() >= 0 and kept.max() < classes):
        return f"has logits of classes outside the record's {classes}."
    embeddings, prototypes = predictions.embeddings, predictions.prototypes
    if prototypes is not None and embeddings is not None:
        wanted = (classes, embeddings.shape[1])
        if prototypes.shape != wanted:
            return f"has prototypes {prototypes.shape}, not {wanted}."
    return ""
