"""The differences between rows as tables: over shared seeds, and for one seed over its samples."""

import math
from collections.abc import Sequence

from longtail.metrics.paired import paired_difference
from longtail.report.comparison.compared import Compared
from longtail.report.comparison.difference import JUDGED_BY, Difference
from longtail.report.judged import sensitivity
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.tables import Cell, Column, Table, number, points
from longtail.report.words import interval

_METRICS = {
    "harmonic": "harmonic_mean_accuracy",
    "all samples": "accuracy",
    "many": "many",
    "medium": "medium",
    "few": "few",
}


def paired(comparison: Compared, found: Sequence[Difference]) -> Section | None:
    """None where no row can be held against the baseline."""
    if not found:
        return None
    alone = [each for each in found if each.pictures is not None]
    several = [each for each in found if each.judged.paired and each.pictures is None]
    html = render(
        "compare/paired.html.j2",
        base=comparison.base.label,
        seeds=seeds_table(comparison.base, several) if several else None,
        sensitivity=sensitivity([each.judged for each in found]),
        pictures=pictures_table(alone) if alone else None,
    )
    return Section("differences", "Differences", html)


def seeds_table(base: Row, found: Sequence[Difference]) -> Table:
    """Every row less the baseline over shared seeds; balanced accuracy alone is judged."""
    metrics = {title: name for title, name in _METRICS.items() if base.values(name)}
    columns = [Column("row less baseline", number=False, wide=True), Column("shared seeds")]
    columns += [*_headings("balanced"), Column("p (Holm)"), Column("it is", number=False)]
    for title in metrics:
        columns += _headings(title)
    lines = [
        [
            Cell(each.row.label),
            number(each.judged.paired.n if each.judged.paired else 0),
            *_difference(each.row, base, JUDGED_BY),
            _p_value(each.judged.adjusted),
            Cell(each.judged.words),
            *(cell for name in metrics.values() for cell in _difference(each.row, base, name)),
        ]
        for each in found
    ]
    return Table("differences-seeds", "Differences over shared seeds, points", columns, lines)


def _headings(title: str) -> list[Column]:
    return [Column(title), Column(f"95 %, {title}")]


def _p_value(p: float | None) -> Cell:
    return number(math.nan) if p is None else number(p, f"{p:.2g}")


def pictures_table(found: Sequence[Difference]) -> Table:
    """Rows of one seed less the baseline, had other test samples been drawn."""
    columns = [
        Column("row less baseline", number=False, wide=True),
        Column("of", number=False),
        Column("balanced"),
        Column("95 %, samples redrawn"),
        Column("it is", number=False),
    ]
    lines = []
    for each in found:
        assert each.pictures is not None
        pair, value = each.pictures
        around = interval(value.low, value.high)
        cells = [Cell(each.row.label), Cell(pair.seeds), points(value.value), Cell(around)]
        lines.append([*cells, Cell(each.judged.words)])
    return Table("differences-samples", "Differences of one seed, points", columns, lines)


def _difference(row: Row, base: Row, name: str) -> list[Cell]:
    """A mean difference, and Student's interval where there is one."""
    ours, theirs = row.values(name), base.values(name)
    if not ours.keys() & theirs.keys():
        return [points(None), Cell("–")]
    found = paired_difference(ours, theirs)
    return [points(found.mean), Cell(interval(found.low, found.high) or "–")]
