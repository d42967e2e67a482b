"""`record.json`: everything needed to believe a run's numbers and to run it again."""

import dataclasses
import datetime
import os
from typing import Any, Literal

from longtail.errors import CheckpointError
from longtail.prior import Group
from longtail.record.canonical import ADDED, from_plain, parse_json, to_json
from longtail.record.files import read_bytes, write_atomically
from longtail.record.provenance import Provenance

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitMetrics:
    """Numbers of one split, fractions in [0, 1]; see `longtail.metrics.summarise`.

    Attributes:
        accuracy: share of all samples recognised.
        balanced_accuracy: mean of the class accuracies.
        harmonic_mean_accuracy: their harmonic mean; 0 when a class is at 0.
        many, medium, few: mean class accuracy of the group; None for an empty one.
        zero_classes: number of classes of which no sample was recognised.
        absent_classes: number of classes without a sample, left out of every mean.
        per_class: accuracy of each class; None for an absent one.
    """

    accuracy: float
    balanced_accuracy: float
    harmonic_mean_accuracy: float
    many: float | None
    medium: float | None
    few: float | None
    zero_classes: int
    absent_classes: int
    per_class: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunMetrics:
    """Metrics of the selected epoch; None for a split the data do not have."""

    test: SplitMetrics | None
    holdout: SplitMetrics | None

    @property
    def shown(self) -> SplitMetrics | None:
        """What tables and pages show: on test, or on the hold-out where there is no test split."""
        return self.test or self.holdout


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestOnTest:
    """The epoch that was best on test: kept to compare with papers, used for no decision."""

    epoch: int
    accuracy: float
    balanced_accuracy: float
    harmonic_mean_accuracy: float
    many: float | None
    medium: float | None
    few: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSummary:
    """What was trained on.

    Attributes:
        name, source, kind, class_names, notes: as in `longtail.data.dataset.Dataset`.
        hash: the dataset's `data_hash`.
        train_counts: training samples a class, after the cut and the hold-out.
        groups: class ids of the many, medium and few groups.
        test_size: number of test samples; 0 without a test split.
        holdout: what `--holdout` was given; None without it.
        input_shape: (h, w, 3) of a picture or (d,) of a vector, as stored.
        image_size: side in pixels that the network sees; None for vectors.
        mean, std: normalisation of each channel; None where inputs are not normalised.
    """

    name: str
    source: str
    hash: str
    kind: str
    class_names: tuple[str, ...]
    train_counts: tuple[int, ...]
    groups: dict[Group, tuple[int, ...]]
    test_size: int
    holdout: str | None
    input_shape: tuple[int, ...]
    image_size: int | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decisions:
    """What was decided for the machine at hand; resuming takes these instead of deciding anew."""

    precision: str
    threads: int
    compile: bool
    device: str


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """Everything needed to believe a run's numbers and to run it again.

    `knobs` (the method's own) and `settings` (epochs, batch_size, lr, ...) hold JSON values; a
    tuple in them comes back as a list. `command` runs it again; `created` is UTC, ISO 8601.
    `selection` says what chose `selected_epoch`; `choices` are what the method chose on the
    hold-out once training was over, such as `norm_tau`; `experts_asked` is how many experts a
    router asks on average, on test (on the hold-out without one).
    """

    schema_version: int = SCHEMA_VERSION
    method: str
    recipe: Literal["common", "paper"]
    knobs: dict[str, Any]
    settings: dict[str, Any]
    backbone: str
    seed: int
    data: DataSummary
    decisions: Decisions
    provenance: Provenance
    metrics: RunMetrics
    selected_epoch: int
    selection: Literal["last epoch", "hold-out"]
    best_on_test: BestOnTest | None
    choices: dict[str, float] = dataclasses.field(default_factory=dict, metadata={ADDED: True})
    experts_asked: float | None = dataclasses.field(default=None, metadata={ADDED: True})
    command: str
    created: str = dataclasses.field(default_factory=_now)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write canonical JSON atomically; a number that is not finite is written as null.

        Raises:
            CheckpointError: the file cannot be written; an older one is left as it was.
        """
        write_atomically(path, to_json(self))


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read what `Record.write` wrote; null in the place of a number comes back as NaN.

    Raises:
        CheckpointError: missing, half-written or corrupt, or of a newer schema version.
    """
    try:
        value = parse_json(read_bytes(path))
        _check_version(value, path)
        return from_plain(Record, value, "record")
    except (ValueError, OverflowError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not a run record ({error}). Restore it, or run the training again."
        ) from None


def _check_version(value: object, path: str | os.PathLike[str]) -> None:
    version = value.get("schema_version") if isinstance(value, dict) else None
    if type(version) is int and version > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: written by a newer longtail (record version {version}, this one reads "
            f"{SCHEMA_VERSION}). Type: pip install --upgrade longtail"
        )
    if version != SCHEMA_VERSION:
        raise ValueError(f"its schema_version is {version!r}, not {SCHEMA_VERSION}")
