"""Several runs on a page: its numbers are those of other code, and it claims what it can."""

import dataclasses
import functools
import importlib
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import scipy.stats

import report_runs
from longtail.errors import CheckpointError, printable
from longtail.metrics import (
    expected_calibration_error,
    paired_interval,
    picture_difference,
    seeds_needed,
)
from longtail.record import read_predictions, read_record
from longtail.report.comparison import comparison
from longtail.report.comparison.compared import compared
from longtail.report.comparison.fixed import changes
from longtail.report.rows import rows_of
from longtail.report.runs import open_runs
from report_page import Page
from report_runs import HOSTILE

make_run = functools.partial(report_runs.make_run, embeddings=False, thumbnails=False)
DRAWING = ("overview", "classes", "curves", "side_by_side")
COUNTS = report_runs.counts_of(10)[::-1]  # the rarest first: no page may take ids for ranks
SKILL = {"ce": 0.6, "rcl": 0.75, "bcl": 0.62}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[tuple[str, int], Path]:
    """Three methods with three seeds each on the same ten classes."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        (method, seed): make_run(
            folder / f"{method}-s{seed}",
            method=method,
            seed=seed,
            skill=skill,
            names=HOSTILE,
            counts=COUNTS,
        )
        for method, skill in SKILL.items()
        for seed in range(3)
    }


def drawn_page_of(folders) -> Page:
    return Page(comparison(*open_runs(list(folders))))


def page_of(folders) -> Page:
    """Without its figures, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in DRAWING:
            module = importlib.import_module(f"longtail.report.comparison.{name}")
            patch.setattr(module, "inline", lambda *_: "")
        return drawn_page_of(folders)


@pytest.fixture(scope="module")
def page(runs) -> Page:
    return drawn_page_of(runs.values())


def balanced(folder: Path) -> float:
    """From the predictions, class by class."""
    found = read_predictions(folder / "predictions-test.npz")
    classes = np.unique(found.labels)
    return float(np.mean([np.mean(found.predicted[found.labels == c] == c) for c in classes]))


def values(runs, method: str) -> list[float]:
    return [balanced(runs[method, seed]) for seed in range(3)]


def edited(folder: Path, **changed) -> Path:
    """The run with fields of its data summary replaced."""
    record = read_record(folder / "record.json")
    data = dataclasses.replace(record.data, **changed)
    dataclasses.replace(record, data=data).write(folder / "record.json")
    return folder


def test_the_key_figures_are_those_of_the_predictions(runs, page):
    assert page.column("key-figures", "row") == ["ce", "rcl", "bcl"]
    assert page.column("key-figures", "n") == ["3"] * 3
    for row, method in enumerate(SKILL):
        found = 100 * np.array(values(runs, method))
        shown = f"{found.mean():.1f} ± {found.std(ddof=1):.1f}"
        assert page.column("key-figures", "balanced")[row] == shown
        assert page.sorted_by("key-figures", "balanced")[row] == pytest.approx(found.mean())


def test_the_calibration_error_is_that_of_the_logits(runs, page):
    found = []
    for seed in range(3):
        kept = read_predictions(runs["rcl", seed] / "predictions-test.npz")
        shares = scipy.special.softmax(kept.logits.astype(float), axis=1)
        found.append(expected_calibration_error(shares, kept.labels))
    line = page.column("key-figures", "row").index("rcl")
    assert page.sorted_by("key-figures", "ECE")[line] == pytest.approx(100 * np.mean(found))


