"""The table of rows: key figures over seeds, and whatever a page adds to them."""

from collections.abc import Iterator, Sequence

from longtail.prior import GROUPS
from longtail.report.rows import Row, means
from longtail.report.tables import Cell, Column, Table, number

Filled = tuple[Column, Sequence[Cell]]
"""A column, and its cell of each row."""

_MEANS = {
    "balanced": "balanced_accuracy",
    "harmonic": "harmonic_mean_accuracy",
    "all samples": "accuracy",
}


def row_table(name: str, rows: Sequence[Row], *more: Filled) -> Table:
    """Mean ± standard deviation over seeds of every key figure, a line for each row.

    Args:
        name: id of the table.
        rows: at least one.
        more: columns after these.
    """
    filled = [*_key_figures(rows), *more]
    columns, cells = [column for column, _ in filled], [cells for _, cells in filled]
    lines = list(zip(*cells, strict=True))
    return Table(name, "Key figures of every row, per cent", columns, lines)


def _key_figures(rows: Sequence[Row]) -> Iterator[Filled]:
    yield Column("row", number=False, wide=True), [Cell(row.label) for row in rows]
    yield Column("n"), [number(len(row.views)) for row in rows]
    present = [(group, group) for group in GROUPS if any(row.values(group) for row in rows)]
    for title, name in (*_MEANS.items(), *present):
        yield Column(title), [means(row.values(name)) for row in rows]
    yield Column("classes at 0"), [means(row.values("zero_classes"), scale=1) for row in rows]
