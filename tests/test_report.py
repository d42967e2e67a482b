"""A run as a report reads it, its verdict, its key figures, and the page around its sections."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from longtail.errors import CheckpointError, UsageError
from longtail.metrics import picture_difference, picture_interval, summarise
from longtail.record import read_predictions, read_record
from longtail.report.baseline import with_baseline
from longtail.report.key_figures import key_figures
from longtail.report.page import Section, page, render
from longtail.report.run_figures import FIGURES
from longtail.report.sections.measured import measured
from longtail.report.sections.verdict import verdict
from longtail.report.sentences import sentences
from longtail.report.summary import summary
from longtail.report.view import open_run, same_samples
from longtail.report.write import build_page, write_page
from report_page import Page
from report_runs import HOSTILE, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "rcl", 10, holdout=True)


# The view


def test_the_view_has_what_the_folder_has(run):
    view = open_run(run)
    record, predictions = (
        read_record(run / "record.json"),
        read_predictions(run / "predictions-test.npz"),
    )
    assert view.split == "test"
    assert not view.problems
    assert view.counts.tolist() == list(record.data.train_counts)
    assert np.trace(view.confusion) == (predictions.labels == predictions.predicted).sum()
    np.testing.assert_allclose(view.probabilities.sum(1), 1)
    assert (np.diff(view.counts[view.order]) <= 0).all()
    assert view.groups == ("many",) * 4 + ("medium",) * 3 + ("few",) * 3
    assert {group: ids.tolist() for group, ids in view.members.items()} == {
        "many": [0, 1, 2, 3],
        "medium": [4, 5, 6],
        "few": [7, 8, 9],
    }
    assert view.tested.tolist() == [20] * 10


def test_without_a_test_split_the_hold_out_is_shown(tmp_path):
    run = make_run(tmp_path / "run", 5, holdout=True)
    record = json.loads((run / "record.json").read_text())
    record["metrics"]["test"] = None
    (run / "record.json").write_text(json.dumps(record))
    view = open_run(run)
    assert view.split == "holdout"
    assert view.metrics == view.record.metrics.holdout
    assert "hold-out" in verdict(view).html


def test_what_is_missing_or_damaged_is_said_and_the_rest_is_shown(tmp_path, run):
    folder = shutil.copytree(run, tmp_path / "run")
    path = folder / "predictions-test.npz"
    path.write_bytes(path.read_bytes()[:-100])
    view = open_run(folder)
    assert view.predictions is None
    assert "predictions-test.npz cannot be read" in view.problems[0]
    assert "48.0" in verdict(view).html
    path.unlink()
    assert "is not in the folder" in open_run(folder).problems[0]


def test_predictions_of_another_run_are_not_shown_as_this_one_s(tmp_path, run):
    folder = shutil.copytree(run, tmp_path / "run")
    other = make_run(tmp_path / "other", 10, skill=0.3, seed=5)
    shutil.copy(other / "predictions-test.npz", folder)
    view = open_run(folder)
    assert view.predictions is None
    assert "another run" in view.problems[0]
    shutil.copy(make_run(tmp_path / "wider", 11) / "predictions-test.npz", folder)
    assert "outside the record's 10" in open_run(folder).problems[0]


def test_no_finished_run_is_an_error_that_says_what_is_there(tmp_path, run):
    with pytest.raises(CheckpointError, match="no such folder"):
        open_run(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="no run has finished"):
        open_run(tmp_path)
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "record.json").write_text((folder / "record.json").read_text()[:300])
    with pytest.raises(CheckpointError, match="not a run record"):
        open_run(folder)
    (folder / "record.json").unlink()
    with pytest.raises(CheckpointError, match="8 epochs are logged"):
        open_run(folder)


# The baseline


def test_a_cross_entropy_run_beside_it_is_the_baseline(tmp_path):
    ours = make_run(tmp_path / "rcl", 10)
    make_run(tmp_path / "another-seed", 10, method="ce", seed=1)
    make_run(tmp_path / "longer", 10, method="ce", epochs=9)
    make_run(tmp_path / "other-data", 9, method="ce")
    make_run(tmp_path / "no-baseline", 10, method="bcl")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "record.json").write_text("{")
    assert with_baseline(open_run(ours)).baseline is None
    base = make_run(tmp_path / "x-ce", 10, method="ce", skill=0.5)
    assert with_baseline(open_run(ours)).baseline.folder.name == base.name
    assert with_baseline(open_run(base)).baseline is None


def test_a_baseline_on_other_data_is_refused(tmp_path):
    ours, other = make_run(tmp_path / "a", 10), make_run(tmp_path / "b", 11)
    with pytest.raises(UsageError, match="another hash, cut or"):
        with_baseline(open_run(ours), other)


# Key figures and the verdict


def test_key_figures_are_the_record_s_with_intervals_over_pictures(tmp_path):
    ours = make_run(tmp_path / "rcl", 10)
    make_run(tmp_path / "ce", 10, method="ce", skill=0.5)
    view = with_baseline(open_run(ours))
    figures = {figure.name: figure for figure in key_figures(view)}
    assert list(figures) == [
        "balanced accuracy",
        "accuracy",
        "harmonic mean",
        "many",
        "medium",
        "few",
    ]
    p, base = view.predictions, view.baseline.predictions
    assert figures["balanced accuracy"].value == view.metrics.balanced_accuracy
    assert figures["balanced accuracy"].interval == picture_interval(p.labels, p.predicted, 10)
    wanted = picture_difference(p.labels, p.predicted, base.predicted, 10)
    assert figures["balanced accuracy"].against == wanted
    few = figures["few"]
    assert few.value == pytest.approx(view.per_class[7:].mean())
    assert few.against.value == pytest.approx((view.per_class - view.baseline.per_class)[7:].mean())
    assert few.interval.low < few.value < few.interval.high


def test_an_interval_that_does_not_hold_the_value_is_not_shown(tmp_path):
    view = open_run(make_run(tmp_path / "run", 100, per_class=5, seed=2))
    harmonic = next(f for f in key_figures(view) if f.name == "harmonic mean")
    assert harmonic.interval is None or (
        harmonic.interval.low <= harmonic.value <= harmonic.interval.high
    )


def test_runs_measured_on_other_pictures_are_not_compared(tmp_path):
    ours = make_run(tmp_path / "rcl", 10)
    base = make_run(tmp_path / "ce", 10, method="ce", per_class=21)
    record = json.loads((base / "record.json").read_text())
    record["data"]["test_size"] = 200
    (base / "record.json").write_text(json.dumps(record))
    view = with_baseline(open_run(ours))
    assert view.baseline is not None
    assert not same_samples(view, view.baseline)
    assert all(figure.against is None for figure in key_figures(view))


def test_the_verdict_says_how_good_where_it_fails_and_against_what(tmp_path):
    ours = make_run(tmp_path / "rcl", 10)
    alone = sentences(open_run(ours), key_figures(open_run(ours)))
    assert alone[0].startswith("rcl recognises 48.0 % of an average class (95 % interval [")
    assert "fewer than 20 training samples are at 23.3 %" in alone[1]
    assert "the lowest are class-007 (20 %)" in alone[1]
    p, rare = open_run(ours).predictions, (7, 8, 9)
    wrong = [(y, q) for y, q in zip(p.labels, p.predicted, strict=True) if y in rare and y != q]
    up = 100 * sum(q < y for y, q in wrong) / len(wrong)  # counts fall with the class id
    assert f"mistakes on the few classes {up:.0f} % name a class with more" in alone[2]
    make_run(tmp_path / "ce", 10, method="ce", skill=0.3)
    view = with_baseline(open_run(ours))
    against = sentences(view, key_figures(view))[2]
    assert re.search(r"Against ce .* \+\d+\.\d \[.*\] points: better on these samples", against)
    assert "at least 3 seeds" in against


def test_no_difference_is_said_in_words(tmp_path):
    ours = make_run(tmp_path / "rcl", 10)
    make_run(tmp_path / "ce", 10, method="ce", skill=0.69)
    view = with_baseline(open_run(ours))
    assert "no evidence of a difference" in sentences(view, key_figures(view))[2]


def test_balanced_data_have_no_rare_classes_to_speak_of(tmp_path):
    view = open_run(make_run(tmp_path / "run", 6, counts=[50] * 6))
    said = sentences(view, key_figures(view))
    assert said[1].startswith("Every class has 50 training samples; the lowest are")
    assert said[2] == "No class is rarer than another, so nothing can lean on the frequent ones."


# The page


def test_a_page_is_whole_and_asks_for_nothing(run):
    view = open_run(run)
    html = page("A title", "More", [verdict(view), measured(view)], ["A problem."])
    elements = Page(html)
    names = [name for name, _ in elements.found]
    assert names.count("h1") == 1
    assert names.count("h2") == 2
    assert not {"img", "iframe", "object", "embed"} & set(names)
    links = [a["href"] for name, a in elements.found if name in ("a", "link")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org", "")
    ids = [a["id"] for _, a in elements.found if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_policy_knows_the_script_and_no_other(run):
    import base64
    import hashlib

    html = page("A title", "More", [measured(open_run(run))])
    script = html[html.rindex("<script>") + len("<script>") : html.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;;" in html
    assert "default-src &#39;none&#39;" in html
    assert "unsafe-eval" not in html


def test_hostile_strings_stay_text(tmp_path):
    folder = make_run(tmp_path / "run", 10, names=HOSTILE, changes={"command": HOSTILE[0]})
    view = open_run(folder)
    section = Section(
        "data", HOSTILE[1], render("page.html.j2", **_bare(HOSTILE[0])), {"json": HOSTILE}
    )
    html = page(HOSTILE[0], HOSTILE[1], [verdict(view), measured(view)], list(HOSTILE))
    names = [name for name, _ in Page(html).found]
    assert names.count("script") == 1
    assert "img" not in names
    assert HOSTILE[0] in Page(html).text
    assert "<script>document" not in section.html
    data = page(
        "x",
        "y",
        [
            Section(
                "s",
                "t",
                render("sections/measured.html.j2", facts=[], command=""),
                {"json": HOSTILE},
            )
        ],
    )
    block = data[data.index('id="json">') + 10 :]
    assert json.loads(block[: block.index("</script>")]) == list(HOSTILE)


def _bare(title):
    return dict(title=title, subtitle="", sections=[], problems=[], style="", script="", policy="")


def test_the_summary_is_markdown_that_names_cannot_break(tmp_path):
    folder = make_run(tmp_path / "run", 10, names=("a|b", "*c*", "<b>", "[x](y)", "#", *"fghij"))
    text = summary(open_run(folder))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    unescaped = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert set(unescaped) == {4}
    assert "| balanced accuracy | 48.0 |" in text
    assert "<b>" not in text


def test_a_report_needs_no_torch():
    code = (
        "import sys, longtail.report.write, longtail.report.summary\n"
        "heavy = {'torch', 'sklearn', 'matplotlib', 'jinja2', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# What was wrong once


def test_embeddings_that_have_collapsed_have_no_map_and_do_not_end_the_process(tmp_path):
    run = make_run(tmp_path / "run", 5)
    path = run / "predictions-test.npz"
    predictions = read_predictions(path)
    assert predictions.embeddings is not None
    one_place = np.ones_like(predictions.embeddings)
    dataclasses.replace(predictions, embeddings=one_place).write(path)
    html = build_page([run]).html
    assert "the embeddings have collapsed" in html


def test_a_baseline_that_is_not_there_is_an_error_and_not_an_unfinished_run(tmp_path):
    run = make_run(tmp_path / "run", 5)
    with pytest.raises(CheckpointError, match="typo: no such folder"):
        build_page([run], baseline=tmp_path / "typo")


def test_one_sample_a_class_makes_no_interval_and_no_finding(tmp_path):
    ours = make_run(tmp_path / "rcl", 10, per_class=1)
    make_run(tmp_path / "ce", 10, per_class=1, method="ce", skill=0.1)
    view = with_baseline(open_run(ours))
    assert view.baseline is not None
    figures = key_figures(view)
    assert all(figure.interval is None and figure.against is None for figure in figures)
    assert "better" not in " ".join(sentences(view, figures))


def test_intervals_lie_within_what_an_accuracy_can_be(tmp_path):
    view = open_run(make_run(tmp_path / "run", 10, skill=0.12))
    for figure in key_figures(view):
        assert figure.interval is None or 0 <= figure.interval.low <= figure.interval.high <= 1


def test_a_baseline_of_another_seed_is_said_to_be_one(tmp_path):
    ours = make_run(tmp_path / "rcl", 10)
    other = make_run(tmp_path / "ce", 10, method="ce", seed=1, skill=0.3)
    view = with_baseline(open_run(ours), other)
    said = sentences(view, key_figures(view))[2]
    assert "Against ce (ce; differs in seed as well)" in said
    assert "same seed" not in said


def test_a_baseline_of_the_same_method_has_a_curve_of_its_own(tmp_path):
    ours, other = make_run(tmp_path / "a", 10), make_run(tmp_path / "b", 10, skill=0.3)
    figure = FIGURES["test-priors"](with_baseline(open_run(ours), other))
    assert figure is not None
    assert (
        len({tuple(line.get_ydata()) for line in figure.axes[0].lines if len(line.get_ydata()) > 2})
        == 2
    )


def test_rarest_classes_that_were_not_tested_are_not_called_faultless(tmp_path):
    run = make_run(tmp_path / "run", 10)
    path = run / "predictions-test.npz"
    p = read_predictions(path)
    kept = p.labels < 7
    arrays = {f.name: getattr(p, f.name) for f in dataclasses.fields(p)}
    cut = {
        name: a[kept] if a is not None and name not in ("prototypes", "logit_classes") else a
        for name, a in arrays.items()
    }
    dataclasses.replace(p, **cut).write(path)
    record = read_record(run / "record.json")
    measured = summarise(p.labels[kept], p.predicted[kept], record.data.train_counts)
    metrics = dataclasses.replace(record.metrics, test=measured)
    dataclasses.replace(record, metrics=metrics).write(run / "record.json")
    view = open_run(run)
    assert not view.problems
    said = " ".join(sentences(view, key_figures(view)))
    assert "have no test sample: nothing is known about them" in said
    assert "no mistake" not in said


def test_the_same_training_data_tested_on_other_pictures_are_not_paired(tmp_path):
    runs = [make_run(tmp_path / name, 10, method=name) for name in ("rcl", "ce")]
    views = [open_run(run) for run in runs]
    assert same_samples(*views)
    for run, tested_on in zip(runs, "ab", strict=True):
        (run / "config.json").write_text(json.dumps({"labels_and_test": tested_on}))
    first, second = map(open_run, runs)
    assert not same_samples(first, second)
    assert same_samples(first, dataclasses.replace(views[0]))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"per_class": [0.5] * 9}, "9 per_class for 10 classes"),
        ({"train_counts": [5] * 9}, "9 train_counts for 10 classes"),
        ({"train_counts": [-1] * 10}, "are no counts"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(tmp_path, change, match):
    run = make_run(tmp_path / "run", 10)
    record = json.loads((run / "record.json").read_text())
    for name, value in change.items():
        (record["data"] if name in record["data"] else record["metrics"]["test"])[name] = value
    (run / "record.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=match):
        open_run(run)


def test_predictions_that_do_not_fit_the_classes_are_not_used(tmp_path):
    run = make_run(tmp_path / "run", 10, prototypes=True)
    path = run / "predictions-test.npz"
    p = read_predictions(path)
    assert p.prototypes is not None
    for changed, problem in (
        (dataclasses.replace(p, logits=p.logits[:, :9]), "9 logits a sample for 10 classes"),
        (dataclasses.replace(p, prototypes=p.prototypes[:, :3]), "has prototypes"),
    ):
        changed.write(path)
        view = open_run(run)
        assert view.predictions is None
        assert problem in view.problems[0]


def test_nothing_but_a_page_of_ours_is_replaced(tmp_path):
    run = make_run(tmp_path / "run", 3)
    with pytest.raises(UsageError, match="is no page of longtail"):
        write_page(run / "record.json", "<html>")
    assert read_record(run / "record.json").seed == 0
    page_path = tmp_path / "page.html"
    html = page("t", "s", [])
    write_page(page_path, html)
    assert write_page(page_path, html) == page_path


def test_a_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="no run lies here"):
        build_page([tmp_path])


def test_pages_do_not_tell_where_they_were_made(tmp_path):
    run = make_run(tmp_path / "run", 3)
    (run / "predictions-test.npz").write_bytes(b"nothing")
    broken = make_run(tmp_path / "broken", 3)
    (broken / "record.json").write_text("{")
    for folders in ([run], [broken], [run, broken]):
        assert str(tmp_path) not in build_page(folders).html
