"""The confusion matrix: the cell under the pointer or the cursor says its classes and counts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from longtail.report.view import RunView, open_run

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser


def _canvas(page: "Page") -> "Locator":
    canvas = page.locator("#confusion-canvas")
    canvas.scroll_into_view_if_needed()
    return canvas


def _middle(canvas: "Locator", row: int, column: int, size: int) -> tuple[float, float]:
    """Where a cell is in its canvas, to a few pixels."""
    box = canvas.bounding_box()
    return box["width"] * (column + 0.5) / size, box["height"] * (row + 0.5) / size


def _words(view: RunView, row: int, column: int) -> str:
    """What the tip of a cell must say: counted in the predictions, not in the matrix."""
    true, predicted = view.order[row], view.order[column]
    labels, found = view.predictions.labels, view.predictions.predicted
    of = int((labels == true).sum())
    number = int(((labels == true) & (found == predicted)).sum())
    names = [view.class_names[c] or "(no name)" for c in (true, predicted)]
    return f"true {names[0]} → predicted {names[1]}: {number} of {of} ({100 * number / of:.1f} %)"


def test_the_pointer_reads_a_cell(opened: Callable, run_of: Callable) -> None:
    view, page = open_run(run_of(10)), opened(10).page
    canvas, tip = _canvas(page), page.locator("#tip")
    for row, column in ((0, 0), (0, 1), (9, 8), (8, 2)):
        x, y = _middle(canvas, row, column, 10)
        canvas.hover(position={"x": x, "y": y})
        assert tip.inner_text() == _words(view, row, column)
    page.locator("h1").hover()
    assert tip.is_hidden()


def test_the_arrow_keys_read_cells_too(opened: Callable, run_of: Callable) -> None:
    view, page = open_run(run_of(100)), opened(100).page
    canvas, tip = _canvas(page), page.locator("#tip")
    canvas.press("ArrowDown")
    canvas.press("ArrowDown")
    canvas.press("ArrowRight")
    row, column = 2, 1
    assert tip.inner_text() == _words(view, row, column)
    canvas.press("Escape")
    assert tip.is_hidden()


def test_a_thousand_classes_are_told_in_blocks(opened: Callable, run_of: Callable) -> None:
    view, page = open_run(run_of(1000)), opened(1000).page
    canvas, tip = _canvas(page), page.locator("#tip")
    x, y = _middle(canvas, 99, 99, 100)
    canvas.hover(position={"x": x, "y": y})
    last = view.order[-10:]
    of_block = np.isin(view.predictions.labels, last)
    within = of_block & np.isin(view.predictions.predicted, last)
    right = of_block & (view.predictions.labels == view.predictions.predicted)
    text = tip.inner_text()
    assert text.startswith("true ranks 991 to 1000 (")
    assert f": {within.sum()} of {of_block.sum()} (" in text
    assert f"of these right: {right.sum()}" in text


def _colour(shown: object, row: int, column: int) -> list[int]:
    """Of a cell of ten classes, beside the number in its middle."""
    return shown.look("colourAt", "#confusion-canvas", (column + 0.25) / 10, (row + 0.25) / 10)


def test_shades_grow_with_the_share_and_follow_the_theme(
    opened: Callable, run_of: Callable
) -> None:
    view, shown = open_run(run_of(10)), opened(10)
    cells = view.confusion[np.ix_(view.order, view.order)]
    by_share = sorted((int(cells[r, c]), r, c) for r in range(10) for c in range(10))
    (_, *least), *_, (_, *most) = [cell for cell in by_share if cell[0]]
    (_, *empty) = by_share[0]
    strengths = [_colour(shown, *cell)[3] for cell in (empty, least, most)]
    assert strengths[0] == 0
    assert strengths == sorted(set(strengths))
    light = _colour(shown, *most)
    shown.page.locator("#theme").click()
    assert _colour(shown, *most) != light
