"""Several runs as rows, the row that the others are held against, and what cannot be."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from longtail.report.baseline import BASELINE, same_data
from longtail.report.rows import Row, rows_of
from longtail.report.view import RunView, same_samples
from longtail.report.words import listed, plural


class RunPair(NamedTuple):
    """Two runs that are held against each other.

    Attributes:
        view: of a row.
        base: of the baseline: the run of the same seed where there is one.
    """

    view: RunView
    base: RunView

    @property
    def seeds(self) -> str:
        """Their seeds in words."""
        ours, base = self.view.record.seed, self.base.record.seed
        return f"seed {ours}" if ours == base else f"seeds {ours} and {base}"


@dataclasses.dataclass(frozen=True)
class Compared:
    """What a comparison is made of.

    Attributes:
        rows: the baseline, the others, and those on other data, each in the order of the runs.
        base: the one that the others are held against.
        others: those on the data of the baseline; only of them a difference is taken.
        problems: why of some rows none is, in sentences.
    """

    rows: tuple[Row, ...]
    base: Row
    others: tuple[Row, ...]
    problems: tuple[str, ...]

    @property
    def alike(self) -> tuple[Row, ...]:
        """The baseline, then the rows that can be held against it."""
        return (self.base, *self.others)


def compared(views: Sequence[RunView]) -> Compared:
    """The rows of at least one run, and their baseline.

    The baseline is the first row of cross-entropy on the data of the first run; the first run's row
    where there is none.
    """
    rows = rows_of(views)
    alike = [row for row in rows if _same_test(row.first, rows[0].first)]
    base = next((row for row in alike if row.first.record.method == BASELINE), rows[0])
    others = [row for row in alike if row is not base]
    strangers = [row for row in rows if row not in alike]
    return Compared(
        (base, *others, *strangers), base, tuple(others), tuple(_problems(strangers, base))
    )


def pairs_of(row: Row, base: Row) -> list[RunPair]:
    """A pair for each seed that the rows share; their first runs where they share none."""
    shared = sorted(row.views.keys() & base.views.keys())
    if not shared:
        return [RunPair(row.first, base.first)]
    return [RunPair(row.views[seed], base.views[seed]) for seed in shared]


def unseen_pairs(comparison: Compared) -> list[str]:
    """Rows that cannot be held against the baseline sample by sample, by label."""
    return [
        row.label
        for row in comparison.others
        if not any(same_samples(*pair) for pair in pairs_of(row, comparison.base))
    ]


def _same_test(first: RunView, second: RunView) -> bool:
    return first.split == second.split and same_data(first.record, second.record)


def _problems(strangers: Sequence[Row], base: Row) -> Iterator[str]:
    """Which rows are on other classes, and which on other data of the same classes."""
    names = base.first.record.data.class_names
    other = [row for row in strangers if row.first.record.data.class_names != names]
    if other:
        number = listed([plural(len(row.first.class_names), "class") for row in other])
        yield (
            f"{listed([row.label for row in other])}: trained on other classes ({number}) than "
            f"{base.label} ({plural(len(names), 'class')}). Their key figures and "
            "training are shown beside each other; no difference is taken from one to the other, "
            "for a class or in the mean."
        )
    if changed := [row for row in strangers if row not in other]:
        yield (
            f"{listed([row.label for row in changed])}: the same classes as {base.label}, but "
            "another data hash, other class counts, another hold-out or another test split. "
            "The numbers stand beside each other; no difference between them is claimed."
        )
