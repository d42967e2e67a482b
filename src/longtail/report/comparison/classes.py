"""Class by class: the recall of each row, and how far it lies from the baseline's."""

from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np

from longtail.report.comparison.class_difference import ClassDifference, class_difference, recall
from longtail.report.comparison.compared import Compared
from longtail.report.figures.differences import differences
from longtail.report.figures.marks import mark_order
from longtail.report.figures.shown import Shown
from longtail.report.figures.svg import inline
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.tables import Cell, Column, Table, number, points, share
from longtail.report.words import interval, plural

SHOWN = 5
"""Rows beside the baseline's that the table has columns for."""


def classes(comparison: Compared) -> Section | None:
    """A figure for each row and the table of all classes; None without a row to hold against."""
    base, rows = comparison.base, comparison.others[:SHOWN]
    if not rows:
        return None
    between = [class_difference(row, base) for row in rows]
    ids = [f"differences-{number}" for number in range(1, len(rows) + 1)]
    html = render(
        "compare/classes.html.j2",
        table=class_table(base, rows, between),
        figures=list(map(_figure, ids, repeat(base), rows, between)),
        base=base.label,
        hidden=len(comparison.others) - len(rows),
        classes=len(base.first.class_names),
    )
    tips = {f"{name}-tips": list(_tips(base, f)) for name, f in zip(ids, between, strict=True)}
    return Section("classes", "Class by class", html, tips)


def _figure(name: str, base: Row, row: Row, found: ClassDifference) -> Shown:
    """The differences of a row, each class over its training samples."""
    better, worse = int((found.mean > 0).sum()), int((found.mean < 0).sum())
    label = (
        f"Class accuracies of {row.label} less those of {base.label}: {plural(better, 'class')} "
        f"higher, {worse:,} lower, {100 * float(np.nanmean(found.mean)):+.1f} points on average"
    )
    drawn = differences(base.first.counts, found.mean)
    caption = f"{row.label} less {base.label}: above the line it recognises the class more often."
    return Shown(inline(drawn, name, label), caption, f"{name}-tips")


def _tips(base: Row, found: ClassDifference) -> Iterator[str]:
    """A text for each mark of a row's differences, in their order."""
    view = base.first
    for c in mark_order(view.counts, found.mean):
        size = f"{plural(int(view.counts[c]), 'training sample')}, {view.groups[c]}"
        yield f"{view.class_names[c]}\n{size}\n{100 * found.mean[c]:+.1f} points"


def class_table(base: Row, rows: Sequence[Row], between: Sequence[ClassDifference]) -> Table:
    """A line for each class, head first."""
    view = base.first
    columns = [Column("class", number=False, wide=True), Column("group", number=False)]
    columns += [Column("train samples"), Column(base.short)]
    for row in rows:
        columns += [Column(row.short), Column(f"{row.short} less {base.short}")]
        columns += [Column(f"95 %, {row.short}")]
    recalls = recall(base)
    own = [(recall(row), found) for row, found in zip(rows, between, strict=True)]
    lines = []
    for c in view.order.tolist():
        cells = [
            Cell(view.class_names[c]),
            Cell(view.groups[c], group=view.groups[c]),
        ]
        cells += [number(int(view.counts[c])), share(recalls[c])]
        for values, found in own:
            around = interval(found.low[c], found.high[c]) if found.low[c] == found.low[c] else "–"
            cells += [share(values[c]), points(found.mean[c]), Cell(around)]
        lines.append(cells)
    return Table("class-differences", "Recall of every class in every row", columns, lines)