def test_differences_are_a_paired_t_test_with_holm(runs, page):
    tests = [scipy.stats.ttest_rel(values(runs, m), values(runs, "ce")) for m in ("rcl", "bcl")]
    p = [test.pvalue for test in tests]
    adjusted = [min(1, 2 * p[0]), max(min(1, 2 * p[0]), p[1])]
    assert p[0] < p[1], "else the line above is not Holm's"
    for row, test in enumerate(tests):
        interval = test.confidence_interval()
        low, high = 100 * interval.low, 100 * interval.high
        assert page.column("differences-seeds", "95 %, balanced")[row] == f"[{low:.1f}, {high:.1f}]"
        assert page.column("differences-seeds", "p (Holm)")[row] == f"{adjusted[row]:.2g}"
        better = low > 0 and adjusted[row] < 0.05
        words = page.column("differences-seeds", "it is")[row]
        assert (words == "better") == better
        assert better or words.startswith("no evidence")


def test_the_seeds_for_one_point_are_of_one_point(runs, page):
    gaps = [100 * np.subtract(values(runs, m), values(runs, "ce")) for m in ("rcl", "bcl")]
    deviation = float(np.sqrt(np.mean([gap.var(ddof=1) for gap in gaps])))
    wanted = max(3, float(f"{seeds_needed(deviation, 1.0, confidence=0.975):.2g}"))
    assert f"A difference of 1 point would take about {wanted:,.0f} seeds." in page.text


def test_one_seed_ranks_nothing(runs):
    page = page_of([runs["ce", 0], runs["rcl", 0]])
    first, other = (read_predictions(runs[m, 0] / "predictions-test.npz") for m in ("rcl", "ce"))
    found = picture_difference(first.labels, first.predicted, other.predicted, 10)
    shown = f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"
    assert page.column("differences-samples", "95 %, samples redrawn") == [shown]
    assert "says nothing about other seeds" in page.text
    assert "takes at least 3 shared seeds to say" in page.text
    assert page.column("differences-samples", "it is") == ["1 seed: not ranked"]
    assert "differences-seeds" not in page.tables
    assert "better" not in page.text.replace("is better takes at least", "")


def test_three_seeds_are_not_held_against_redrawn_samples(page):
    assert "differences-samples" not in page.tables
    assert "over 3 shared seeds" in page.text
    assert "takes at least 3 shared seeds" not in page.text


def test_runs_that_share_no_seed_are_not_paired(runs):
    page = page_of([runs["ce", 0], runs["rcl", 1]])
    assert "no shared seed: not ranked" in page.text
    assert "with seeds 1 and 0" in page.text
    assert "differences-seeds" not in page.tables


def test_the_baseline_is_cross_entropy_or_the_first(runs):
    def base(*names):
        return compared(open_runs([runs[name] for name in names])[0]).base.label

    assert base(("rcl", 0), ("ce", 1)) == "ce"
    assert base(("rcl", 0), ("bcl", 0)) == "rcl"


def test_cross_entropy_on_other_data_is_no_baseline(tmp_path, runs):
    other = make_run(tmp_path / "ce", 5, method="ce")
    found = compared(open_runs([runs["rcl", 0], other, runs["bcl", 0]])[0])
    assert found.base.label.startswith("rcl")
    assert [row.first.record.method for row in found.others] == ["bcl"]


def test_rows_are_told_apart_by_what_differs(tmp_path):
    def run(name, seed=0, tau=1.3, **settings):
        return make_run(
            tmp_path / name,
            3,
            seed=seed,
            per_class=2,
            changes={
                "knobs": {"la_tau": tau, "same": 1},
                "settings": {"epochs": 8, "lr": 0.1} | settings,
                "created": name,
            },
        )

    folders = [run("a"), run("b", seed=1), run("c", tau=0.5), run("d", lr=0.2), run("e")]
    rows = rows_of(open_runs(folders)[0])
    assert [sorted(row.views) for row in rows] == [[0, 1], [0], [0], [0]]
    labels = [row.label for row in rows]
    # The second repeats the first's configuration and seed, so that its folder tells it apart.
    assert labels[:2] == ["rcl la_tau=1.3, lr=0.1 (a)", "rcl la_tau=1.3, lr=0.1 (e)"]
    assert labels[2:] == ["rcl la_tau=0.5, lr=0.1", "rcl la_tau=1.3, lr=0.2"]
    assert len({row.short for row in rows}) == 4
    assert max(len(row.short) for row in rows) <= 36


