"""Folders opened for a comparison: those that can be read, and why the others cannot."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from longtail.errors import CheckpointError
from longtail.report.rows import is_copy
from longtail.report.view import RunView, open_run


def open_runs(folders: Sequence[Path]) -> tuple[list[RunView], list[str]]:
    """The runs that can be read, each once, without their pictures and embeddings.

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
            problems.append(f"{folder} was named twice; it is one run and is shown once.")
            continue
        seen.add(folder.resolve())
        try:
            view = _light(open_run(folder))
        except CheckpointError as error:
            problems.append(f"Left out: {error}")
            continue
        if any(is_copy(view, other) for other in views):
            problems.append(f"{folder} is a copy of another run here, which is shown once.")
        else:
            views.append(view)
    if not views:
        raise CheckpointError("None of the runs can be compared. " + " ".join(problems))
    if len(views) == 1 and len(seen) > 1:
        problems.append("One run is left, so that nothing is compared.")
    return views, problems


def _light(view: RunView) -> RunView:
    """Without what no comparison shows: of ten thousand pictures it is 30 MB a run."""
    if view.predictions is None:
        return view
    light = dataclasses.replace(view.predictions, thumbnails=None, embeddings=None, prototypes=None)
    return dataclasses.replace(view, predictions=light)
