"""What is taken for what: the matrix from head to tail, its worst pairs, where mistakes go."""

import dataclasses
from itertools import accumulate, pairwise

import numpy as np

from longtail.metrics import tail_classes
from longtail.report.arrays import Floats, Ints
from longtail.report.view import RunView
from longtail.report.words import listed

MOST_BLOCKS = 100
MOST_PAIRS = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matrix:
    """What is drawn of a confusion matrix; rows and columns go from head to tail.

    Attributes:
        size: classes in a block; 1 where each has its own row. The last block may have fewer.
        cells: int64 [b, b], samples whose class is in the row's block and whose prediction is in
            the column's.
        right: int64 [b], samples of each block that were recognised; the diagonal where size is 1.
        names: [b], a class's name, or the ranks of a block and its first names.
        bounds: where each group begins and ends, in rows from the top: (group, first, last), the
            last excluded. In blocks they can lie within a row.
    """

    size: int
    cells: Ints
    right: Ints
    names: tuple[str, ...]
    bounds: tuple[tuple[str, float, float], ...]

    @property
    def shares(self) -> Floats:
        """Each cell's share of its row, float64 [b, b]; 0 in a row without a sample."""
        return np.asarray(self.cells / np.maximum(self.cells.sum(axis=1, keepdims=True), 1))


@dataclasses.dataclass(frozen=True)
class ConfusedPair:
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
        to_larger: how many of these name a class with more training samples.
        expected: the share that would if each mistake named any other class with the same chance.
    """

    classes: str
    mistakes: int
    to_larger: int
    expected: float


def matrix_of(view: RunView, most: int = MOST_BLOCKS) -> Matrix | None:
    """A run's confusion matrix in at most `most` rows; None without predictions."""
    if view.confusion is None:
        return None
    order = view.order
    size = -(-len(order) // most)
    ordered = view.confusion[np.ix_(order, order)]
    return Matrix(
        size=size,
        cells=block_sums(ordered, size),
        right=np.add.reduceat(np.diagonal(ordered), _starts(len(order), size)),
        names=_names([view.class_names[c] for c in order], size),
        bounds=_bounds(view, size),
    )


def block_sums(matrix: Ints, size: int) -> Ints:
    """Sums over blocks of size x size cells; the last ones are smaller where size does not divide.

    Args:
        matrix: int64 [c, c].
        size: at least 1.

    Returns:
        int64 [b, b] with b = c / size, rounded up; its sum is the matrix's.
    """
    starts = _starts(len(matrix), size)
    return np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)


def worst_pairs(confusion: Ints, order: Ints, most: int = MOST_PAIRS) -> list[ConfusedPair]:
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
    return [ConfusedPair(*cell) for cell in cells.tolist()]


def directions(view: RunView) -> list[Direction]:
    """Of the few and of the medium classes, else of the three rarest, that have a mistake.

    Nothing without predictions, or where no class has more training samples than another.
    """
    if view.confusion is None or np.ptp(view.counts) == 0:
        return []
    sets = {
        f"{group} classes": view.members[group]
        for group in reversed(view.members)
        if group != "many"
    }
    rarest = {"rarest classes": np.asarray(tail_classes(view.counts))}
    found = [
        direction(words, view.confusion, view.counts, ids)
        for words, ids in (sets or rarest).items()
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
    share = float(expected.sum() / max(1, mistakes.sum()))
    return Direction(words, int(mistakes.sum()), int(wrong[larger].sum()), share)


def _starts(length: int, size: int) -> Ints:
    return np.arange(0, length, size, dtype=np.int64)


def _names(names: list[str], size: int) -> tuple[str, ...]:
    if size == 1:
        return tuple(names)
    blocks = [(start, names[start : start + size]) for start in range(0, len(names), size)]
    return tuple(
        f"ranks {start + 1} to {start + len(block)} ({listed(block, 2)})" for start, block in blocks
    )


def _bounds(view: RunView, size: int) -> tuple[tuple[str, float, float], ...]:
    ends = [0, *accumulate(map(len, view.members.values()))]
    return tuple(
        (group, first / size, last / size)
        for group, (first, last) in zip(view.members, pairwise(ends), strict=True)
    )
