"""The figures of a run: their data are the inputs, their SVG is a page's, nothing is cut off."""

import dataclasses
import json
import re
from collections import Counter
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from longtail.errors import printable
from longtail.metrics import expected_calibration_error, group_reliability
from longtail.report.baseline import with_baseline
from longtail.report.figures import style
from longtail.report.figures import test_priors as priors_figure
from longtail.report.figures.class_counts import class_counts
from longtail.report.figures.differences import differences
from longtail.report.figures.long_tail import long_tail, long_tail_trends
from longtail.report.figures.marks import mark_order
from longtail.report.figures.scales import NO_SAMPLE, count_ticks
from longtail.report.figures.svg import TOKENS, inline, save, svg_of
from longtail.report.figures.training import live_accuracy, losses
from longtail.report.figures.trend import running_mean, trend
from longtail.report.page import asset, page
from longtail.report.run_figures import FIGURES
from longtail.report.sections.calibration import calibration as calibration_section
from longtail.report.sections.data import data
from longtail.report.sections.long_tail import long_tail as long_tail_section
from longtail.report.sections.prior_shift import prior_shift
from longtail.report.sections.training import training
from longtail.report.view import open_run
from report_page import Page
from report_runs import HOSTILE, counts_of, make_run

COUNTS = np.array([300, 0, 40, 5, 40, 1, 120, 18])
SHARES = np.array([0.8, 0.0, 0.5, np.nan, 0.75, 0.1, 1.0, 0.25])
TESTED = np.array([10, 10, 20, 0, 20, 10, 8, 12])
DRAWN = [0, 6, 2, 4, 7, 5, 1]  # from head to tail, of equal counts the smaller id, without NaN
NAMES = (
    *("class-counts", "long-tail", "differences", "calibration"),
    *("loss", "live-accuracy", "test-priors"),
)
SECTIONS = (data, long_tail_section, calibration_section, training, prior_shift)


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """Runs of 10 classes with hostile names and 100 in no order, each with its baseline."""
    found, mixed = {}, np.random.default_rng(0).permutation(counts_of(100))
    for classes, names, counts in ((10, HOSTILE, None), (100, None, mixed)):
        root = tmp_path_factory.mktemp(f"of-{classes}")
        run = make_run(root / "rcl", classes, names=names, counts=counts)
        make_run(root / "ce", classes, names=names, counts=counts, method="ce", skill=0.5)
        found[classes] = with_baseline(open_run(run))
    return found


@pytest.fixture(scope="module")
def drawn(views):
    """The figures of the run with hostile names."""
    return {name: FIGURES[name](views[10]) for name in NAMES}


@pytest.fixture(scope="module")
def sections(views):
    return {classes: [make(view) for make in SECTIONS] for classes, view in views.items()}


def marks_of(figure):
    """Offsets of the class marks in drawing order, [k, 2]."""
    found = figure.axes[0].collections
    return np.concatenate(
        [c.get_offsets() for c in found if (c.get_gid() or "").endswith("-marks")]
    )


def lines_of(figure):
    return [line.get_xydata() for line in figure.axes[0].lines]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def svgs_of(section):
    return re.findall(r"<svg.*?</svg>", section.html, re.DOTALL)


def elements(svg, name):
    return ElementTree.fromstring(str(svg)).iter(name)


# What is drawn is what was given


def test_the_long_tail_has_a_mark_for_each_class_with_an_accuracy():
    figure = long_tail(COUNTS, SHARES, TESTED)
    np.testing.assert_allclose(
        marks_of(figure), [(max(NO_SAMPLE, COUNTS[c]), 100 * SHARES[c]) for c in DRAWN]
    )
    assert mark_order(COUNTS, SHARES).tolist() == DRAWN
    assert legend_of(figure)[0] == "many (2)"


def test_intervals_are_wilson_s_and_left_out_where_they_would_hide_each_other():
    (bars,) = [c for c in long_tail(COUNTS, SHARES, TESTED).axes[0].collections if not c.get_gid()]
    known = [c for c in range(len(COUNTS)) if TESTED[c]]
    for c, ((x, low), (_, high)) in zip(known, bars.get_segments(), strict=True):
        wanted = binomtest(round(SHARES[c] * TESTED[c]), TESTED[c]).proportion_ci(method="wilson")
        assert x == max(NO_SAMPLE, COUNTS[c])
        assert (low, high) == pytest.approx((100 * wanted.low, 100 * wanted.high))
    many = long_tail(np.arange(1, 102), np.full(101, 0.5), np.full(101, 9))
    assert all(c.get_gid() for c in many.axes[0].collections)
    assert all(c.get_gid() for c in long_tail(COUNTS, SHARES).axes[0].collections)


