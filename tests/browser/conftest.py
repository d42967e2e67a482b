"""A browser, the pages it opens, and the silence that every one of them keeps."""

import dataclasses
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from longtail.report.sections import report
from longtail.report.view import open_run
from report_runs import HOSTILE, counts_of, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_LOOKING = Path(__file__).with_name("looking.js")
# As root, and in containers with little /dev/shm and no GPU, Chromium starts with these alone.
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
_WIDTH, _HEIGHT = 1280, 800
_PATIENCE_MS = 10_000
# Fewer than a page has by default, since t-SNE takes longer than everything else.
MAP_POINTS = 400


def _chromium() -> str:
    """A Chromium or Chrome of this machine; CHROMIUM names another."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser")
    found = next((path for name in (*names, "google-chrome") if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium, or name one in $CHROMIUM")
    return found


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    """One browser for these tests, gone after the last of them: its event loop is in the way of
    other tests'."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    executable = _chromium()
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="package")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The folder of a run of so many classes with its page, written once; the ten are hostile."""
    root = tmp_path_factory.mktemp("runs")
    makers: dict[int, Callable[[Path], Path]] = {
        10: lambda folder: make_run(folder, 10, names=HOSTILE, prototypes=True),
        100: lambda folder: make_run(folder, 100, per_class=10, prototypes=True),
        1000: lambda folder: make_run(folder, 1000, per_class=2, counts=counts_of(1000, 2000, 400)),
    }

    @functools.cache
    def made(classes: int) -> Path:
        folder = makers[classes](root / f"of-{classes}")
        (folder / "report.html").write_text(
            report(open_run(folder, map_points=MAP_POINTS)), encoding="utf-8"
        )
        return folder

    return made


@dataclasses.dataclass
class Opened:
    """A page, and everything it asked for or complained of."""

    page: "Page"
    requests: list[str]
    messages: list[str]

    def look(self, function: str, *arguments: Any) -> Any:
        """What a function of looking.js finds."""
        return self.page.evaluate(f"(given) => looking.{function}(...given)", list(arguments))

    def assert_silent(self) -> None:
        """The page's own file was all it read; nothing was logged, refused or thrown."""
        local = ("data:", "blob:")
        assert [url for url in self.requests[1:] if not url.startswith(local)] == []
        assert self.messages == []


@pytest.fixture
def opened(browser: "Browser", run_of: Callable[[int], Path]) -> Iterator[Callable[..., Opened]]:
    """Opens the page of so many classes, or of a path, from disk without a network.

    Further arguments are those of `Browser.new_context`. Whatever a test does with a page, at its
    end the page must have been silent.
    """
    contexts, pages = [], []

    def open_page(which: int | Path, width: int = _WIDTH, **options: Any) -> Opened:
        viewport = {"width": width, "height": _HEIGHT}
        context = browser.new_context(offline=True, viewport=viewport, **options)
        context.add_init_script(path=_LOOKING)
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        shown = Opened(page, [], [])
        page.on("request", lambda request: shown.requests.append(request.url))
        page.on("console", lambda message: shown.messages.append(message.text))
        page.on("pageerror", lambda error: shown.messages.append(str(error)))
        path = which if isinstance(which, Path) else run_of(which) / "report.html"
        page.goto(path.as_uri())
        contexts.append(context)
        pages.append(shown)
        return shown

    yield open_page
    for shown in pages:
        shown.assert_silent()
    for context in contexts:
        context.close()
