"""Several runs at once: those of named folders, or all that a directory holds."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from longtail.errors import CheckpointError
from longtail.report.rows import is_copy
from longtail.report.view import MARKS, RunView, open_run, placeless

DEPTH = 3
"""Levels of folders below a directory that are searched."""


class Unfinished(NamedTuple):
    """A run that has no numbers to show, and why, in a sentence."""

    folder: Path
    why: str


class RunsFound(NamedTuple):
    """What lies in a directory; `finished` without predictions, which no index shows."""

    finished: tuple[RunView, ...]
    unfinished: tuple[Unfinished, ...]


def open_runs(folders: Sequence[Path]) -> tuple[list[RunView], list[str]]:
    """The runs that can be read, each once, without their pictures.

    Returns:
        (runs, problems): in the order of the folders; sentences about what is left out.

    Raises:
        CheckpointError: none of them can be read.
    """
    views: list[RunView] = []
    problems: list[str] = []
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            problems.append(f"{folder.name} was named twice; it is one run and is shown once.")
            continue
        seen.add(folder.resolve())
        try:
            view = open_run(folder, pictures=False)
        except CheckpointError as error:
            problems.append(f"Left out: {placeless(str(error), folder)}")
            continue
        if any(is_copy(view, other) for other in views):
            problems.append(f"{folder.name} is a copy of another run here, which is shown once.")
        else:
            views.append(view)
    if not views:
        raise CheckpointError("None of the runs can be compared. " + " ".join(problems))
    if len(views) == 1 and len(seen) > 1:
        problems.append("One run is left, so that nothing is compared.")
    return views, problems


def find_runs(folder: Path) -> RunsFound:
    """Every run in a directory, itself included, by path; links are not followed."""
    found = [_opened(path) for path in _run_folders(folder, DEPTH)]
    return RunsFound(
        tuple(run for run in found if isinstance(run, RunView)),
        tuple(run for run in found if isinstance(run, Unfinished)),
    )


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """Folders in which a training has begun; what lies within one is its own affair."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # not to be read: nothing of it can be shown, and the others can
        return
    if any(entry.name in MARKS and entry.is_file(follow_symlinks=False) for entry in entries):
        yield folder
    elif depth:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _run_folders(folder / entry.name, depth - 1)


def _opened(folder: Path) -> RunView | Unfinished:
    try:
        return open_run(folder, predictions=False)
    except CheckpointError as error:
        # The page says where the run lies, by a path that holds on other machines as well.
        return Unfinished(folder, str(error).removeprefix(str(folder)).lstrip(f":{os.sep} "))
