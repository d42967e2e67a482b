"""The table of classes: sorted, filtered and saved by those who read it."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from longtail.metrics import wilson_interval
from longtail.report.view import open_run

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

TABLE = "#per-class"
COUNT, RECALL = "train", "recall, %"


def _column(page: "Page", title: str) -> list[str]:
    """The texts of a column's shown cells, from top to bottom."""
    return page.evaluate(
        """([table, title]) => {
            const element = document.querySelector(table);
            const heads = [...element.tHead.rows[0].cells].map((cell) => cell.innerText.trim());
            const rows = [...element.tBodies[0].rows].filter((row) => row.checkVisibility());
            return rows.map((row) => row.cells[heads.indexOf(title)].textContent);
        }""",
        [TABLE, title],
    )


def _heading(page: "Page", title: str) -> "Locator":
    return page.locator(f"{TABLE} th", has=page.get_by_role("button", name=title, exact=True))


def _filter(page: "Page", text: str) -> None:
    page.locator(f"input[data-filter={TABLE[1:]}]").fill(text)


def _numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "")) for text in texts]


@pytest.mark.parametrize("classes", [10, 100, 1000])
def test_a_click_sorts_and_another_turns_round(opened: Callable, classes: int) -> None:
    page = opened(classes).page
    assert _numbers(_column(page, COUNT)) == sorted(_numbers(_column(page, COUNT)), reverse=True)
    heading = _heading(page, RECALL)
    heading.get_by_role("button").click()
    rising = _numbers(_column(page, RECALL))
    assert rising == sorted(rising)
    assert len(set(rising)) > 1
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").click()
    assert _numbers(_column(page, RECALL)) == rising[::-1]
    assert heading.get_attribute("aria-sort") == "descending"
    assert page.locator(f"{TABLE} [aria-sort]").count() == 1


def test_a_key_sorts_too(opened: Callable) -> None:
    page = opened(100).page
    button = _heading(page, "class").get_by_role("button")
    button.focus()
    button.press("Enter")
    button.press("Space")
    assert _column(page, "class") == [f"class-{c:03}" for c in reversed(range(100))]


def test_what_is_typed_hides_the_other_rows(opened: Callable) -> None:
    page = opened(100).page
    _filter(page, "CLASS-01")
    shown = zip(_column(page, "class"), _column(page, "most often taken for"), strict=True)
    assert all("class-01" in name or "class-01" in other for name, other in shown)
    assert set(_column(page, "class")) >= {f"class-{c:03}" for c in range(10, 20)}
    count = len(_column(page, "class"))
    assert 10 <= count < 40
    assert page.locator(f"{TABLE}-shown").inner_text() == f"{count} of 100 shown"
    _filter(page, "")
    assert len(_column(page, "class")) == 100


def _saved(page: "Page", path: Path) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.locator(f"button[data-csv={TABLE[1:]}]").click()
    assert download.value.suggested_filename == f"{TABLE[1:]}.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("classes", [10, 1000])
def test_the_saved_table_is_the_records(
    opened: Callable, run_of: Callable, tmp_path: Path, classes: int
) -> None:
    view = open_run(run_of(classes))
    lines = _saved(opened(classes).page, tmp_path / "saved.csv")
    for line, c in zip(lines, view.order.tolist(), strict=True):
        assert line["class"].lstrip("'") == view.class_names[c]
        assert int(line[COUNT]) == view.counts[c]
        assert float(line[RECALL]) == pytest.approx(100 * view.per_class[c], abs=1e-6)
        low, _ = wilson_interval(view.confusion[c, c], view.confusion[c].sum())
        assert float(line["low"]) == pytest.approx(100 * float(low), abs=1e-6)


def test_no_saved_name_is_a_formula(opened: Callable, tmp_path: Path) -> None:
    lines = _saved(opened(10).page, tmp_path / "saved.csv")
    assert '\'=HYPERLINK("http://evil","x")' in [line["class"] for line in lines]
    assert not [text for line in lines for text in line.values() if text[:1] in "=+@\t\r" and text]


def test_what_is_hidden_is_not_saved(opened: Callable, tmp_path: Path) -> None:
    page = opened(100).page
    _filter(page, "class-042")
    shown = _column(page, "class")
    assert [line["class"] for line in _saved(page, tmp_path / "saved.csv")] == shown
    assert len(shown) < 100
