"""What a designer would look for: room for everything, and letters that can be read."""

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.browser

SIZES = (10, 100, 1000)
WIDTHS = (400, 1280, 2000)
LEAST_LETTERS = 7.5
"""Pixels, of a figure's text on a telephone."""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("classes", SIZES)
def test_everything_has_its_room(opened: Callable, classes: int, width: int) -> None:
    shown = opened(classes, width)
    assert shown.look("overflow") == 0
    assert shown.look("clipped") == []
    assert shown.look("overlapping") == []
    assert shown.look("tiny", LEAST_LETTERS) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("classes", SIZES)
def test_every_text_stands_out_from_its_ground(opened: Callable, classes: int, theme: str) -> None:
    shown = opened(classes, color_scheme=theme)
    assert shown.look("faint") == []


SPOILT = """<p style="color: #888">grey on white</p>
<div style="width: 3000px">wide</div>
<p style="position: relative">one text<span style="position: absolute; left: 0">on it</span></p>
<svg viewBox="0 0 100 100" width="100"><text x="80" y="50">beyond its figure</text>
<text y="90" font-size="2">small</text></svg>"""


def test_what_is_wrong_is_seen(opened: Callable, run_of: Callable) -> None:
    """The looking itself: on a page with each fault, each is found and nothing else is."""
    page = run_of(10) / "ugly.html"
    page.write_text(f"<!doctype html><body style='background: #fff'><main>{SPOILT}</main>")
    shown = opened(page)
    assert shown.look("overflow") > 1000
    assert shown.look("clipped") == ["beyond its figure"]
    assert shown.look("overlapping") == [["one text", "on it"]]
    assert [text for text, _ in shown.look("tiny", LEAST_LETTERS)] == ["small"]
    faint = shown.look("faint")
    assert [found["text"] for found in faint] == ["grey on white"]
    assert faint[0]["ratio"] == pytest.approx(3.54, abs=0.01)
