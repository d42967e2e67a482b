"""A confusion matrix from head to tail, and in blocks where it has more classes than fit."""

import dataclasses

import numpy as np

from longtail.report.view import Ints, RunView
from longtail.report.words import listed

MOST_BLOCKS = 100


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
    groups = np.asarray(view.groups)[view.order]
    members = {group: np.flatnonzero(groups == group) for group in view.present_groups}
    return tuple(
        (group, float(ranks[0] / size), float((ranks[-1] + 1) / size))
        for group, ranks in members.items()
    )