def test_a_copy_of_a_run_is_no_other_run(tmp_path, runs):
    copy = shutil.copytree(runs["ce", 0], tmp_path / "copy")
    views, problems = open_runs([runs["ce", 0], copy])
    assert len(views) == 1
    assert "copy of another run" in problems[0]
    assert "nothing is compared" in problems[1]


def test_other_classes_are_said_and_not_compared(tmp_path, runs):
    other = make_run(tmp_path / "other", 5, seed=0)
    views, _ = open_runs([runs["ce", 0], other])
    page = page_of([runs["ce", 0], other])
    assert "trained on other classes (5 classes) than ce" in page.text
    assert compared(views).problems
    assert page.column("key-figures", "balanced")[1] == f"{100 * balanced(other):.1f}"
    assert not {"class-differences", "fixed-table", "differences-seeds"} & page.tables.keys()
    assert "Accuracy on the split that the run was watched on." in page.text


@pytest.mark.parametrize("changed", [{"hash": "f" * 64}, {"train_counts": (9,) * 10}])
def test_other_data_of_the_same_classes_is_not_paired(tmp_path, runs, changed):
    other = make_run(tmp_path / "other", method="rcl", skill=0.9, names=HOSTILE, counts=COUNTS)
    page = page_of([runs["ce", 0], edited(other, **changed)])
    assert "the same classes as ce" in page.text
    assert "no difference between them is claimed" in page.text
    assert not {"class-differences", "fixed-table", "differences-seeds"} & page.tables.keys()


def test_a_damaged_run_is_left_out_with_its_reason(tmp_path, runs):
    broken = make_run(tmp_path / "broken", 3)
    (broken / "record.json").write_text("{")
    page = page_of([runs["ce", 0], broken, runs["rcl", 0]])
    assert "Left out" in page.text
    assert "not a run record" in page.text
    assert page.column("key-figures", "row") == ["ce", "rcl"]


def test_one_run_left_is_shown_alone(tmp_path, runs):
    page = page_of([tmp_path / "nowhere", runs["ce", 0]])
    assert "no such folder" in page.text
    assert "One run is left, so that nothing is compared." in page.text
    assert page.column("key-figures", "row") == ["ce"]


def test_no_run_left_is_an_error_with_every_reason(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"(?s)nowhere.*no such folder.*empty"):
        open_runs([tmp_path / "nowhere", tmp_path / "empty"])


def test_a_run_named_twice_is_one_run(runs):
    views, problems = open_runs([runs["ce", 0], runs["ce", 0] / ".." / runs["ce", 0].name])
    assert len(views) == 1
    assert "named twice" in problems[0]


def test_fixed_and_broken_are_counted_sample_by_sample(runs, page):
    for method, seed in itertools.product(("rcl", "bcl"), range(3)):
        ours = read_predictions(runs[method, seed] / "predictions-test.npz")
        base = read_predictions(runs["ce", seed] / "predictions-test.npz")
        counts = read_record(runs["ce", seed] / "record.json").data.train_counts
        expected: dict[str, list[int]] = {}
        for label, a, b in zip(base.labels, base.predicted, ours.predicted, strict=True):
            group = "many" if counts[label] > 100 else "few" if counts[label] < 20 else "medium"
            for name in ("all", group):
                line = expected.setdefault(name, [0, 0, 0, 0])
                right = (a == label, b == label)
                for place, one in enumerate(
                    [True, not right[0], right == (False, True), right == (True, False)]
                ):
                    line[place] += int(one)
        rows = [r for r in page.tables["fixed-table"] if r[:2] == [method, f"seed {seed}"]]
        shown = {row[2]: [int(cell.replace(",", "")) for cell in row[3:7]] for row in rows}
        assert shown == expected
    ours = changes(*open_runs([runs["rcl", 0], runs["ce", 0]])[0])
    sentence = f"rcl fixes {ours.fixed.sum()} of ce's {ours.mistakes.sum()} mistakes and breaks"
    assert f"{sentence} {ours.broken.sum()} that were right" in page.text


