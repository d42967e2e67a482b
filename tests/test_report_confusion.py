"""The confusion matrix of a report: its order, its blocks, its pairs, and where mistakes go."""

import base64
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from longtail.record import read_predictions
from longtail.report.confusion import (
    block_sums,
    direction,
    directions,
    matrix_of,
    worst_pairs,
)
from longtail.report.figures.confusion import confusion as draw
from longtail.report.figures.svg import inline
from longtail.report.page import page
from longtail.report.sections.confusion import confusion
from longtail.report.view import open_run
from report_runs import HOSTILE, make_run

RISING = (3, 9, 27, 81, 243, 9)
"""Counts from tail to head, two of them alike, so that rank is neither id nor its reverse."""


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    return open_run(make_run(tmp_path_factory.mktemp("runs") / "ten", 10, names=HOSTILE))


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "six"
    return open_run(make_run(folder, 6, counts=RISING, skill=0.5))


def data_of(view):
    return confusion(view).data["confusion-data"]


def dense(data):
    size = len(data["names"])
    cells = np.zeros((size, size), int)
    for row, pairs in enumerate(data["rows"]):
        cells[row, pairs[::2]] = pairs[1::2]
    return cells


# Order and blocks


def test_rows_and_columns_go_from_head_to_tail(six):
    order = [4, 3, 2, 1, 5, 0]
    expected = np.zeros((6, 6), int)
    predictions = read_predictions(six.folder / "predictions-test.npz")
    for true, predicted in zip(predictions.labels, predictions.predicted, strict=True):
        expected[order.index(true), order.index(predicted)] += 1
    data = data_of(six)
    assert data["names"] == tuple(f"class-{c:03}" for c in order)
    np.testing.assert_array_equal(dense(data), expected)
    assert data["right"] == np.diagonal(expected).tolist()
    assert data["bounds"] == (("many", 0.0, 1.0), ("medium", 1.0, 3.0), ("few", 3.0, 6.0))
    assert not data["blocks"]


