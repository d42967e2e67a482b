"""The confusion matrix from head to tail, its worst pairs, and where mistakes go."""

import base64
import io
from typing import Any

import numpy as np

from longtail.report.blocks import Matrix, matrix_of
from longtail.report.confusions import Pair, directions, worst_pairs
from longtail.report.figures.style import shortened
from longtail.report.page import Section, render
from longtail.report.pictures import Sprite, sprite
from longtail.report.view import Ints, RunView

NAMED_UP_TO = 20
"""Rows and columns carry their class's name up to so many; beyond, the tip says it."""
_AXIS_LETTERS = 14
_PAIR_LETTERS = 32
PICTURES_OF_A_PAIR = 4


def confusion(view: RunView) -> Section | None:
    """The matrix, its worst pairs with pictures, where mistakes go; None without predictions."""
    matrix = matrix_of(view)
    if matrix is None or view.confusion is None:
        return None
    pairs = worst_pairs(view.confusion, view.order)
    shown = [_samples(view, pair) for pair in pairs]
    named = matrix.size == 1 and len(matrix.names) <= NAMED_UP_TO
    html = render(
        "sections/confusion.html.j2",
        view=view,
        matrix=matrix,
        axis=[shortened(name, _AXIS_LETTERS) for name in matrix.names] if named else [],
        names=[shortened(name, _PAIR_LETTERS) for name in view.class_names],
        still=_still(matrix),
        pairs=list(zip(pairs, _cells(shown), strict=True)),
        sheet=_sheet(view, shown),
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
    from PIL import Image

    shares = matrix.cells / np.maximum(matrix.cells.sum(axis=1, keepdims=True), 1)
    pixels = np.zeros((*shares.shape, 2), np.uint8)
    pixels[..., 1] = np.rint(255 * np.sqrt(shares))
    file = io.BytesIO()
    Image.fromarray(pixels, "LA").save(file, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _samples(view: RunView, pair: Pair) -> Ints:
    """Positions of the first samples that were confused so, in the order of the file."""
    assert view.predictions is not None
    labels, predicted = view.predictions.labels, view.predictions.predicted
    confused = np.flatnonzero((labels == pair.true) & (predicted == pair.predicted))
    return confused[:PICTURES_OF_A_PAIR]


def _cells(shown: list[Ints]) -> list[range]:
    """Which cells of the sheet are each pair's."""
    ends = np.cumsum([len(samples) for samples in shown]).tolist()
    return [range(end - len(samples), end) for samples, end in zip(shown, ends, strict=True)]


def _sheet(view: RunView, shown: list[Ints]) -> Sprite | None:
    assert view.predictions is not None
    if view.predictions.thumbnails is None or not shown:
        return None
    return sprite(view.predictions.thumbnails[np.concatenate(shown)], "confusions")
