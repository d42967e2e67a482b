"""Pages of several runs, of a folder of runs, of a run that has not finished, and of a dataset."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from longtail.data.dataset import Dataset, split_of
from longtail.inspection.facts import facts_of
from longtail.inspection.near_duplicates import near_duplicates
from longtail.inspection.summary import inspect
from longtail.report.dataset import dataset_page
from longtail.report.write import build_page, write_page
from report_runs import HOSTILE, make_run

pytestmark = pytest.mark.browser

PAGES = ("comparison", "index", "unfinished", "dataset")


def _dataset_page() -> str:
    """Of pictures with a copy across splits and an odd one; names of files are hostile too."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (60, 8, 8, 3), np.uint8)
    pictures = np.kron(small, np.ones((1, 4, 4, 1), np.uint8))
    pictures[40], pictures[41] = pictures[0], 0
    labels = np.arange(60) % len(HOSTILE)
    parts = split_of(pictures[:40], labels[:40]), split_of(pictures[40:], labels[40:])
    data = Dataset(HOSTILE[0], HOSTILE[1], "photo", HOSTILE, *parts)
    found = inspect(data)
    names = {"train": {i: f"{HOSTILE[i % 5]}/{i}.png" for i in range(40)}}
    sizes = {name: (300, 10) for name in names["train"].values()}
    near = near_duplicates(data, found.duplicates)
    return dataset_page(facts_of(data, found, near, names=names, sizes=sizes))


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a page by its kind, written once; its classes have hostile names."""
    root = tmp_path_factory.mktemp("pages")
    runs = [
        make_run(root / f"{method}-{seed}", 10, method=method, seed=seed, names=HOSTILE)
        for method in ("ce", "rcl")
        for seed in range(3)
    ]
    begun = make_run(root / "begun", 10, names=HOSTILE)
    (begun / "record.json").unlink()
    given = {"comparison": runs, "index": [root], "unfinished": [begun]}

    @functools.cache
    def written(kind: str) -> Path:
        path = root / f"{kind}.html"
        if kind in given:
            return write_page(path, build_page(given[kind], path).html)
        path.write_text(_dataset_page(), encoding="utf-8")
        return path

    return written


@pytest.mark.parametrize("width", [400, 1280, 2000])
@pytest.mark.parametrize("kind", PAGES)
def test_everything_has_its_room(
    opened: Callable, page_of: Callable, kind: str, width: int
) -> None:
    shown = opened(page_of(kind), width)
    assert shown.look("overflow") == 0
    assert shown.look("clipped") == []
    assert shown.look("overlapping") == []
    assert shown.look("tiny", 7.5) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", PAGES)
def test_every_text_stands_out(opened: Callable, page_of: Callable, kind: str, theme: str) -> None:
    assert opened(page_of(kind), color_scheme=theme).look("faint") == []


@pytest.mark.parametrize("kind", PAGES)
def test_names_stay_text_and_every_control_is_reached(
    opened: Callable, page_of: Callable, kind: str
) -> None:
    shown = opened(page_of(kind))
    assert shown.page.locator("main img, main iframe, main [onerror]").count() == 0
    assert shown.page.title() != "owned"
    stops = shown.page.evaluate("looking.reachable().length")
    found = []
    for _ in range(stops):
        shown.page.keyboard.press("Tab")
        found.append(shown.look("focused"))
    assert [stop["number"] for stop in found] == list(range(stops))
    assert [stop["what"] for stop in found if not stop["ring"]] == []
