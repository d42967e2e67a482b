"""A folder of runs as a page, and what a run that has not finished can still show."""

import functools
import json
import os
import shutil
import statistics
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import report_runs
from longtail.errors import CheckpointError, printable
from longtail.record import read_predictions, read_record
from longtail.report.index import index
from longtail.report.runs import find_runs
from longtail.report.sections.training import training
from longtail.report.unfinished import unfinished
from longtail.report.view import open_run
from report_page import Page

make_run = functools.partial(
    report_runs.make_run, embeddings=False, thumbnails=False, per_class=10, num_classes=4
)
EVIL = (
    "\"><script>alert('1')<\\script>",
    "javascript:alert(1)",
    "a#b?c=d&e",
    "100%25 %zz",
    "new\nline\x1b[31m",
    "naïve 日本語 \u202ereversed",
    " leading and trailing ",
    "x" * 200,
)


@pytest.fixture
def drawn(monkeypatch) -> None:
    """Figures that cost nothing."""
    monkeypatch.setattr("longtail.report.index.inline", lambda *_: "")


def balanced(folder: Path) -> float:
    found = read_predictions(folder / "predictions-test.npz")
    classes = sorted(set(found.labels.tolist()))
    return statistics.mean((found.predicted[found.labels == c] == c).mean().item() for c in classes)


def test_a_row_has_the_mean_and_deviation_of_its_seeds(tmp_path):
    folders = {
        method: [
            make_run(tmp_path / "grid" / f"{method}-{seed}", method=method, seed=seed, skill=skill)
            for seed in range(3)
        ]
        for method, skill in (("rcl", 0.9), ("ce", 0.5))
    }
    page = Page(index(tmp_path))
    rows = dict(zip(page.column("rows-1", "row"), page.column("rows-1", "balanced"), strict=True))
    for method, runs in folders.items():
        values = [100 * balanced(run) for run in runs]
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        assert rows[method] == f"{mean:.1f} ± {deviation:.1f}"
    assert page.column("rows-1", "n") == ["3", "3"]
    metrics = [read_record(run / "record.json").metrics.test for run in folders["ce"]]
    few = [100 * found.few for found in metrics]
    line = page.column("rows-1", "row").index("ce")
    assert page.sorted_by("rows-1", "few")[line] == pytest.approx(statistics.mean(few))
    zero = statistics.mean(found.zero_classes for found in metrics)
    assert page.sorted_by("rows-1", "classes at 0")[line] == pytest.approx(zero)
    assert page.sorted_by("rows-1", "minutes")[line] == pytest.approx(61.5 / 60)
    shown = page.column("every-run", "balanced")
    assert sorted(shown) == sorted(
        f"{100 * balanced(r):.1f}" for rs in folders.values() for r in rs
    )
    keys = page.sorted_by("every-run", "balanced")
    values = [100 * balanced(run) for runs in folders.values() for run in runs]
    assert sorted(keys) == pytest.approx(sorted(values))


def test_only_what_may_be_compared_stands_in_one_table(tmp_path, drawn):
    settings = {"epochs": 9, "batch_size": 64}
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", method="ce")
    make_run(tmp_path / "c", counts=(500, 100, 50, 4))
    make_run(tmp_path / "d", changes={"backbone": "resnet32"})
    make_run(tmp_path / "e", changes={"recipe": "paper"})
    make_run(tmp_path / "f", changes={"settings": settings})
    make_run(tmp_path / "g", num_classes=5)
    make_run(tmp_path / "h", changes={"knobs": {"la_tau": 2.0}})
    page = Page(index(tmp_path))
    tables = [page.column(name, "row") for name in page.tables if name.startswith("rows-")]
    assert tables[0] == ["rcl la_tau=1.3", "ce", "rcl la_tau=2.0"]
    assert tables[1:] == [["rcl"]] * 5