@given(st.integers(1, 12), st.integers(1, 14), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_block_sums_conserve_counts_and_are_those_of_a_loop(classes, size, seed):
    matrix = np.random.default_rng(seed).integers(0, 9, (classes, classes))
    found = block_sums(matrix, size)
    slow = np.zeros_like(found)
    for row in range(classes):
        for column in range(classes):
            slow[row // size, column // size] += matrix[row, column]
    np.testing.assert_array_equal(found, slow)
    assert found.sum() == matrix.sum()


def test_many_classes_are_shown_in_at_most_a_hundred_blocks(tmp_path):
    view = open_run(make_run(tmp_path / "run", 257, per_class=2, thumbnails=False))
    matrix = matrix_of(view)
    assert matrix.size == 3
    assert matrix.cells.shape == (86, 86)
    assert matrix.cells.sum() == len(view.predictions.labels)
    assert matrix.right.sum() == (view.predictions.labels == view.predictions.predicted).sum()
    assert matrix.names[0] == "ranks 1 to 3 (class-000, class-001 and 1 more)"
    assert matrix.names[-1] == "ranks 256 to 257 (class-255 and class-256)"
    ends = [last for _, _, last in matrix.bounds]
    assert ends[-1] == pytest.approx(257 / 3)
    section = confusion(view)
    assert "each row and each column sums 3 classes" in " ".join(section.html.split())
    assert len(section.data["confusion-data"]["rows"]) == 86


def test_a_hundred_classes_have_a_row_each(tmp_path):
    view = open_run(make_run(tmp_path / "run", 100, per_class=2, thumbnails=False))
    assert matrix_of(view).size == 1
    assert "too many" not in confusion(view).html


# Pairs and direction


@given(st.integers(2, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_worst_pairs_are_those_of_an_independent_count(classes, seed):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 6, (classes, classes))
    order = rng.permutation(classes)
    rank = {c: r for r, c in enumerate(order.tolist())}
    expected = []
    for true in range(classes):
        for predicted in range(classes):
            if true != predicted and cells[true, predicted]:
                number, of = int(cells[true, predicted]), int(cells[true].sum())
                key = (-number / of, -number, rank[true], rank[predicted])
                expected.append((key, (true, predicted, number, of)))
    found = worst_pairs(cells, order, most=5)
    assert [(p.true, p.predicted, p.number, p.of) for p in found] == [
        pair for _, pair in sorted(expected)[:5]
    ]


def test_direction_counts_mistakes_that_name_a_larger_class():
    counts = np.array([100, 30, 30, 10])
    cells = np.array([[9, 1, 0, 0], [4, 3, 2, 1], [0, 0, 10, 0], [2, 0, 3, 5]])
    found = direction("these", cells, counts, np.array([1, 3]))
    # Of class 1: 4 to the larger class, 2 to one as large, 1 to a smaller; of class 3 all 5.
    assert (found.mistakes, found.to_larger) == (12, 9)
    # Spread evenly, 1 of 3 others is larger than class 1, and all 3 than class 3.
    assert found.expected == pytest.approx((7 * 1 / 3 + 5 * 1) / 12)


def test_directions_are_of_the_few_and_of_the_medium_classes(six):
    predictions = six.predictions
    wrong = [
        (RISING[true], RISING[predicted])
        for true, predicted in zip(predictions.labels, predictions.predicted, strict=True)
        if true != predicted
    ]
    few = [larger > own for own, larger in wrong if own < 20]
    medium = [larger > own for own, larger in wrong if 20 <= own <= 100]
    assert [(found.classes, found.mistakes, found.to_larger) for found in directions(six)] == [
        ("few classes", len(few), sum(few)),
        ("medium classes", len(medium), sum(medium)),
    ]


def test_without_small_classes_the_rarest_are_judged_and_equal_ones_are_not(tmp_path):
    large = open_run(make_run(tmp_path / "large", 4, counts=(900, 800, 700, 600), skill=0.5))
    assert [found.classes for found in directions(large)] == ["rarest classes"]
    equal = open_run(make_run(tmp_path / "equal", 4, counts=(50,) * 4, skill=0.5))
    assert directions(equal) == []
    assert "Where mistakes go" not in confusion(equal).html


def test_the_pictures_of_a_pair_are_of_its_samples(six):
    html, predictions = confusion(six).html, six.predictions
    pair = worst_pairs(six.confusion, six.order)[0]
    confused = (predictions.labels == pair.true) & (predictions.predicted == pair.predicted)
    first = predictions.thumbnails[np.flatnonzero(confused)[0]]
    uri = html.split('background-image: url("')[1].split('"')[0]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
    np.testing.assert_array_equal(sheet[:32, :32], first)
    shown = html.split('class="thumbs"')[1:]
    numbers = [p.number for p in worst_pairs(six.confusion, six.order)]
    assert [part.split("</li>")[0].count("sprite-confusions") for part in shown] == [
        min(4, number) for number in numbers
    ]


# What a run has not


def test_nothing_is_shown_without_predictions(tmp_path):
    run = make_run(tmp_path / "run", 4)
    (run / "predictions-test.npz").unlink()
    view = open_run(run)
    assert confusion(view) is None
    assert matrix_of(view) is None
    assert directions(view) == []


def test_without_thumbnails_the_pairs_have_words_alone(tmp_path):
    html = confusion(open_run(make_run(tmp_path / "run", 4, thumbnails=False))).html
    assert "taken for" in html
    assert "sprite" not in html
    assert "pictures" not in html


def test_a_run_without_a_mistake_says_so(tmp_path):
    view = open_run(make_run(tmp_path / "run", 3, counts=(200, 200, 200), skill=1.0))
    assert "None: every sample" in confusion(view).html


# Strings, and the figure for papers


def test_hostile_names_are_text_everywhere(ten):
    text = page("x", "x", [confusion(ten)])
    assert "<img src=x" not in text
    assert text.count("<script>") == 1
    block = text.split('id="confusion-data">')[1].split("</script>")[0]
    assert "<" not in block
    assert json.loads(block)["names"][0] == HOSTILE[0]
    assert "(no name)" in block


@pytest.mark.parametrize(("classes", "texts"), [(10, 10), (30, 0)])
def test_the_figure_names_classes_where_there_is_room(tmp_path, classes, texts):
    view = open_run(make_run(tmp_path / "run", classes, per_class=3, thumbnails=False))
    figure = draw(matrix_of(view))
    assert len(inline(figure, "confusion", "The confusion matrix")) < 200_000
    axes = figure.axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert sum(label.startswith("class-") for label in labels) == texts
    assert bool(axes.texts) == bool(texts)
    image = axes.images[0].get_array()
    np.testing.assert_allclose(image.sum(axis=1), 100)
