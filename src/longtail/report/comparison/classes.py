"""Class by class: the recall of each row, and how far it lies from the baseline's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from longtail.metrics.paired import paired_difference
from longtail.report.comparison.changes import changes, paired_interval
from longtail.report.comparison.compared import Compared, Pair, pairs_of
from longtail.report.curves import Captioned
from longtail.report.figures.differences import differences
from longtail.report.figures.svg import inline
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.tables import Cell, Column, Table, number, points, share
from longtail.report.view import Floats
from longtail.report.words import interval

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
    """The table of all classes; None where no row can be held against the baseline."""
    shown = comparison.others[:SHOWN]
    if not shown:
        return None
    between = {row.short: class_difference(row, comparison.base) for row in shown}
    html = render(
        "compare/classes.html.j2",
        table=class_table(comparison.base, shown, list(between.values())),
        figures=list(_figures(comparison.base, between)),
        base=comparison.base.label,
        hidden=len(comparison.others) - len(shown),
        classes=len(comparison.base.first.class_names),
    )
    return Section("classes", "Class by class", html)


def _figures(base: Row, between: Mapping[str, ClassDifference]) -> Iterator[Captioned]:
    for place, (name, found) in enumerate(between.items(), 1):
        if np.isfinite(found.mean).any():
            words = f"{name} less {base.short}"
            figure = differences(base.first.counts, found.mean)
            yield Captioned(
                inline(figure, f"differences-{place}", f"{words}, by class"), f"{words}."
            )


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


def recall(row: Row) -> Floats:
    """Accuracy of each class, the mean over seeds; NaN for one without a test sample."""
    return np.asarray(np.mean([v.per_class for v in row.views.values()], axis=0), np.float64)


def class_difference(row: Row, base: Row) -> ClassDifference:
    """The differences of all classes between two rows on the same data."""
    pairs = pairs_of(row, base)
    each = np.array([pair.view.per_class - pair.base.per_class for pair in pairs])
    low, high = _over_samples(pairs[0]) if len(pairs) == 1 else _over_seeds(each)
    return ClassDifference(each.mean(axis=0), low, high)


def _over_samples(pair: Pair) -> tuple[Floats, Floats]:
    """Of one pair of runs, where their predictions are of the same samples and those are enough."""
    found = changes(*pair)
    if found is None:
        missing = np.full(len(pair.base.class_names), np.nan)
        return missing, missing
    low, high = paired_interval(found.mended, found.broken, found.total)
    enough = found.total >= _FEWEST_SAMPLES
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def _over_seeds(each: Floats) -> tuple[Floats, Floats]:
    """Student's interval of each class over the pairs, from differences [pairs, c]."""
    ends = np.full((2, each.shape[1]), np.nan)
    for c in np.flatnonzero(np.isfinite(each).all(axis=0)):
        found = paired_difference(dict(enumerate(each[:, c])), dict.fromkeys(range(len(each)), 0.0))
        if found.low is not None and found.high is not None:
            ends[:, c] = found.low, found.high
    return ends[0], ends[1]
