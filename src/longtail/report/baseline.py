"""The run that a report holds another against: cross-entropy, all else equal."""

import dataclasses
from pathlib import Path

from longtail.errors import CheckpointError, UsageError
from longtail.record import Record, read_record
from longtail.report.view import RunView, open_run

BASELINE = "ce"
_SHARED = ("backbone", "recipe", "seed")
_SHARED_SETTINGS = ("epochs", "batch_size")


def with_baseline(view: RunView, folder: Path | None = None) -> RunView:
    """The view with its baseline.

    Args:
        view: of a run.
        folder: of the baseline; None looks beside the run for a cross-entropy run of the same data,
            hold-out, backbone, recipe, epochs, batch size and seed, and takes none where there is
            none.

    Raises:
        UsageError: `folder` holds a run on other data, which no difference can be taken from.
        CheckpointError: `folder` holds no finished run.
    """
    if folder is None:
        folder = _beside(view)
        if folder is None:
            return view
        try:
            return dataclasses.replace(view, baseline=open_run(folder, pictures=False))
        except CheckpointError:  # it vanished, or was written anew, since it was found
            return view
    baseline = open_run(folder, pictures=False)
    if not same_data(view.record, baseline.record):
        raise UsageError(
            f"{folder} was trained on {baseline.record.data.name} with another hash, cut or "
            f"hold-out than {view.folder} ({view.record.data.name}); name a --baseline on the "
            "same data."
        )
    return dataclasses.replace(view, baseline=baseline)


def same_data(first: Record, second: Record) -> bool:
    """Whether two runs saw the same training samples of the same classes, and were tested alike."""
    a, b = first.data, second.data
    return (
        a.hash == b.hash
        and a.class_names == b.class_names
        and a.train_counts == b.train_counts
        and a.holdout == b.holdout
        and a.test_size == b.test_size
    )


def unlike(first: Record, second: Record) -> list[str]:
    """What two runs on the same data do not share beside the method, in words."""
    settings = [name for name in _SHARED if getattr(first, name) != getattr(second, name)]
    settings += [
        name.replace("_", " ")
        for name in _SHARED_SETTINGS
        if first.settings.get(name) != second.settings.get(name)
    ]
    return settings


def _beside(view: RunView) -> Path | None:
    """The first folder beside the run, by name, that can serve."""
    if view.record.method == BASELINE:
        return None
    for path in sorted(view.folder.resolve().parent.glob("*/record.json")):
        try:
            record = read_record(path)
        except CheckpointError:  # another run's damage is that run's affair
            continue
        if _serves(record, view.record):
            return path.parent
    return None


def _serves(candidate: Record, record: Record) -> bool:
    return (
        candidate.method == BASELINE
        and same_data(candidate, record)
        and not unlike(candidate, record)
    )
