"""Marks of a figure: the nearest to the pointer, or the one that the arrow keys reach, is told."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from longtail.report.figures.marks import mark_order
from longtail.report.view import open_run

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser


def _figure(page: "Page") -> "Locator":
    figure = page.locator("figure[data-tips='long-tail-tips']")
    figure.scroll_into_view_if_needed()
    return figure


def _texts(page: "Page") -> list[str]:
    return json.loads(page.locator("#long-tail-tips").text_content())


def _middle(mark: "Locator") -> tuple[float, float]:
    box = mark.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_nearest_mark_tells_its_class(opened: Callable, run_of: Callable) -> None:
    view, page = open_run(run_of(10)), opened(10).page
    marks, tip = _figure(page).locator("[id$='-marks'] use"), page.locator("#tip")
    for number, c in enumerate(mark_order(view.counts, view.per_class)):
        x, y = _middle(marks.nth(number))
        page.mouse.move(x, y + 6)
        shown = tip.inner_text()
        assert shown == _texts(page)[number]
        assert shown.startswith(view.class_names[c])
        assert f"accuracy {100 * view.per_class[c]:.1f} %" in shown
    page.mouse.move(x, y + 200)
    assert tip.is_hidden()


def test_marks_on_the_same_place_are_told_together(opened: Callable) -> None:
    page = opened(1000).page
    marks, tip, texts = (
        _figure(page).locator("[id$='-marks'] use"),
        page.locator("#tip"),
        _texts(page),
    )
    last = texts[-1].split("\n", 1)[1]
    here = [text for text in texts if text.split("\n", 1)[1] == last]
    page.mouse.move(*_middle(marks.last))
    assert len(here) > 3
    assert tip.inner_text() == "\n\n".join([*here[:3], f"and {len(here) - 3} more here"])


def test_the_arrow_keys_go_through_the_marks(opened: Callable) -> None:
    page = opened(10).page
    svg, tip, texts = _figure(page).locator("svg"), page.locator("#tip"), _texts(page)
    svg.press("ArrowRight")  # the leftmost, which has the fewest training samples
    assert tip.inner_text() == texts[-1]
    svg.press("ArrowRight")
    assert tip.inner_text() == texts[-2]
    for _ in range(20):
        svg.press("ArrowLeft")
    assert tip.inner_text() == texts[-1]
    assert svg.locator("circle").evaluate("ring => getComputedStyle(ring).visibility") == "visible"
    svg.press("Escape")
    assert tip.is_hidden()
    assert svg.locator("circle").evaluate("ring => getComputedStyle(ring).visibility") == "hidden"
