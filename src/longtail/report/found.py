"""The runs in a directory: finished ones with what tables need, and what became of the others."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from longtail.errors import CheckpointError
from longtail.record import read_record
from longtail.report.unfinished import logged
from longtail.report.view import RunView

DEPTH = 3
"""Levels of folders below the directory that are searched."""
_MARKS = ("record.json", "config.json", "log.jsonl")


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A run that has no numbers to show.

    Attributes:
        folder: where it lies.
        state: "unfinished", or "damaged" where its record is there but cannot be read.
        why: in a sentence.
    """

    folder: Path
    state: str
    why: str


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies in a directory; `finished` without predictions and logs, which no index shows."""

    finished: tuple[RunView, ...]
    unfinished: tuple[Unfinished, ...]


def find_runs(folder: Path) -> Found:
    """Every run in a directory, itself included, by path; links are not followed."""
    views, rest = [], []
    for path in _run_folders(folder, DEPTH):
        found = _read(path)
        if isinstance(found, RunView):
            views.append(found)
        else:
            rest.append(found)
    return Found(tuple(views), tuple(rest))


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """Folders in which a training has begun; what lies within one is its own affair."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # not to be read: nothing of it can be shown, and the others can
        return
    if any(entry.name in _MARKS and entry.is_file(follow_symlinks=False) for entry in entries):
        yield folder
    elif depth:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _run_folders(folder / entry.name, depth - 1)


def _read(folder: Path) -> RunView | Unfinished:
    if not (folder / "record.json").exists():
        return Unfinished(folder, "unfinished", _progress(folder))
    try:
        record = read_record(folder / "record.json")
    except CheckpointError as error:
        return Unfinished(folder, "damaged", str(error).removeprefix(f"{folder}{os.sep}"))
    test, holdout = record.metrics.test, record.metrics.holdout
    metrics = test or holdout
    if metrics is None:
        return Unfinished(
            folder, "unmeasured", "Its data have neither a test split nor a hold-out."
        )
    return RunView(
        folder=folder,
        record=record,
        split="holdout" if test is None else "test",
        metrics=metrics,
        predictions=None,
        log=(),
        problems=(),
    )


def _progress(folder: Path) -> str:
    log = logged(folder)
    epochs = f"{log[-1]['epoch']} epochs are logged" if log else "no epoch is logged"
    return f"No record yet: it runs, or it was stopped; {epochs}."
