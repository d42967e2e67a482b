"""The embedding map: the mark under the pointer says what it is, and buttons colour the marks."""

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from longtail.report.view import RunView, open_run

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

CANVAS, MARGIN = "#map-canvas", 14
ALONE = 12
"""Pixels: no other mark is as near to a mark that the pointer is meant to find."""


def _canvas(page: "Page") -> "Locator":
    canvas = page.locator(CANVAS)
    canvas.scroll_into_view_if_needed()
    return canvas


def _marks(page: "Page") -> np.ndarray:
    """Where the marks are in the canvas, in pixels, [n, 2]: the samples and then the prototypes."""
    data = json.loads(page.locator("#map-data").text_content())
    places = np.frombuffer(base64.b64decode(data["places"]), "<u2").reshape(-1, 2) / 65535
    side = page.locator(CANVAS).evaluate("canvas => canvas.clientWidth") - 2 * MARGIN
    return MARGIN + side * np.stack([places[:, 0], 1 - places[:, 1]], axis=1)


def _alone(marks: np.ndarray) -> list[int]:
    apart = np.linalg.norm(marks[:, None] - marks[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.flatnonzero(apart.min(axis=1) > ALONE).tolist()


def _words(view: RunView, mark: int) -> str:
    """What the tip of a mark must say; the page of ten classes draws every sample in its order."""
    labels, predicted = view.predictions.labels, view.predictions.predicted
    if mark >= len(labels):
        return f"prototype of {view.class_names[mark - len(labels)]}"
    true, found = labels[mark], predicted[mark]
    probability = 100 * view.probabilities[mark, found]
    names = view.class_names[true], view.class_names[found]
    return f"true {names[0]}\npredicted {names[1]} ({probability:.1f} %)"


def _right_and_wrong(view: RunView, marks: list[int]) -> list[int]:
    """Two samples of each kind among some marks, and the first prototype if there is one."""
    right = view.predictions.labels == view.predictions.predicted
    samples = [mark for mark in marks if mark < len(right)]
    chosen = [[m for m in samples if right[m] == kind][:2] for kind in (True, False)]
    assert all(len(kind) == 2 for kind in chosen)
    return [*chosen[0], *chosen[1], *marks[len(samples) :][:1]]


def test_the_pointer_reads_a_mark(opened: Callable, run_of: Callable) -> None:
    view, page = open_run(run_of(10)), opened(10).page
    canvas, tip, marks = _canvas(page), page.locator("#tip"), _marks(page)
    for mark in _right_and_wrong(view, _alone(marks)):
        x, y = marks[mark].tolist()
        canvas.hover(position={"x": x + 2, "y": y - 2})
        assert tip.inner_text() == _words(view, mark)
        is_sample = mark < len(view.predictions.labels)
        assert tip.locator(".thumb").count() == (1 if is_sample else 0)
    page.locator("h1").hover()
    assert tip.is_hidden()


def test_a_prototype_is_told_before_the_samples_beneath(opened: Callable, run_of: Callable) -> None:
    view, page = open_run(run_of(10)), opened(10).page
    canvas, marks = _canvas(page), _marks(page)
    star = len(view.predictions.labels)
    x, y = marks[star].tolist()
    canvas.hover(position={"x": x, "y": y})
    assert page.locator("#tip").inner_text() == _words(view, star)


def test_the_arrow_keys_go_from_mark_to_mark(opened: Callable) -> None:
    page = opened(100).page
    canvas, tip = _canvas(page), page.locator("#tip")
    canvas.press("ArrowRight")
    first = tip.inner_text()
    canvas.press("ArrowRight")
    assert tip.inner_text() != first
    assert page.locator("#map-ring").is_visible()
    canvas.press("Escape")
    assert tip.is_hidden()
    assert page.locator("#map-ring").is_hidden()


def test_the_buttons_colour_the_marks(opened: Callable, run_of: Callable) -> None:
    view, shown = open_run(run_of(10)), opened(10)
    page, marks = shown.page, _marks(shown.page)
    side = page.locator(CANVAS).bounding_box()["width"]
    wrong = view.predictions.labels != view.predictions.predicted
    mark = next(m for m in _alone(marks) if m < len(wrong) and wrong[m])
    colours = []
    for name in ("Group", "Class", "Error"):
        button = page.get_by_role("button", name=name, exact=True)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator(f"[data-legend={name.lower()}]").is_visible()
        assert page.locator("[data-legend]:visible").count() == 1
        colours.append(tuple(shown.look("colourAt", CANVAS, *(marks[mark] / side).tolist())))
    assert len(set(colours)) == 3
    assert all(colour[3] > 0 for colour in colours)


def test_one_class_is_picked_out(opened: Callable, run_of: Callable) -> None:
    view, shown = open_run(run_of(10)), opened(10)
    page, marks = shown.page, _marks(shown.page)
    labels = view.predictions.labels
    first, *_, last = [mark for mark in _alone(marks) if mark < len(labels)]
    page.locator("#map-class").select_option(str(labels[first]))
    canvas, tip = _canvas(page), page.locator("#tip")
    canvas.hover(position=dict(zip("xy", marks[last].tolist(), strict=True)))
    assert tip.is_hidden()
    canvas.hover(position=dict(zip("xy", marks[first].tolist(), strict=True)))
    assert tip.inner_text() == _words(view, first)