def test_the_lines_of_the_long_tail_are_the_balanced_accuracy_and_the_trend():
    figure = long_tail(COUNTS, SHARES)
    level, path = lines_of(figure)
    np.testing.assert_allclose(level[:, 1], 100 * 3.4 / 7)
    rising = [1, 5, 7, 2, 4, 6, 0]
    for place, (x, y) in enumerate(path):
        near = [c for at, c in enumerate(rising) if abs(at - place) <= 1]
        logs = np.log([max(NO_SAMPLE, COUNTS[c]) for c in near])
        assert x == pytest.approx(np.exp(logs.mean()))
        assert y == pytest.approx(100 * SHARES[near].mean())
    assert "balanced 48.6" in legend_of(figure)
    assert "mean of 3 classes" in legend_of(figure)


def test_where_there_is_no_tail_there_is_no_trend():
    assert trend(np.full(20, 50), np.linspace(0, 1, 20)) is None
    assert trend(np.arange(5), np.linspace(0, 1, 5)) is None
    assert trend(COUNTS, SHARES).window == 3
    assert trend(np.arange(100), np.linspace(0, 1, 100)).window == 11


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.integers(1, 15))
def test_a_running_mean_is_that_of_the_neighbours(values, window):
    found = running_mean(np.array(values), window)
    for at, mean in enumerate(found):
        near = [v for place, v in enumerate(values) if abs(place - at) <= window // 2]
        assert mean == pytest.approx(sum(near) / len(near), abs=1e-9)


def test_several_runs_are_trends_and_few_classes_marks():
    other = (COUNTS[:4], np.array([0.1, 0.2, 0.3, 0.4]))
    figure = long_tail_trends({"a": (COUNTS, SHARES), "b": other})
    first, second = figure.axes[0].lines
    np.testing.assert_allclose(first.get_ydata(), lines_of(long_tail(COUNTS, SHARES))[1][:, 1])
    np.testing.assert_allclose(second.get_ydata(), 100 * other[1])
    assert (first.get_marker(), second.get_linestyle()) == ("", "None")
    assert legend_of(figure) == ["a", "b"]


def test_class_counts_fall_and_a_class_without_samples_has_no_height():
    figure = class_counts(COUNTS)
    values = [patch.get_data() for patch in figure.axes[0].patches]
    np.testing.assert_array_equal(
        np.concatenate([v.values for v in values])[:-1], -np.sort(-COUNTS)[:-1]
    )
    assert values[-1].values[-1] == values[-1].baseline
    np.testing.assert_array_equal(
        np.unique(np.concatenate([v.edges for v in values])), np.arange(9) + 0.5
    )
    assert legend_of(figure) == ["many (2)", "medium (2)", "few (4)"]


def test_a_line_of_calibration_leaves_out_bins_of_few_samples(views, drawn):
    view = views[10]
    by_group = group_reliability(view.probabilities, view.predictions.labels, view.counts)
    assert min(found.number.min() for found in by_group.values()) < 5
    for found, line in zip(by_group.values(), lines_of(drawn["calibration"])[1:], strict=True):
        enough = found.number >= 5
        np.testing.assert_allclose(line[:, 0], 100 * found.confidence[enough])
        np.testing.assert_allclose(line[:, 1], 100 * found.accuracy[enough])
    many = f"many: ECE {100 * by_group['many'].error:.1f} %"
    assert legend_of(drawn["calibration"])[0] == many


LOG = [
    {"epoch": 1, "loss": 3.0, "terms": {"a": 1.0, "b": 2.0}},
    {"epoch": 2, "loss": 2.0, "terms": {"a": 0.5, "b": 1.5}, "stage": 1}
    | {"split": "test", "accuracy": {"balanced_accuracy": 0.4, "many": 0.5, "few": 0.3}},
    {"epoch": 3, "loss": 1.0, "terms": {"c": 1.0}, "stage": 2}
    | {"split": "test", "accuracy": {"balanced_accuracy": 0.6, "many": 0.7, "few": None}},
]


def test_losses_are_the_log_s():
    figure = losses({"run": LOG})
    shown = dict(zip(legend_of(figure), lines_of(figure)[-4:], strict=True))
    assert shown["loss"].tolist() == [[1, 3], [2, 2], [3, 1]]
    assert shown["b"].tolist() == [[1, 2], [2, 1.5]]
    assert shown["c"].tolist() == [[3, 1]]
    alone = losses({"run": [{"epoch": 1, "loss": 1.0, "terms": {"a": 1.0}}]})
    assert legend_of(alone) == ["loss"]
    assert alone.axes[0].lines[0].get_marker() == "o"
    several = losses({"x": LOG, "y": LOG[:2]})
    assert [line.tolist() for line in lines_of(several)] == [
        [[1, 3], [2, 2], [3, 1]],
        [[1, 3], [2, 2]],
    ]


def test_the_live_accuracy_is_the_log_s():
    figure = live_accuracy({"run": LOG})
    shown = dict(zip(legend_of(figure), lines_of(figure)[-3:], strict=True))
    assert {name: line.round(9).tolist() for name, line in shown.items()} == {
        "balanced": [[2, 40], [3, 60]],
        "many": [[2, 50], [3, 70]],
        "few": [[2, 30]],
    }
    several = live_accuracy({"x": LOG, "y": LOG})
    assert legend_of(several) == ["x", "y"]
    one_group = [{**LOG[1], "accuracy": {"balanced_accuracy": 0.4, "many": 0.4}}]
    assert legend_of(live_accuracy({"run": one_group})) == ["balanced"]


def test_a_stage_begins_at_a_line():
    (border,) = [
        line for line in losses({"run": LOG[1:]}).axes[0].lines if line.get_color() == style.LINE
    ]
    assert border.get_xdata() == [2.5, 2.5]


def test_other_test_priors_weigh_the_class_accuracies():
    counts, shares = np.array([10, 300, 40]), np.array([0.2, 0.9, 0.5])
    figure = priors_figure.under_test_priors(counts, {"rcl": shares, "ce": shares / 2})
    by_rank = [0.9, 0.5, 0.2]
    wanted = []
    for ratio in (50, 25, 10, 5, 2, 1, 1 / 2, 1 / 5, 1 / 10, 1 / 25, 1 / 50):
        weights = [ratio ** -(rank / 2) for rank in range(3)]
        wanted.append(100 * np.dot(weights, by_rank) / sum(weights))
    _, ours, base = lines_of(figure)
    np.testing.assert_allclose(ours[:, 1], wanted)
    np.testing.assert_allclose(base[:, 1], np.array(wanted) / 2)
    low, high = figure.axes[0].get_ylim()
    assert low < min(base[:, 1])
    assert max(ours[:, 1]) < high <= 103


def test_differences_are_marks_with_their_groups_means():
    figure = differences(COUNTS, SHARES - 0.25)
    np.testing.assert_allclose(marks_of(figure)[:, 1], [100 * SHARES[c] - 25 for c in DRAWN])
    assert sorted(legend_of(figure)) == [
        *("few -13.3", "many +65.0", "mean of 3 classes", "medium +37.5")
    ]
    low, high = differences(COUNTS, np.full(8, 0.001)).axes[0].get_ylim()
    assert low < -5 < 5 < high


@given(st.lists(st.integers(0, 10**6) | st.just(0), min_size=1, max_size=9).filter(any))
def test_ticks_of_counts_are_counts_within_them(counts):
    ticks = count_ticks(np.array(counts))
    assert (np.diff(ticks) > 0).all()
    assert len(ticks) <= 12
    assert ticks.min() >= min(counts)
    assert ticks.max() <= max(counts)
    assert (ticks[0] == 0) == (min(counts) == 0)


# Marks and their words


@pytest.mark.parametrize("classes", [10, 100])
def test_the_words_of_marks_are_in_the_order_of_the_svg(views, sections, classes):
    view, section = views[classes], sections[classes][1]
    for key, shares in (
        ("long-tail", view.per_class),
        ("differences", view.per_class - view.baseline.per_class),
    ):
        start = section.html.index(f'data-tips="{key}-tips"')
        root = ElementTree.fromstring(re.search(r"<svg.*?</svg>", section.html[start:])[0])
        groups = [g for g in root.iter("g") if g.get("id", "").endswith("-marks")]
        assert [g.get("id") for g in groups] == [
            f"{key}-{group}-marks" for group in ("many", "medium", "few")
        ]
        placed = np.array(
            [(float(u.get("x")), float(u.get("y"))) for g in groups for u in g.iter("use")]
        )
        texts = section.data[f"{key}-tips"]
        assert len(placed) == len(texts) == classes
        order = mark_order(view.counts, shares)
        for c, text in zip(order, texts, strict=True):
            assert text.startswith(f"{view.class_names[c]}\n{view.counts[c]:,} tr")
        # To the right with more samples, upwards (which in an SVG is less) with the value.
        for place, values, sign in (
            (placed[:, 0], np.log(view.counts[order]), 1),
            (placed[:, 1], shares[order], -1),
        ):
            line = np.poly1d(np.polyfit(values, place, 1))
            assert sign * line[1] > 0
            np.testing.assert_allclose(line(values), place, atol=0.02)


def test_words_say_the_number_its_interval_and_of_how_many(views, sections):
    view, text = views[100], sections[100][1].data["long-tail-tips"][0]
    largest = int(view.counts.argmax())
    interval = binomtest(round(20 * view.per_class[largest]), 20).proportion_ci(method="wilson")
    assert text == (
        f"class-{largest:03}\n500 training samples, many\n"
        f"accuracy {100 * view.per_class[largest]:.1f} % "
        f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}] of 20 samples"
    )


