"""What `longtail paper` does with planned cells: train, list, write the page, keep the records."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from longtail.errors import DataError, UsageError
from longtail.experiments.bench import Bench, run_tasks, summary_lines
from longtail.experiments.kept import keep
from longtail.experiments.ledger import Entry, survey
from longtail.experiments.live import display
from longtail.experiments.local import Engine
from longtail.experiments.paper.budgets import refusal
from longtail.experiments.paper.cells import FIGURE3, by_dataset
from longtail.experiments.paper.figure_page import write_figure
from longtail.experiments.paper.page import Asked, claims, comparison, write_page
from longtail.experiments.paper.tables import Planned, rows_for


@dataclasses.dataclass(frozen=True)
class Places:
    """Where runs lie.

    Attributes:
        out: of this experiment's own runs.
        also: further folders of runs that may serve.
        accept_source: takes verified runs of other numeric sources for done.
    """

    out: Path
    also: tuple[Path, ...] = ()
    accept_source: bool = False


def check_page(out: Path, part: Sequence[str]) -> None:
    """Raise `UsageError` for what no page should be written of.

    Args:
        out: folder of the runs, which the page's commands name.
        part: names of data or cells that were chosen; a page has the whole table.
    """
    if part:
        raise UsageError(
            "--write puts the whole table into the page, also what is not done yet; leave out "
            f"{', '.join(part)}."
        )
    if out.is_absolute():
        raise UsageError(
            f"--out {out}: the page prints commands with this folder, and a place on this machine "
            "says nothing to its readers. Use a relative one, such as runs/paper."
        )


def trained(planned: Planned, places: Places, engine: Engine) -> Bench:
    """How the tasks stand after whatever was not done has been trained."""
    return run_tasks(
        planned.tasks,
        places.out,
        engine,
        also=places.also,
        accept_source=places.accept_source,
        display=display(),
    )


def looked_at(
    asked: Asked,
    planned: Planned,
    places: Places,
    *,
    listed: bool,
    page: Path | None,
    kept: Path | None,
) -> Iterator[str]:
    """Without training: list the tasks, keep the done runs, write the page; what was done.

    Args:
        asked: what the table is of.
        planned: its tasks.
        places: of runs.
        listed: whether every task is named.
        page: to write, or None.
        kept: folder to keep runs in, or None.
    """
    entries = survey(
        planned.tasks, places.out, also=places.also, accept_source=places.accept_source
    )
    done = [entry for entry in entries if entry.state == "done"]
    if listed:
        yield from (f"{e.state:8} {e.task.folder.name}  {e.note}".rstrip() for e in entries)
    else:
        yield from (f"{e.task.folder.name}: {e.note}" for e in entries if e.note)
    yield f"{len(done)} of {len(entries)} runs done."
    yield from refused_lines(planned)
    if kept:
        problems = keep(done, kept)
        yield from problems
        yield f"{len(done) - len(problems)} runs kept in {kept}."
    if page:
        _check_complete(asked, planned)
        write = write_figure if asked.table is FIGURE3 else write_page
        write(page, asked, entries)
        yield f"Wrote {page}."


def _check_complete(asked: Asked, planned: Planned) -> None:
    """Raise `DataError` rather than write over a section what this machine cannot look up."""
    missing = [(cell, why) for cell, why in planned.refused if not refusal(cell, asked.budget)]
    if missing:
        names = ", ".join(cell.name for cell, _ in missing)
        raise DataError(
            f"--write: the page is left as it is, since {names} cannot be looked up here: "
            f"{missing[0][1]}"
        )


def complete(asked: Asked, planned: Planned, bench: Bench) -> bool:
    """Whether all is done that the budget can do, and that is something."""
    within = [cell for cell, _ in planned.refused if not refusal(cell, asked.budget)]
    return bool(bench.entries) and len(bench.done) == len(bench.entries) and not within


def report(asked: Asked, planned: Planned, bench: Bench) -> Iterator[str]:
    """After training: what failed, what could not be tried, and the tables."""
    yield from summary_lines(bench)
    yield from refused_lines(planned)
    if asked.table is FIGURE3:
        yield f"The maps and their numbers: {asked.command('--write', 'FILE.md')}"
        return
    yield from tables_shown(asked, bench.done)


def refused_lines(planned: Planned) -> Iterator[str]:
    """Each reason once, with the cells that it holds for."""
    reasons: dict[str, list[str]] = {}
    for cell, why in planned.refused:
        reasons.setdefault(why, []).append(cell.name)
    for why, names in reasons.items():
        yield f"NOT TRAINED {', '.join(names)}:"
        yield f"    {why}"


def tables_shown(asked: Asked, entries: list[Entry]) -> Iterator[str]:
    """The comparison of every dataset, and what the paper claims."""
    for data, cells in by_dataset(asked.cells):
        rows = rows_for(asked.table, cells, entries)
        if any(row.row for row in rows):
            yield from ("", f"## {data}, budget {asked.budget.name}", "")
            yield from comparison(asked, rows)
            yield ""
            yield from claims(asked, rows)
