"""Which classes are taken for which, and whether mistakes go to the larger class."""

import dataclasses

import numpy as np

from longtail.metrics import tail_classes
from longtail.report.view import Ints, RunView

MOST_PAIRS = 12


@dataclasses.dataclass(frozen=True)
class Pair:
    """A class that is taken for another.

    Attributes:
        true, predicted: class ids.
        number: samples of `true` that were taken for `predicted`.
        of: samples of `true`.
    """

    true: int
    predicted: int
    number: int
    of: int

    @property
    def share(self) -> float:
        """Of the true class's samples, in (0, 1]."""
        return self.number / self.of


@dataclasses.dataclass(frozen=True)
class Direction:
    """Where the mistakes on some classes go.

    Attributes:
        classes: which ones, in words.
        mistakes: on them.
        larger: how many of these name a class with more training samples.
        even: the share that would if each mistake named any other class with the same chance.
    """

    classes: str
    mistakes: int
    larger: int
    even: float


def worst_pairs(confusion: Ints, order: Ints, most: int = MOST_PAIRS) -> list[Pair]:
    """The pairs with the largest share of the true class, in each direction by itself.

    Of equal shares that of more samples comes first, then that of the more frequent true class.

    Args:
        confusion: int64 [c, c], row = true class.
        order: int64 [c], class ids from head to tail.
        most: at most so many.
    """
    ordered = confusion[np.ix_(order, order)]
    totals = ordered.sum(axis=1)
    wrong = ordered.copy()
    np.fill_diagonal(wrong, 0)
    rows, columns = np.nonzero(wrong)
    numbers = wrong[rows, columns]
    worst = np.lexsort((columns, rows, -numbers, -numbers / totals[rows]))[:most]
    cells = np.stack([order[rows], order[columns], numbers, totals[rows]], axis=1)[worst]
    return [Pair(*cell) for cell in cells.tolist()]


def directions(view: RunView) -> list[Direction]:
    """Of the few and of the medium classes, else of the three rarest, that have a mistake.

    Nothing without predictions, or where no class has more training samples than another.
    """
    if view.confusion is None or np.ptp(view.counts) == 0:
        return []
    groups = np.asarray(view.groups)
    sets = {f"{group} classes": np.flatnonzero(groups == group) for group in ("few", "medium")}
    known = {words: ids for words, ids in sets.items() if len(ids)}
    rarest = np.asarray(tail_classes(view.counts))
    found = [
        direction(words, view.confusion, view.counts, ids)
        for words, ids in (known or {"rarest classes": rarest}).items()
    ]
    return [each for each in found if each.mistakes]


def direction(words: str, confusion: Ints, counts: Ints, classes: Ints) -> Direction:
    """Where the mistakes on `classes` go.

    Args:
        words: what they are called.
        confusion: int64 [c, c], row = true class; at least two classes.
        counts: int64 [c], training samples a class.
        classes: int64 [k] class ids.
    """
    wrong = confusion[classes].copy()
    wrong[np.arange(len(classes)), classes] = 0
    larger = counts[None, :] > counts[classes][:, None]
    mistakes = wrong.sum(axis=1)
    expected = mistakes * larger.sum(axis=1) / (len(counts) - 1)
    even = float(expected.sum() / max(1, mistakes.sum()))
    return Direction(words, int(mistakes.sum()), int(wrong[larger].sum()), even)
