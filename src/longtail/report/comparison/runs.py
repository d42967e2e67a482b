"""Which runs are compared: where each came from, and whether they may be held to be alike."""

from collections.abc import Iterator, Sequence

from longtail.errors import printable
from longtail.record import Record
from longtail.report.comparison.compared import Compared
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.tables import Cell, Column, Table, number
from longtail.report.view import RunView
from longtail.report.words import listed

_COLUMNS = (
    Column("run", number=False),
    Column("row", number=False, wide=True),
    Column("seed"),
    Column("epochs"),
    Column("data", number=False),
    Column("measured on", number=False),
    Column("machine", number=False),
    Column("revision", number=False),
    Column("minutes"),
)


def runs(comparison: Compared) -> Section:
    """A line for each run, and what is not the same in runs that are held to differ in a seed."""
    lines = [_line(row, view) for row in comparison.rows for view in row.views.values()]
    html = render(
        "comparison/runs.html.j2",
        table=Table("runs-table", "The runs that are compared", _COLUMNS, lines),
        remarks=[remark for row in comparison.rows for remark in remarks(row)],
    )
    return Section("runs", "Runs", html)


def remarks(row: Row) -> Iterator[str]:
    """What differs between the runs of a row besides their seed, in sentences."""
    records = [view.record for view in row.views.values()]
    for what, values in {
        "numeric sources": [str(record.provenance.numeric_hash)[:12] for record in records],
        "precision": [record.decisions.precision for record in records],
        "machine": [machine(record) for record in records],
    }.items():
        if len(set(values)) > 1:
            each = listed(sorted(set(values)))
            yield f"{row.label}: its runs do not have the same {what} ({each})."


def machine(record: Record) -> str:
    """The hardware that a run was trained on."""
    hardware = record.provenance.hardware
    return printable(hardware.gpu or hardware.cpu)


def _line(row: Row, view: RunView) -> Sequence[Cell]:
    record, data = view.record, view.record.data
    revision = printable(str(record.provenance.revision or "–"))
    return [
        Cell(view.name),
        Cell(row.label),
        number(record.seed, str(record.seed)),
        number(record.settings.get("epochs", float("nan"))),
        Cell(f"{printable(data.name)}, {data.hash[:12]}"),
        Cell(view.split_name),
        Cell(f"{machine(record)}, {record.decisions.precision}"),
        Cell(revision[:7] + ("-dirty" if revision.endswith("-dirty") else "")),
        number(record.provenance.seconds / 60, f"{record.provenance.seconds / 60:.1f}"),
    ]
