"""What a row gets right that the baseline got wrong, and the other way: on the same samples."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from longtail.report.arrays import Ints
from longtail.report.comparison.compared import Compared, RunPair, pairs_of, unseen_pairs
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.tables import Cell, Column, Table, group_cell, number
from longtail.report.view import RunView, same_samples
from longtail.report.words import listed, plural


@dataclasses.dataclass(frozen=True)
class Changes:
    """A run B against a run A; int64 [c] each, by true class.

    Attributes:
        total: samples.
        mistakes: those that A gets wrong.
        fixed: of them, those that B gets right.
        broken: those that A gets right and B wrong.
    """

    total: Ints
    mistakes: Ints
    fixed: Ints
    broken: Ints

    def of(self, classes: Ints) -> tuple[int, int, int, int]:
        """Total, mistakes, fixed and broken of some classes together."""
        parts = (self.total, self.mistakes, self.fixed, self.broken)
        total, mistakes, fixed, broken = (int(part[classes].sum()) for part in parts)
        return total, mistakes, fixed, broken


def changes(view: RunView, base: RunView) -> Changes | None:
    """`view` as B against `base` as A; None where they were not seen on the same samples."""
    if not same_samples(view, base):
        return None
    assert view.predictions is not None
    assert base.predictions is not None
    labels = base.predictions.labels
    before = base.predictions.predicted == labels
    after = view.predictions.predicted == labels

    def count(chosen: npt.NDArray[np.bool_]) -> Ints:
        return np.bincount(labels[chosen], minlength=len(base.class_names)).astype(np.int64)

    everything = np.ones(len(labels), np.bool_)
    return Changes(
        count(everything), count(~before), count(~before & after), count(before & ~after)
    )


def fixed(comparison: Compared) -> Section | None:
    """A sentence for each row's first pair, and every pair by group; None without a pair."""
    lines, sentences = [], []
    for row in comparison.others:
        found = list(_changes(row, comparison.base))
        sentences += [_sentence(row, comparison.base, *found[0])] if found else []
        for pair, change in found:
            lines += list(_lines(row, pair, change))
    if not lines:
        return None
    columns = [Column("row", number=False, wide=True), Column("of", number=False)]
    columns += [Column("classes", number=False)]
    columns += map(Column, ("samples", "mistakes of baseline", "fixed", "broken", "net"))
    html = render(
        "comparison/fixed.html.j2",
        sentences=sentences,
        table=Table("fixed-table", "Mistakes fixed and broken", columns, lines),
        unseen=listed(unseen) if (unseen := unseen_pairs(comparison)) else "",
    )
    return Section("fixed", "Mistakes fixed and broken", html)


def _changes(row: Row, base: Row) -> Iterator[tuple[RunPair, Changes]]:
    for pair in pairs_of(row, base):
        found = changes(*pair)
        if found is not None:
            yield pair, found


def _sentence(row: Row, base: Row, pair: RunPair, change: Changes) -> str:
    _, mistakes, fixes, breaks = change.of(pair.base.order)
    return (
        f"With {pair.seeds} {row.label} fixes {fixes:,} of {base.label}'s "
        f"{plural(mistakes, 'mistake')} and breaks {breaks:,} that were right."
    )


def _lines(row: Row, pair: RunPair, change: Changes) -> Iterator[list[Cell]]:
    yield _line(row, pair, Cell("all"), change.of(pair.base.order))
    for group, classes in pair.base.members.items():
        yield _line(row, pair, group_cell(group), change.of(classes))


def _line(row: Row, pair: RunPair, classes: Cell, counts: tuple[int, int, int, int]) -> list[Cell]:
    net = counts[2] - counts[3]
    numbers = [number(count) for count in counts]
    return [Cell(row.label), Cell(pair.seeds), classes, *numbers, number(net, f"{net:+,}")]
