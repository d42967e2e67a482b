"""A run's log as far as figures can read it: a damaged line costs its epoch, not the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.prior import GROUPS
from longtail.record import read_lines

Epoch = Mapping[str, Any]
"""A line of `log.jsonl`: "epoch", "loss" (None where it was not finite), "terms" and more."""

_LIVE = ("balanced_accuracy", *GROUPS)


def read_epochs(folder: Path) -> list[Epoch]:
    """The lines of a run's log that are an epoch's, oldest first; none where it cannot be read."""
    try:
        lines = read_lines(folder / "log.jsonl")
    except (OSError, RecursionError):
        return []
    return [line for line in lines if _is_epoch(line)]


def _is_epoch(line: object) -> bool:
    """Whether a line has what figures read, as every line that training wrote does."""
    if not isinstance(line, dict) or not {"epoch", "loss", "terms"} <= line.keys():
        return False
    terms, live, epoch = line["terms"], line.get("accuracy", {}), line["epoch"]
    if not (isinstance(terms, dict) and isinstance(live, dict) and isinstance(epoch, int)):
        return False
    values = [line["loss"], *terms.values(), *(live.get(name) for name in _LIVE)]
    return all(value is None or isinstance(value, int | float) for value in values)
