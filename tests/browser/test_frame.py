"""The frame of a page: silence, themes, the keyboard, print, names that would like to be markup."""

import json
from collections.abc import Callable

import pytest

from report_runs import HOSTILE

pytestmark = pytest.mark.browser

SIZES = (10, 100, 1000)


@pytest.mark.parametrize("classes", SIZES)
def test_a_page_opens_without_a_request_or_a_message(opened: Callable, classes: int) -> None:
    shown = opened(classes)
    assert len(shown.requests) == 1
    assert shown.page.locator("main section").count() >= 2


def test_what_a_page_must_not_do_is_noticed(opened: Callable, run_of: Callable) -> None:
    """The watch itself: a request, a picture of elsewhere and an inline handler are all told."""
    for markup in (
        "<img src='http://localhost:9/x.png'>",
        "<script>fetch('http://localhost:9/x')</script>",
        "<script>throw new Error('x')</script>",
        "<p onclick='1'>x</p>",
    ):
        page = run_of(10) / "spoilt.html"
        text = (run_of(10) / "report.html").read_text()
        page.write_text(text.replace("</main>", f"{markup}</main>"))
        shown = opened(page)
        with pytest.raises(AssertionError):
            shown.assert_silent()
        shown.requests[1:], shown.messages[:] = [], []


def test_clicking_everything_asks_for_nothing(opened: Callable) -> None:
    page = opened(10).page
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    for control in page.locator("main button, main summary, main canvas, #theme").all():
        if control.is_visible():
            control.click()
    for link in page.locator("nav a").all():
        link.click()
    assert page.url.startswith("file:")


def _ground(page: object) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_button_turns_the_theme(opened: Callable) -> None:
    page = opened(10).page
    button, light = page.locator("#theme"), _ground(page)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert _ground(page) != light
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    assert _ground(page) == light


def test_the_theme_is_the_systems_and_follows_it(opened: Callable) -> None:
    page = opened(10, color_scheme="dark").page
    dark = _ground(page)
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert _ground(page) != dark


def test_figures_follow_the_theme(opened: Callable) -> None:
    page = opened(10).page
    colours = "[...document.querySelectorAll('main svg text')].map((t) => getComputedStyle(t).fill)"
    light = page.evaluate(colours)
    page.locator("#theme").click()
    dark = page.evaluate(colours)
    assert light
    assert all(a != b for a, b in zip(light, dark, strict=True))


def test_the_tab_key_reaches_every_control_in_order_and_shows_where_it_is(opened: Callable) -> None:
    shown = opened(10)
    stops = shown.page.evaluate("looking.reachable().length")
    found = []
    for _ in range(stops):
        shown.page.keyboard.press("Tab")
        found.append(shown.look("focused"))
    assert [stop["number"] for stop in found] == list(range(stops))
    assert [stop["what"] for stop in found if not stop["ring"]] == []


def test_the_skip_link_leads_past_the_contents(opened: Callable) -> None:
    page = opened(10).page
    page.keyboard.press("Tab")
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'contents'")


def test_every_link_of_the_contents_has_its_section(opened: Callable) -> None:
    page = opened(10).page
    targets = [link.get_attribute("href")[1:] for link in page.locator("nav a").all()]
    assert targets == [s.get_attribute("id") for s in page.locator("main section").all()]
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("classes", SIZES)
def test_a_page_prints_in_light_colours(opened: Callable, classes: int) -> None:
    page = opened(classes, color_scheme="dark").page
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") > 0
    page.emulate_media(media="print")
    assert _ground(page) == "rgb(255, 255, 255)"


def test_hostile_names_stay_text(opened: Callable, run_of: Callable) -> None:
    page = opened(10).page
    assert page.title() == run_of(10).name
    assert page.locator("main img, main iframe, main object, main [onerror]").count() == 0
    scripts = page.evaluate("[...document.scripts].map((s) => s.type)")
    assert set(scripts) == {"application/json", ""}
    assert scripts.count("") == 1
    for block in page.locator("script[type='application/json']").all():
        json.loads(block.text_content())
    assert HOSTILE[0] in page.locator("main").inner_text()
    assert "{{ 7 * 7 }}" in page.locator("main").inner_text()