def side_by_side_of(folders, monkeypatch) -> tuple[str, list[int]]:
    """The section's HTML with its figures as their labels, and the points of the asked maps."""
    asked = []
    module = importlib.import_module("longtail.report.comparison.side_by_side")
    monkeypatch.setattr(module, "inline", lambda _, name, label: f"<{name}>{label}")
    monkeypatch.setattr(module, "embedding_map_of", lambda view: asked.append(view.map_points))
    section = module.side_by_side(compared(open_runs(list(folders))[0]))
    return section.html, asked


def test_the_same_views_stand_side_by_side(runs, monkeypatch):
    html, asked = side_by_side_of(runs.values(), monkeypatch)
    for place, method in enumerate(SKILL, 1):
        assert f"calibration-{place}&gt;Calibration: {method}, seed 0" in html
        assert f"confusion-{place}&gt;Confusion: {method}, seed 0" in html
        assert f"<figcaption>{method}, seed 0</figcaption>" in html
    assert not asked, "these runs keep no embeddings"
    assert "not drawn" not in html


def test_maps_of_few_rows_are_small_and_of_many_not_drawn(tmp_path, monkeypatch):
    folders = [
        report_runs.make_run(tmp_path / f"{n}", 3, per_class=2, changes={"knobs": {"la_tau": n}})
        for n in range(5)
    ]
    assert side_by_side_of(folders[:4], monkeypatch)[1] == [1500] * 4
    html, asked = side_by_side_of(folders, monkeypatch)
    assert not asked
    assert html.count("<figcaption>") == 8
    assert "1 row more is not drawn" in html


def test_a_single_row_stands_beside_nothing(runs):
    page = page_of([runs["ce", seed] for seed in range(3)])
    assert "Side by side" not in page.text


def test_other_samples_are_not_counted_together(tmp_path, runs):
    other = make_run(tmp_path / "bcl", method="bcl", names=HOSTILE, counts=COUNTS)
    path = other / "predictions-test.npz"
    found = read_predictions(path)
    dataclasses.replace(found, index=found.index + 1).write(path)
    (tmp_path / "gone").mkdir()
    gone = make_run(tmp_path / "gone" / "rcl", method="rcl", names=HOSTILE, counts=COUNTS)
    (gone / "predictions-test.npz").unlink()
    page = page_of([runs["ce", 0], other, gone])
    assert "fixed-table" not in page.tables
    assert "differences-samples" not in page.tables
    assert page.column("class-differences", "95 %, bcl") == ["–"] * 10
    assert page.column("differences-seeds", "it is") == ["1 seed: not ranked"] * 2
    assert page.column("differences-seeds", "95 %, balanced") == ["–"] * 2
    assert "predictions-test.npz is not in the folder" in page.text


def test_every_class_has_its_recalls_and_student_interval(runs, page):
    views = {key: open_runs([folder])[0][0] for key, folder in runs.items()}
    names = [printable(name) or "(no name)" for name in HOSTILE]
    order = np.argsort([-n for n in views["ce", 0].record.data.train_counts], kind="stable")
    assert page.column("class-differences", "class") == [
        " ".join(names[c].split(" ")) for c in order
    ]
    for line, c in enumerate(order):
        ours, base = (
            [v[m, s] for s in range(3)]
            for m in ("rcl", "ce")
            for v in [
                {key: 100 * view.record.metrics.test.per_class[c] for key, view in views.items()}
            ]
        )
        assert page.column("class-differences", "rcl")[line] == f"{np.mean(ours):.1f}"
        difference = np.mean(np.subtract(ours, base))
        assert page.sorted_by("class-differences", "rcl less ce")[line] == pytest.approx(difference)
        if np.ptp(np.subtract(ours, base)) > 1e-9:
            ends = scipy.stats.ttest_rel(ours, base).confidence_interval()
            shown = page.column("class-differences", "95 %, rcl")[line]
            assert shown == f"[{ends.low:.1f}, {ends.high:.1f}]"


