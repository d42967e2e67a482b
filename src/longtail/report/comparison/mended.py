"""Which mistakes one row mends of another's, and what it breaks: counts of the same samples."""

from collections.abc import Iterator

import numpy as np

from longtail.report.comparison.changes import Changes, changes
from longtail.report.comparison.compared import Compared, Pair, pairs_of, unseen_pairs
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.tables import Cell, Column, Table, number
from longtail.report.words import listed, plural


def mended(comparison: Compared) -> Section | None:
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
    columns += map(Column, ("samples", "mistakes of baseline", "mended", "broken", "net"))
    html = render(
        "compare/mended.html.j2",
        sentences=sentences,
        table=Table("mended-table", "Mistakes mended and broken", columns, lines),
        unseen=listed(unseen) if (unseen := unseen_pairs(comparison)) else "",
    )
    return Section("mended", "Mistakes mended and broken", html)


def _changes(row: Row, base: Row) -> Iterator[tuple[Pair, Changes]]:
    for pair in pairs_of(row, base):
        found = changes(*pair)
        if found is not None:
            yield pair, found


def _sentence(row: Row, base: Row, pair: Pair, change: Changes) -> str:
    _, mistakes, mends, breaks = change.of(np.arange(len(change.total)))
    return (
        f"With {pair.seeds} {row.label} mends {mends:,} of {base.label}'s "
        f"{plural(mistakes, 'mistake')} and breaks {breaks:,} that were right."
    )


def _lines(row: Row, pair: Pair, change: Changes) -> Iterator[list[Cell]]:
    groups = np.array(pair.base.groups)
    yield _line(row, pair, Cell("all"), change.of(np.arange(len(groups))))
    for group in pair.base.present_groups:
        yield _line(row, pair, Cell(group, group=group), change.of(np.flatnonzero(groups == group)))


def _line(row: Row, pair: Pair, classes: Cell, counts: tuple[int, int, int, int]) -> list[Cell]:
    net = counts[2] - counts[3]
    numbers = [number(count) for count in counts]
    return [Cell(row.label), Cell(pair.seeds), classes, *numbers, number(net, f"{net:+,}")]
