"""What of an experiment is done, by reading the disk: there is no other state."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from longtail.errors import CheckpointError, LongtailError
from longtail.experiments.job import Task, address_of
from longtail.metrics import summarise
from longtail.record import Record, read_outcomes, read_record

State = Literal["done", "begun", "waiting", "damaged"]


@dataclasses.dataclass(frozen=True)
class Found:
    """A run folder, whoever made it.

    Attributes:
        folder: where it lies.
        configured: its config.json.
    """

    folder: Path
    configured: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Entry:
    """How a task stands.

    Attributes:
        task: the task.
        state: "done" has a verified record; "begun" is gone on with; "waiting" has no run yet;
            "damaged" has a record that does not verify.
        folder: of the run; another's than the task's where an older run serves.
        record: where the state is "done".
        note: what is damaged, or which other run could serve and how.
    """

    task: Task
    state: State
    folder: Path
    record: Record | None = None
    note: str = ""


def survey(
    tasks: Sequence[Task], out: Path, *, also: Iterable[Path] = (), accept_source: bool = False
) -> list[Entry]:
    """How every task stands.

    Args:
        tasks: of the experiment.
        out: folder of its runs.
        also: further folders of runs that may serve.
        accept_source: takes verified runs of other numeric sources for done.
    """
    found: dict[str, list[Found]] = {}
    for run in find_runs([out, *also]):
        found.setdefault(address_of(run.configured), []).append(run)
    return [
        _entry(task, found.get(task.address, []), accept_source=accept_source) for task in tasks
    ]


def find_runs(folders: Iterable[Path]) -> Iterator[Found]:
    """Run folders in the folders, by name; what is no run, or has no readable one, is passed by."""
    for parent in folders:
        for path in sorted(parent.glob("*/config.json")):
            try:
                configured = json.loads(path.read_bytes())
                address_of(configured)
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
            yield Found(path.parent, configured)


def verified(run: Found) -> Record:
    """The record of a finished run, once nothing about it is in doubt.

    It must be of the folder's configuration, and its metrics must be those that its predictions
    give.

    Raises:
        CheckpointError: it is not; the message says what does not fit.
    """
    record = read_record(run.folder / "record.json")
    claimed = {
        "method": record.method,
        "recipe": record.recipe,
        "knobs": record.knobs,
        "settings": record.settings,
        "backbone": record.backbone,
        "seed": record.seed,
        "data_hash": record.data.hash,
        "train_counts": list(record.data.train_counts),
        "holdout": record.data.holdout,
    }
    other = [name for name, value in claimed.items() if run.configured.get(name) != value]
    if other:
        raise CheckpointError(
            f"{run.folder}: its record and its config.json differ in {', '.join(other)}."
        )
    for name in ("test", "holdout"):
        metrics = getattr(record.metrics, name)
        if metrics is not None:
            outcomes = read_outcomes(run.folder / f"predictions-{name}.npz")
            again = summarise(outcomes.labels, outcomes.predicted, record.data.train_counts)
            if again != metrics:
                raise CheckpointError(
                    f"{run.folder}: the {name} metrics of its record are not those of its "
                    "predictions."
                )
    return record


def _entry(task: Task, runs: Sequence[Found], *, accept_source: bool) -> Entry:
    """The task's own run if it is done, else another that serves, else how its own stands."""
    served = [judged(task, run) for run in runs if _tested_alike(task, run)]
    done = sorted(
        (entry for entry in served if entry.state == "done"),
        key=lambda entry: (source_of(entry) != task.source, entry.folder != task.folder),
    )
    if done and (accept_source or source_of(done[0]) == task.source):
        return done[0]
    own = next((e for e in served if e.folder == task.folder and e.state != "done"), None)
    entry = own or Entry(task, "waiting", task.folder)
    if not done:
        return entry
    assert done[0].record is not None
    note = (
        f"{done[0].folder} has it by other numeric sources (revision "
        f"{done[0].record.provenance.revision}); --accept-source takes it"
    )
    return dataclasses.replace(entry, note="; ".join(filter(None, (entry.note, note))))


def _tested_alike(task: Task, run: Found) -> bool:
    """Whether a run has the task's labels and test pictures; old configurations do not say."""
    return bool(run.configured.get("labels_and_test", task.evaluated_on) == task.evaluated_on)


def judged(task: Task, run: Found) -> Entry:
    """How a run that has the task's address stands."""
    if not (run.folder / "record.json").exists():
        return Entry(task, "begun", run.folder)
    try:
        return Entry(task, "done", run.folder, verified(run))
    except LongtailError as error:
        return Entry(task, "damaged", run.folder, note=str(error))


def source_of(entry: Entry) -> str | None:
    """The numeric sources that made an entry's run; None where it is not done, or very old."""
    return entry.record.provenance.numeric_hash if entry.record else None
