"""How far each row lies from the baseline: over shared seeds, for one seed over its samples."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from longtail.metrics import (
    RANKED_FROM,
    Comparison,
    PictureInterval,
    compare_all,
    paired_difference,
    picture_difference,
    sensitivity,
    telling,
)
from longtail.report.comparison.compared import Compared, RunPair, pairs_of
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.tables import Cell, Column, Table, number, points
from longtail.report.view import same_samples
from longtail.report.words import interval, signed

JUDGED_BY = "balanced_accuracy"

_METRICS = {
    "harmonic": "harmonic_mean_accuracy",
    "all samples": "accuracy",
    "many": "many",
    "medium": "medium",
    "few": "few",
}
# A redraw of a thousand classes fills a million cells: fewer redraws there, so that it stays short.
_CLASSES, _REDRAWS, _FEWER_REDRAWS = 500, 2000, 500


class Pictures(NamedTuple):
    """One run less another on the same test samples, with the interval for other such samples."""

    pair: RunPair
    found: PictureInterval


class Difference(NamedTuple):
    """A row less the baseline in balanced accuracy, fractions.

    Attributes:
        row: the row.
        judged: over the seeds they share.
        pictures: where they share one seed or none, and both runs' predictions are of the same
            samples: what is left to say.
    """

    row: Row
    judged: Comparison
    pictures: Pictures | None

    @property
    def words(self) -> str:
        """The difference and what it says, in sentences without their end."""
        paired = self.judged.paired
        if paired is not None and paired.n > 1:
            return (
                f"{signed(paired.mean, paired.low, paired.high)} points over {paired.n} shared "
                f"seeds: {self.judged.words}"
            )
        if self.pictures is None:
            value = "" if paired is None else f"{signed(paired.mean)} points; "
            return f"{value}{self.judged.words}"
        pair, found = self.pictures
        return (
            f"{signed(found.value)} points with {pair.seeds}, and within "
            f"{interval(found.low, found.high)} had other test samples been drawn. This says "
            f"nothing about other seeds ({self.judged.words})"
        )


def differences_of(comparison: Compared) -> list[Difference]:
    """Every row that can be held against the baseline; Holm's correction is over all of them."""
    base = comparison.base.values(JUDGED_BY)
    found = compare_all([(row.values(JUDGED_BY), base) for row in comparison.others])
    return [
        Difference(row, each, None if _has_spread(each) else _pictures(row, comparison.base))
        for row, each in zip(comparison.others, found, strict=True)
    ]


def _has_spread(each: Comparison) -> bool:
    """Whether seeds enough are shared to say how far they differ."""
    return each.paired is not None and each.paired.n > 1


def _pictures(row: Row, base: Row) -> Pictures | None:
    pair = pairs_of(row, base)[0]
    if not same_samples(*pair):
        return None
    ours, theirs = pair.view.predictions, pair.base.predictions
    assert ours is not None
    assert theirs is not None
    assert pair.base.tested is not None
    classes = len(pair.view.class_names)
    found = picture_difference(
        ours.labels,
        ours.predicted,
        theirs.predicted,
        classes,
        samples=_REDRAWS if classes <= _CLASSES else _FEWER_REDRAWS,
    )
    said = telling(found, pair.base.tested, -1, 1)
    return None if said is None else Pictures(pair, said)


def differences(comparison: Compared, found: Sequence[Difference]) -> Section | None:
    """None where no row can be held against the baseline."""
    if not found:
        return None
    alone = [each for each in found if each.pictures is not None]
    several = [each for each in found if each.judged.paired and each.pictures is None]
    html = render(
        "comparison/differences.html.j2",
        base=comparison.base.label,
        ranked_from=RANKED_FROM,
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
    return [points(found.mean), Cell(interval(found.low, found.high))]