# As a part of a page


def test_ids_are_unique_over_a_page_and_every_reference_has_its_target(views, sections):
    html = page("t", "s", sections[10])
    ids = Counter(re.findall(r'\bid="([^"]+)"', html))
    assert not [name for name, number in ids.items() if number > 1]
    targets = re.findall(r'(?:url\(|href=")#([^)"]+)', html)
    assert len(targets) > 100
    assert set(targets) <= ids.keys()


def test_every_colour_is_the_theme_s(sections):
    svgs = [svg for section in sections[10] for svg in svgs_of(section)]
    assert len(svgs) == len(NAMES)
    for svg in svgs:
        assert not re.search(r"#[0-9a-fA-F]{6}\b|rgb|black|white", svg)
        assert not list(elements(svg, "style"))
        for text in elements(svg, "text"):
            assert re.search(r"fill: var\(--(ink|muted)\)", text.get("style"))
            assert "font-family" not in text.get("style")
        assert "fill: currentColor" in svg


def test_the_page_s_tokens_are_the_figures_colours():
    light, dark, printed = re.findall(r":root[^{]*\{(.*?)\}", asset("report.css"), re.DOTALL)
    tokens = [dict(re.findall(r"(--[\w-]+): (#\w+);", block)) for block in (light, dark, printed)]
    for colour, token in TOKENS.items():
        assert tokens[0][token] == colour
        assert token in tokens[1]
        assert token in tokens[2]
        same = [t for t, value in tokens[0].items() if value == colour and t != "--accent"]
        assert len({tokens[1][t] for t in same if t in tokens[1]}) == 1, same