def test_a_repeated_seed_is_no_second_seed_and_a_copy_no_run(tmp_path, drawn):
    first = make_run(tmp_path / "a")
    make_run(tmp_path / "again", changes={"created": "later"})
    shutil.copytree(first, tmp_path / "copy")
    page = Page(index(tmp_path))
    assert page.column("rows-1", "row") == ["rcl (a)", "rcl (again)"]
    assert page.column("rows-1", "n") == ["1", "1"]
    assert page.column("every-run", "run") == ["a", "again", "copy"]


@pytest.mark.parametrize("out", [None, "elsewhere"])
def test_links_are_relative_and_lead_to_the_pages_there_are(tmp_path, drawn, out):
    root = tmp_path / "runs"
    with_page = [make_run(root / name, seed=seed) for seed, name in enumerate(EVIL)]
    broken = os.fsdecode(os.fsencode(root) + b"/\xff\xfe")
    with_page.append(make_run(Path(broken), seed=99))
    for folder in with_page:
        (folder / "report.html").write_text("")
    make_run(root / "without", seed=100)
    start = root if out is None else tmp_path / out
    html = index(root, None if out is None else start / "page.html")
    html.encode()
    page = Page(html)
    links = [link for link in page.links if "report.html" in link]
    assert len(links) == 2 * len(with_page)
    for link in links:
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
        assert not link.startswith("/")
        assert set(link) <= set("%-._~/") | set(map(chr, range(128))) - set("\"'<>#?:&\\ \n")
    found = {os.path.realpath(os.fsencode(start) + b"/" + unquote_bytes(link)) for link in links}
    assert found == {os.fsencode((folder / "report.html").resolve()) for folder in with_page}
    assert str(tmp_path) not in html
    assert page.elements.count("script") == 1
    assert printable(EVIL[4]) in page.text


def unquote_bytes(link: str) -> bytes:
    return os.fsencode(unquote(link, errors="surrogateescape"))


def test_runs_are_found_three_levels_down_and_not_through_links(tmp_path):
    for depth in range(1, 6):
        make_run(tmp_path.joinpath("runs", *["d"] * (depth - 1), f"at-{depth}"), seed=depth)
    make_run(tmp_path / "outside")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "runs")
    inner = tmp_path / "runs" / "at-1" / "checkpoints"
    make_run(inner, seed=77)
    found = find_runs(tmp_path / "runs")
    assert sorted(view.name for view in found.finished) == ["at-1", "at-2", "at-3"]
    assert not found.unfinished


def test_what_has_no_result_is_listed_with_what_it_is(tmp_path, drawn):
    for name in ("stopped", "begun", "damaged"):
        make_run(tmp_path / name)
    (tmp_path / "stopped" / "record.json").unlink()
    for file in ("record.json", "log.jsonl"):
        (tmp_path / "begun" / file).unlink()
    half = (tmp_path / "damaged" / "record.json").read_text()[:400]
    (tmp_path / "damaged" / "record.json").write_text(half)
    page = Page(index(tmp_path))
    listed = dict(
        zip(page.column("unfinished-runs", "run"), page.tables["unfinished-runs"][1:], strict=True)
    )
    assert listed["stopped"][1].startswith("this run has not finished: 8 epochs are logged")
    assert "no epoch is logged" in listed["begun"][1]
    assert listed["damaged"][1].startswith("record.json: not a run record")
    assert str(tmp_path) not in page.text
    assert "rows-1" not in page.tables


def test_a_folder_without_runs_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="no run lies here or up to 3 levels below"):
        index(tmp_path)


