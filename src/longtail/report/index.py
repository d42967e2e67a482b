"""A directory of runs as one page: tables of what may stand in one, and what did not finish."""

import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from longtail.errors import CheckpointError, printable
from longtail.report.figures import rows as rows_figure
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.svg import inline
from longtail.report.page import Section, page, render
from longtail.report.row_table import row_table
from longtail.report.rows import Row, means, rows_of
from longtail.report.runs import DEPTH, RunsFound, Unfinished, find_runs
from longtail.report.tables import Cell, Column, Link, Table, number, share
from longtail.report.view import RunView
from longtail.report.words import plural

_REPORT = "report.html"
_DRAWN = "balanced_accuracy"
_DRAWN_ROWS, _DRAWN_TABLES = 40, 12


def index(folder: Path, out: Path | None = None) -> str:
    """The page of a directory of runs, or of a bench's runs, as HTML.

    Args:
        folder: searched, with what lies up to three levels below it.
        out: the file that the page will be, which its links start from; FOLDER/index.html when
            left out.

    Raises:
        CheckpointError: no run lies there.
    """
    found = find_runs(folder)
    if not any(found):
        raise CheckpointError(
            f"{folder}: no run lies here or up to {DEPTH} levels below (links are not followed); "
            "name a folder that `longtail train` or `longtail bench` wrote."
        )
    start = folder if out is None else out.parent
    name = printable(folder.resolve().name)
    others = f" and {len(found.unfinished):,} without a result" if found.unfinished else ""
    return page(
        name or "Runs",
        f"{plural(len(found.finished), 'finished run')}{others}, up to {DEPTH} levels down",
        list(_sections(found, start)),
    )


def _sections(found: RunsFound, start: Path) -> Iterator[Section]:
    for place, views in enumerate(_tables(found.finished), 1):
        yield _table_section(place, views, start)
    if found.unfinished:
        yield Section(
            "unfinished",
            "Not finished",
            render("index/runs.html.j2", table=_unfinished_table(found.unfinished, start)),
        )
    if found.finished:
        yield Section(
            "runs",
            "Every run",
            render("index/runs.html.j2", table=_runs_table(found.finished, start)),
        )


def _tables(views: Sequence[RunView]) -> list[list[RunView]]:
    """Runs on the same data with the same network and budget, which may stand in one table."""
    tables: dict[tuple[object, ...], list[RunView]] = {}
    for view in views:
        record, data = view.record, view.record.data
        key = (
            *(data.name, data.hash, data.train_counts, data.class_names, data.holdout),
            *(data.test_size, view.split, record.backbone, record.recipe),
            str(record.settings.get("epochs")),
        )
        tables.setdefault(key, []).append(view)
    return list(tables.values())


def _table_section(place: int, views: Sequence[RunView], start: Path) -> Section:
    rows = rows_of(views)
    record = views[0].record
    name, epochs = printable(record.data.name), record.settings.get("epochs")
    html = render(
        "index/table.html.j2",
        facts=_facts(views[0]),
        table=_rows_table(place, rows, start),
        figures=[_figure(place, rows)] if place <= _DRAWN_TABLES and len(rows) > 1 else [],
    )
    apart = f", hold-out {printable(record.data.holdout)}" if record.data.holdout else ""
    recipe = ", paper recipe" if record.recipe == "paper" else ""
    title = f"{name}, {printable(record.backbone)}, {epochs} epochs{recipe}{apart}"
    return Section(f"table-{place}", title, html)


def _facts(view: RunView) -> str:
    """What all runs of a table have in common, in a sentence."""
    record, data, counts = view.record, view.record.data, view.counts
    held = f", hold-out {printable(data.holdout)}" if data.holdout else ""
    return (
        f"{plural(int(counts.sum()), 'training sample')} of {plural(len(counts), 'class')}, "
        f"the largest of {counts.max():,} and the smallest of {counts.min():,}; data hash "
        f"{data.hash[:16]}{held}; measured on the {view.split_name} split; {record.recipe} recipe."
    )


def _rows_table(place: int, rows: Sequence[Row], start: Path) -> Table:
    minutes = [
        {seed: view.record.provenance.seconds / 60 for seed, view in row.views.items()}
        for row in rows
    ]
    reports = [
        Cell("", links=[_link(v.folder, start, f"seed {seed}") for seed, v in row.views.items()])
        for row in rows
    ]
    return row_table(
        f"rows-{place}",
        rows,
        (Column("minutes"), [means(values, scale=1) for values in minutes]),
        (Column("reports", number=False, wide=True), reports),
    )


def _figure(place: int, rows: Sequence[Row]) -> InlineFigure:
    """The rows with the highest means, best on top."""
    known = [row for row in rows if row.values(_DRAWN)]
    known.sort(key=lambda row: -statistics.mean(row.values(_DRAWN).values()))
    shown = known[:_DRAWN_ROWS]
    figure = rows_figure.rows(
        [row.short for row in shown], [list(row.values(_DRAWN).values()) for row in shown]
    )
    label = "Balanced accuracy of each row, a point for each seed"
    caption = "Balanced accuracy, highest mean on top: a point for each seed, a bar at their mean."
    if len(known) > len(shown):
        caption += f" {plural(len(known) - len(shown), 'row')} with lower means are left out."
    return InlineFigure(inline(figure, f"rows-figure-{place}", label), caption)


def _unfinished_table(runs: Sequence[Unfinished], start: Path) -> Table:
    columns = [Column(title, number=False, wide=True) for title in ("run", "because")]
    lines = [[_run(run.folder, start), Cell(printable(run.why))] for run in runs]
    return Table("unfinished-runs", "Runs without a result", columns, lines)


def _runs_table(views: Sequence[RunView], start: Path) -> Table:
    columns = [Column("run", number=False, wide=True), Column("method", number=False)]
    columns += [Column("data", number=False), Column("seed"), Column("balanced")]
    columns += [Column("finished", number=False)]
    lines = [
        [
            _run(view.folder, start),
            Cell(printable(view.record.method)),
            Cell(printable(view.record.data.name)),
            number(view.record.seed, str(view.record.seed)),
            share(view.metrics.balanced_accuracy),
            Cell(printable(view.record.created)),
        ]
        for view in views
    ]
    return Table("every-run", "Every finished run", columns, lines)


def _run(folder: Path, start: Path) -> Cell:
    name = printable(os.path.relpath(folder, start))
    return Cell(name, links=[_link(folder, start, name)])


def _link(folder: Path, start: Path, text: str) -> Link:
    """To a run's page where there is one; an address has no letter that could end or change it."""
    if not (folder / _REPORT).is_file():
        return Link(text)
    path = Path(os.path.relpath(folder / _REPORT, start)).as_posix()
    return Link(text, quote(os.fsencode(path)))