def test_text_that_looks_like_svg_stays_text():
    labels = ["#3f66ad", 'id="a" url(#b) href="#c"', "_left out", *HOSTILE]
    figure = losses({label: [{"epoch": 1, "loss": 1.0, "terms": {}}] for label in labels})
    svg = inline(figure, "loss", HOSTILE[1])
    shown = [text.text or "" for text in elements(svg, "text")]
    for label in labels:
        assert style.shortened(label) in shown or not label
    assert "$x^2_\\frac{1}$ </script><!--" in shown
    root = ElementTree.fromstring(str(svg))
    assert root.get("aria-label") == HOSTILE[1]
    assert "<script" not in svg
    assert "<img" not in svg


def test_names_are_text_in_every_section(views, sections):
    html = page("t", "s", sections[10])
    assert "<script>document" not in html
    assert "<img" not in html
    assert html.count("<script") == 1 + 2  # the page's own, and the tips of two figures
    block = re.search(r'id="long-tail-tips">(.*?)</script>', html, re.DOTALL)[1]
    names = [text.split("\n")[0] for text in json.loads(block)]
    assert names == [printable(name) or "(no name)" for name in HOSTILE]


def test_equal_numbers_give_equal_bytes(views, sections):
    assert prior_shift(views[10]).html == sections[10][4].html
    assert svg_of(class_counts(COUNTS), "x") == svg_of(class_counts(COUNTS), "x")


def test_save_writes_what_a_paper_takes(tmp_path, drawn):
    svg, png = save(drawn["long-tail"], tmp_path, "long-tail")
    assert (svg.name, png.name) == ("long-tail.svg", "long-tail.png")
    assert svg.read_text().startswith("<?xml")
    assert "var(" not in svg.read_text()
    ElementTree.parse(svg)
    pixels = matplotlib.image.imread(png)
    assert pixels.shape[1] == round(200 * style.SIZE[0])
    assert pixels[0, 0].tolist() == [1, 1, 1, 1]


def test_nothing_global_is_touched(views):
    before = dict(matplotlib.rcParams)
    inline(long_tail(COUNTS, SHARES), "x", "y")
    assert dict(matplotlib.rcParams) == before


