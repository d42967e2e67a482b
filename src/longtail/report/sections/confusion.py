"""The confusion matrix from head to tail, its worst pairs, and where mistakes go."""

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np

from longtail.record import Predictions
from longtail.report.confusion import (
    ConfusedPair,
    Matrix,
    directions,
    matrix_of,
    worst_pairs,
)
from longtail.report.figures.confusion import NAMED_UP_TO
from longtail.report.figures.style import shortened
from longtail.report.page import Section, render
from longtail.report.pictures import png, sprite
from longtail.report.view import RunView

_AXIS_LETTERS = 14
_PAIR_LETTERS = 32
PICTURES_OF_A_PAIR = 4


def confusion(view: RunView) -> Section | None:
    """The matrix, its worst pairs with pictures, where mistakes go; None without predictions."""
    matrix = matrix_of(view)
    if matrix is None or view.confusion is None or view.predictions is None:
        return None
    pairs = worst_pairs(view.confusion, view.order)
    shown = [_samples(view.predictions, pair) for pair in pairs]
    named = matrix.size == 1 and len(matrix.names) <= NAMED_UP_TO
    html = render(
        "sections/confusion.html.j2",
        view=view,
        matrix=matrix,
        axis=[shortened(name, _AXIS_LETTERS) for name in matrix.names] if named else [],
        names=[shortened(name, _PAIR_LETTERS) for name in view.class_names],
        still=_still(matrix),
        pairs=list(zip(pairs, _cells(shown), strict=True)),
        sheet=sprite(view.predictions.thumbnails, "confusions", list(chain(*shown))),
        directions=directions(view),
    )
    return Section("confusion", "What is taken for what", html, {"confusion-data": _data(matrix)})


def _data(matrix: Matrix) -> dict[str, Any]:
    """Each row's cells that are not 0 as column, number, column, number, ..."""
    filled = [np.flatnonzero(row) for row in matrix.cells]
    return {
        "names": matrix.names,
        "rows": [
            np.stack([columns, row[columns]], axis=1).ravel().tolist()
            for row, columns in zip(matrix.cells, filled, strict=True)
        ],
        "right": matrix.right.tolist(),
        "bounds": matrix.bounds,
        "blocks": matrix.size > 1,
    }


def _still(matrix: Matrix) -> str:
    """The shares of each row as the opacity of one pixel a cell: a PNG as data URI."""
    pixels = np.zeros((*matrix.cells.shape, 2), np.uint8)
    pixels[..., 1] = np.rint(255 * np.sqrt(matrix.shares))
    return png(pixels)


def _samples(predictions: Predictions, pair: ConfusedPair) -> list[int]:
    """Positions of the first samples that were confused so, in the order of the file."""
    taken = (predictions.labels == pair.true) & (predictions.predicted == pair.predicted)
    found: list[int] = np.flatnonzero(taken)[:PICTURES_OF_A_PAIR].tolist()
    return found


def _cells(shown: Sequence[Sequence[int]]) -> list[range]:
    """Which cells of the sheet are each pair's."""
    ends = list(accumulate(map(len, shown)))
    return [range(end - len(samples), end) for samples, end in zip(shown, ends, strict=True)]