def test_a_class_of_one_seed_has_the_interval_of_its_samples(runs):
    page = page_of([runs["ce", 0], runs["rcl", 0]])
    found = changes(*open_runs([runs["rcl", 0], runs["ce", 0]])[0])
    low, high = paired_interval(found.fixed, found.broken, found.total)
    shown = [f"[{100 * a:.1f}, {100 * b:.1f}]" for a, b in zip(low, high, strict=True)]
    assert page.column("class-differences", "95 %, rcl") == shown[::-1]  # head first


def test_few_samples_of_a_class_have_no_interval(tmp_path):
    folders = [make_run(tmp_path / m, 4, method=m, per_class=9) for m in ("ce", "rcl")]
    assert page_of(folders).column("class-differences", "95 %, rcl") == ["–"] * 4


def test_nothing_of_the_data_becomes_markup(tmp_path, page):
    evil = '"><script>alert(1)</script><!--'
    folders = []
    for method in ("ce", evil):
        folder = tmp_path / f"{printable(method).replace('/', '_')}'\"<b>"
        changed = {"knobs": {evil: evil}, "backbone": evil}
        folders.append(make_run(folder, method=method, names=HOSTILE, changes=changed))
    hostile = drawn_page_of([edited(folder, name=evil) for folder in folders])
    # The page's own, and the texts of a figure's marks for each row that is held to the baseline.
    assert hostile.elements.count("script") == 2
    assert page.elements.count("script") == 3
    assert set(hostile.elements) <= set(page.elements)
    assert f"{evil} less ce in balanced accuracy" in hostile.text


def test_a_class_without_a_test_sample_has_a_dash(tmp_path):
    folders = []
    for method in ("ce", "rcl"):
        folder = make_run(tmp_path / method, 4, method=method)
        record = read_record(folder / "record.json")
        test = record.metrics.test
        absent = dataclasses.replace(test, per_class=(*test.per_class[:3], None), absent_classes=1)
        metrics = dataclasses.replace(record.metrics, test=absent)
        dataclasses.replace(record, metrics=metrics).write(folder / "record.json")
        (folder / "predictions-test.npz").unlink()
        folders.append(folder)
    page = page_of(folders)
    assert page.tables["class-differences"][-1][3:] == ["–"] * 4
    assert "Other test distributions" not in page.text


def test_runs_whose_logits_were_not_kept_have_no_calibration_error(tmp_path):
    folders = [make_run(tmp_path / m, 4, method=m) for m in ("ce", "rcl")]
    for folder in folders:
        path = folder / "predictions-test.npz"
        found = read_predictions(path)
        dataclasses.replace(found, logits=found.logits[:, :0], thumbnails=None).write(path)
    page = page_of(folders)
    assert "ECE" not in page.tables["key-figures"][0]
    assert "fixed-table" in page.tables


def test_other_sources_within_a_row_are_said(tmp_path):
    folders = [make_run(tmp_path / f"{s}", 3, seed=s, per_class=2) for s in range(2)]
    record = read_record(folders[1] / "record.json")
    provenance = dataclasses.replace(record.provenance, numeric_hash="9" * 64)
    dataclasses.replace(record, provenance=provenance).write(folders[1] / "record.json")
    assert "do not have the same numeric sources" in page_of(folders).text


def test_rows_beyond_what_fits_are_counted(tmp_path):
    folders = [
        make_run(tmp_path / f"{n}", 3, per_class=2, changes={"knobs": {"la_tau": n}})
        for n in range(10)
    ]
    page = page_of(folders)
    assert len(page.tables["key-figures"]) == 11
    assert "4 rows more would make the table too wide" in page.text
    assert "2 rows more would hide these" in page.text
