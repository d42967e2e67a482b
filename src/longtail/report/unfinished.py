"""What there is to see of a run without a readable record: how it was set up, how far it got."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from longtail.errors import printable
from longtail.record import read_lines
from longtail.report.curves import training_curves
from longtail.report.page import Section, page, render
from longtail.report.tables import Cell, Column, Table, number, share
from longtail.report.words import plural

_MOST_LETTERS = 300


def unfinished(folder: Path, reason: str) -> str | None:
    """The page of a run that did not finish, or whose record is damaged, as HTML.

    Args:
        folder: of the run.
        reason: why there is no more to show, in a sentence.

    Returns:
        None where neither a configuration nor a logged epoch is there to be shown.
    """
    configuration, log = _configuration(folder), logged(folder)
    sections = [
        *([_log_section(log)] if log else []),
        *([_configuration_section(configuration)] if configuration else []),
    ]
    if not sections:
        return None
    subtitle = f"No finished run; {plural(len(log), 'epoch')} logged"
    return page(printable(folder.resolve().name), subtitle, sections, [printable(reason)])


def logged(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log that are an epoch's, oldest first; none where it cannot be read."""
    try:
        lines = read_lines(folder / "log.jsonl")
    except OSError:
        return []
    return [line for line in lines if _is_epoch(line)]


def _is_epoch(line: object) -> bool:
    """Whether a line has what figures read, as every line that training wrote does."""
    return (
        isinstance(line, dict)
        and _is_number(line.get("epoch"))
        and all(isinstance(line.get(name, {}), dict) for name in ("terms", "accuracy"))
        and {"loss", "terms"} <= line.keys()
        and (line["loss"] is None or _is_number(line["loss"]))
    )


def _configuration(folder: Path) -> dict[str, Any]:
    """`config.json`; empty where there is none that can be read."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _configuration_section(configuration: Mapping[str, Any]) -> Section:
    facts = [(printable(name), _fact(value)) for name, value in configuration.items()]
    return Section("configuration", "Set up as", render("unfinished/facts.html.j2", facts=facts))


def _fact(value: object) -> str:
    """A value of a configuration as text: of a long one the beginning."""
    if isinstance(value, Mapping):
        value = ", ".join(f"{name}={each}" for name, each in value.items())
    shown = printable(str(value))
    return shown if len(shown) <= _MOST_LETTERS else f"{shown[:_MOST_LETTERS]} …"


def _log_section(log: Sequence[dict[str, Any]]) -> Section:
    columns = [Column("epoch"), Column("loss"), Column("balanced accuracy"), Column("minutes")]
    lines = [[number(line["epoch"]), *_measured(line)] for line in log]
    html = render(
        "unfinished/log.html.j2",
        table=Table("log-table", "Epochs that were logged", columns, lines),
        curves=training_curves({"this run": log}),
    )
    return Section("training", "Training so far", html)


def _measured(line: Mapping[str, Any]) -> Iterator[Cell]:
    loss, seconds, accuracy = (line.get(name) for name in ("loss", "seconds", "accuracy"))
    balanced = accuracy.get("balanced_accuracy") if isinstance(accuracy, dict) else None
    yield number(loss, f"{loss:.3f}") if _is_number(loss) else number(math.nan)
    yield share(balanced if _is_number(balanced) else None)
    yield number(seconds / 60, f"{seconds / 60:.1f}") if _is_number(seconds) else number(math.nan)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float)
