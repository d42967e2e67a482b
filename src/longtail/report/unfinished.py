"""What there is to see of a run without a readable record: how it was set up, how far it got."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from longtail.errors import printable
from longtail.report.epochs import Epoch, read_epochs
from longtail.report.page import Section, page, render
from longtail.report.sections.training import training_figures
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
    configuration, log = _configuration(folder), read_epochs(folder)
    sections = [
        *([_log_section(log)] if log else []),
        *([_configuration_section(configuration)] if configuration else []),
    ]
    if not sections:
        return None
    subtitle = f"No finished run; {plural(len(log), 'epoch')} logged"
    return page(printable(folder.resolve().name), subtitle, sections, [printable(reason)])


def _configuration(folder: Path) -> dict[str, Any]:
    """`config.json`; empty where there is none that can be read."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _configuration_section(configuration: Mapping[str, Any]) -> Section:
    pairs = [(printable(name), _fact(value)) for name, value in configuration.items()]
    return Section("configuration", "Set up as", render("unfinished/facts.html.j2", pairs=pairs))


def _fact(value: object) -> str:
    """A value of a configuration as text: of a long one the beginning."""
    if isinstance(value, Mapping):
        value = ", ".join(f"{name}={each}" for name, each in value.items())
    shown = printable(str(value))
    return shown if len(shown) <= _MOST_LETTERS else f"{shown[:_MOST_LETTERS]} …"


def _log_section(log: Sequence[Epoch]) -> Section:
    columns = [Column("epoch"), Column("loss"), Column("balanced accuracy"), Column("minutes")]
    lines = [[number(line["epoch"]), *_measured(line)] for line in log]
    html = render(
        "unfinished/log.html.j2",
        table=Table("log-table", "Epochs that were logged", columns, lines),
        figures=list(training_figures(log)),
    )
    return Section("training", "Training so far", html)


def _measured(line: Epoch) -> Iterator[Cell]:
    yield _rounded(line["loss"], 3)
    yield share(line.get("accuracy", {}).get("balanced_accuracy"))
    seconds = line.get("seconds")
    yield _rounded(seconds / 60 if isinstance(seconds, int | float) else None, 1)


def _rounded(value: float | None, digits: int) -> Cell:
    return number(math.nan) if value is None else number(value, f"{value:.{digits}f}")