def test_nothing_reaches_beyond_its_figure(drawn):
    labels = [f"{method} {'m' * 30}" for method in ("a", "b", "c")]
    crowded = {f"{label}{n}": LOG for label in labels for n in range(5)}
    for figure in [*drawn.values(), losses(crowded)]:
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert min(box.x0, box.y0) >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
        assert legend.y0 >= axes.y1
        assert axes.height >= 0.6 * style.SIZE[1] * figure.dpi


def test_thirty_lines_are_told_apart():
    looks = [style.line_style(number) for number in range(30)]
    assert len({(look["color"], look["linestyle"]) for look in looks[:24]}) == 24
    assert len({tuple(map(str, look.values())) for look in looks}) == 30


# Sections


def test_labels_say_the_finding_in_numbers(sections):
    labels = [
        label
        for section in sections[100]
        for label in re.findall(r'aria-label="([^"]+)"', section.html)
        if not label.startswith(("Groups of", "Calibration by"))
    ]
    assert len(labels) == 7
    assert all(re.search(r"\d", label) for label in labels)
    assert labels[1].startswith("Accuracy of 100 classes against their training samples; the mean")


def test_the_data_say_their_size_shape_and_problems(tmp_path):
    counts = (0, 1, 2, 3, 4, 5, 150, 400)
    view = open_run(make_run(tmp_path / "run", 8, counts=counts))
    html = data(view).html
    assert "400: 400 samples in the largest class, 1 in the smallest" in html
    assert "1 class (class-000) has no training sample" in html
    assert "4 classes (class-001, class-002, class-003 and 1 more) have fewer than 5" in html
    assert "Made for a test." in html
    assert "the most frequent class holds 71 % of all" in html
    assert Page(html).tables["groups-table"][1] == [
        *("many", "2", "550", "97.3", "40", "more than 100 training samples")
    ]


def without_test_samples(view):
    """The same run, had its last class had no test sample, and had nothing else been kept."""
    per_class = (*view.metrics.per_class[:-1], None)
    metrics = dataclasses.replace(view.metrics, per_class=per_class, absent_classes=1)
    bare = {"predictions": None, "baseline": None, "folder": view.folder / "without-log"}
    return dataclasses.replace(view, metrics=metrics, **bare)


def test_what_is_not_there_is_not_drawn(views):
    view = without_test_samples(views[10])
    made = {name: FIGURES[name](view) for name in NAMES}
    assert [name for name, figure in made.items() if figure] == ["class-counts", "long-tail"]
    assert training(view) is None
    assert calibration_section(view) is None
    assert "1 class of 10 has no test sample" in prior_shift(view).html
    assert "1 class (ordinary) has no test sample" in data(view).html
    section = long_tail_section(view)
    assert len(section.data["long-tail-tips"]) == 9
    assert "of 20" not in section.data["long-tail-tips"][0]
    assert "without a mark: 1 class." in section.html


def test_where_no_probability_is_known_the_section_says_so(views):
    predictions = views[10].predictions
    top = dataclasses.replace(predictions, logit_classes=np.zeros((len(predictions.labels), 10)))
    html = calibration_section(dataclasses.replace(views[10], predictions=top)).html
    assert "Above 1,000 classes only the largest logits" in html


def test_the_calibration_table_is_the_metrics(views, sections):
    view = views[100]
    _, overall, *groups = Page(sections[100][2].html).tables["calibration-table"]
    right = view.predictions.labels == view.probabilities.argmax(axis=1)
    error = expected_calibration_error(view.probabilities, view.predictions.labels)
    sure = view.probabilities.max(axis=1).mean()
    means = [f"{100 * v:.1f}" for v in (sure, right.mean(), error)]
    assert overall == ["all", "2,000", *means]
    assert [line[0] for line in groups] == ["many", "medium", "few"]


def test_data_without_a_tail_have_no_tail_to_shift_to(tmp_path):
    view = open_run(make_run(tmp_path / "run", 3, counts=[50] * 3))
    assert "same number of training samples" in prior_shift(view).html
    assert FIGURES["test-priors"](view) is None
    assert not any(
        re.search(r"\bnan\b", section.html) for make in SECTIONS if (section := make(view))
    )


def test_training_says_what_its_accuracy_decided(views):
    assert "It decided nothing: the last epoch, 8, was kept." in training(views[10]).html
    record = dataclasses.replace(views[10].record, selection="hold-out", selected_epoch=4)
    assert "It chose epoch 4." in training(dataclasses.replace(views[10], record=record)).html
