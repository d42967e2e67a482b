"""Class by class: the recall of each row, and how far it lies from the baseline's."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np

from longtail.metrics import paired_difference, paired_interval
from longtail.report.arrays import Floats
from longtail.report.class_words import class_words, difference_label
from longtail.report.comparison.compared import Compared, RunPair, pairs_of
from longtail.report.comparison.fixed import changes
from longtail.report.figures.differences import differences
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.marks import mark_order
from longtail.report.figures.svg import inline
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.tables import Cell, Column, Table, group_cell, number, points, share
from longtail.report.words import interval, signed

SHOWN = 5
"""Rows beside the baseline's that the table has columns for."""
_FEWEST_SAMPLES = 10


class ClassDifference(NamedTuple):
    """A row less the baseline in each class; fractions, float64 [c], NaN where there is none.

    Attributes:
        mean: over the pairs of runs.
        low, high: 95 % over seeds, or over test samples where there is one pair.
    """

    mean: Floats
    low: Floats
    high: Floats


def classes(comparison: Compared) -> Section | None:
    """A figure for each row and the table of all classes; None without a row to hold against."""
    base, rows = comparison.base, comparison.others[:SHOWN]
    if not rows:
        return None
    between = [class_difference(row, base) for row in rows]
    ids = [f"differences-{number}" for number in range(1, len(rows) + 1)]
    html = render(
        "comparison/classes.html.j2",
        table=class_table(base, rows, between),
        figures=list(map(_figure, ids, repeat(base), rows, between)),
        base=base.label,
        hidden=len(comparison.others) - len(rows),
        classes=len(base.first.class_names),
    )
    tips = {f"{name}-tips": list(_tips(base, f)) for name, f in zip(ids, between, strict=True)}
    return Section("classes", "Class by class", html, tips)


def _figure(name: str, base: Row, row: Row, found: ClassDifference) -> InlineFigure:
    """The differences of a row, each class over its training samples."""
    label = difference_label(row.label, base.label, found.mean)
    drawn = differences(base.first.counts, found.mean)
    caption = f"{row.label} less {base.label}: above the line it recognises the class more often."
    return InlineFigure(inline(drawn, name, label), caption, f"{name}-tips")


def _tips(base: Row, found: ClassDifference) -> Iterator[str]:
    """A text for each mark of a row's differences, in their order."""
    view = base.first
    for c in mark_order(view.counts, found.mean):
        yield f"{class_words(view, c)}\n{signed(found.mean[c])} points"


def class_table(base: Row, rows: Sequence[Row], between: Sequence[ClassDifference]) -> Table:
    """A line for each class, head first."""
    view = base.first
    columns = [Column("class", number=False, wide=True), Column("group", number=False)]
    columns += [Column("train samples"), Column(base.short)]
    for row in rows:
        columns += [Column(row.short), Column(f"{row.short} less {base.short}")]
        columns += [Column(f"95 %, {row.short}")]
    recalls = base.recall
    own = [(row.recall, found) for row, found in zip(rows, between, strict=True)]
    lines = []
    for c in view.order.tolist():
        cells = [
            Cell(view.class_names[c]),
            group_cell(view.groups[c]),
        ]
        cells += [number(int(view.counts[c])), share(recalls[c])]
        for values, found in own:
            around = Cell(interval(found.low[c], found.high[c]))
            cells += [share(values[c]), points(found.mean[c]), around]
        lines.append(cells)
    return Table("class-differences", "Recall of every class in every row", columns, lines)


def class_difference(row: Row, base: Row) -> ClassDifference:
    """The differences of all classes between two rows on the same data."""
    pairs = pairs_of(row, base)
    each = np.array([pair.view.per_class - pair.base.per_class for pair in pairs])
    low, high = _over_samples(pairs[0]) if len(pairs) == 1 else _over_seeds(pairs)
    return ClassDifference(each.mean(axis=0), low, high)


def _over_samples(pair: RunPair) -> tuple[Floats, Floats]:
    """Of one pair of runs, where their predictions are of the same samples and those are enough."""
    found = changes(*pair)
    if found is None:
        missing = np.full(len(pair.base.class_names), np.nan)
        return missing, missing
    low, high = paired_interval(found.fixed, found.broken, found.total)
    enough = found.total >= _FEWEST_SAMPLES
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def _over_seeds(pairs: Sequence[RunPair]) -> tuple[Floats, Floats]:
    """Student's interval of each class over the pairs; none where all differ by the same."""
    ours = np.array([pair.view.per_class for pair in pairs])
    base = np.array([pair.base.per_class for pair in pairs])
    ends = np.full((2, ours.shape[1]), np.nan)
    for c in np.flatnonzero(np.isfinite(ours + base).all(axis=0)):
        found = paired_difference(dict(enumerate(ours[:, c])), dict(enumerate(base[:, c])))
        if found.low is not None and found.high is not None:
            ends[:, c] = found.low, found.high
    return ends[0], ends[1]