@pytest.mark.slow
def test_five_hundred_runs_are_one_small_page(tmp_path):
    first = make_run(tmp_path / "run-000", num_classes=100, per_class=2)
    record = json.loads((first / "record.json").read_text())
    for number in range(1, 500):
        folder = tmp_path / f"run-{number:03}"
        folder.mkdir()
        data = record["data"] | {"hash": f"{number % 25:064x}"}
        changed = record | {"seed": number % 4, "knobs": {"tau": number // 100}, "data": data}
        (folder / "record.json").write_text(json.dumps(changed))
        (folder / "report.html").write_text("")
    started = time.monotonic()
    html = index(tmp_path)
    assert time.monotonic() - started < 30
    assert len(html.encode()) < 2_000_000
    assert len(Page(html).column("every-run", "run")) == 500


def test_an_unfinished_run_shows_how_far_it_got(tmp_path):
    folder = make_run(tmp_path / "run", epochs=6)
    (folder / "record.json").unlink()
    page = Page(unfinished(folder, "It was <b>stopped</b>."))
    assert "It was <b>stopped</b>." in page.text
    assert page.column("log-table", "epoch") == ["1", "2", "3", "4", "5", "6"]
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    expected = [
        f"{100 * line['accuracy']['balanced_accuracy']:.1f}" if "accuracy" in line else "–"
        for line in lines
    ]
    assert page.column("log-table", "balanced accuracy") == expected
    assert page.column("log-table", "loss")[0] == f"{lines[0]['loss']:.3f}"
    assert "resnet8" in page.text
    assert page.elements.count("svg") == 2


def test_nothing_to_show_of_an_unfinished_run_is_none(tmp_path):
    assert unfinished(tmp_path, "Nothing.") is None
    assert unfinished(tmp_path / "nowhere", "Nothing.") is None
    (tmp_path / "config.json").write_text("[1, 2")
    (tmp_path / "log.jsonl").write_text("half a li")
    assert unfinished(tmp_path, "Nothing.") is None


@pytest.mark.parametrize(
    "line",
    [
        "5",
        "null",
        '{"epoch": "x", "loss": 1, "terms": {}}',
        '{"epoch": 2}',
        '{"epoch": 2, "loss": 1}',
        '{"epoch": 2, "loss": "1", "terms": {}}',
        '{"epoch": 2, "loss": 1, "terms": 3}',
        '{"epoch": 2, "loss": 1, "terms": {"logit": "x"}}',
        '{"epoch": 2, "loss": 1, "terms": {}, "accuracy": 3}',
        '{"epoch": 2, "loss": 1, "terms": {}, "accuracy": {"few": []}}',
    ],
)
def test_lines_that_training_did_not_write_are_left_out(tmp_path, line):
    good = '{"epoch": 1, "loss": null, "terms": {}}'
    (tmp_path / "log.jsonl").write_text(f"{good}\n{line}\n")
    page = Page(unfinished(tmp_path, "Damaged."))
    assert page.column("log-table", "epoch") == ["1"]
    assert page.column("log-table", "loss") == ["–"]


@pytest.mark.parametrize(
    "line",
    [
        "5",
        '{"epoch": 9, "loss": 1}',
        '{"epoch": 9, "loss": null, "terms": {}}',
        '{"epoch": 9, "loss": 1, "terms": {}, "accuracy": {"balanced_accuracy": null}}',
    ],
)
def test_a_finished_run_is_shown_whatever_its_log_holds(tmp_path, line, monkeypatch):
    monkeypatch.setattr("longtail.report.sections.training.inline", lambda _, name, label: label)
    folder = make_run(tmp_path / "run")
    before = training(open_run(folder)).html
    text = (folder / "log.jsonl").read_text()
    (folder / "log.jsonl").write_text(f"{line}\n{text}{line}\n")
    after = training(open_run(folder)).html
    assert "after epoch 8" in before
    assert "after epoch 8" in after
    assert before.replace("to 1 in", "") == after.replace("Loss over 9", "Loss over 8").replace(
        "from 1 in", "from 2.75 in"
    ).replace("to 1 in", "")


def test_a_configuration_alone_is_shown_and_is_no_markup(tmp_path):
    evil = "</dd><script>alert(1)</script>"
    value = {"method": evil, evil: [1, "\x1b[31m"], "knobs": {"tau": 1.5}, "long": ["y"] * 1000}
    (tmp_path / "config.json").write_text(json.dumps(value))
    page = Page(unfinished(tmp_path, "Stopped."))
    assert page.elements.count("script") == 1
    assert evil in page.text
    assert "tau=1.5" in page.text
    assert page.text.count("y") < 500
