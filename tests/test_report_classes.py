"""The class table and the mistakes as a reader's browser gets them, against numbers made apart."""

import base64
import dataclasses
import io
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import precision_score, roc_auc_score

from longtail.metrics import likely_label_errors
from longtail.record import Predictions
from longtail.report.sections.classes import classes, most_taken_for
from longtail.report.sections.mistakes import mistakes, worst_mistakes
from longtail.report.view import open_run
from report_page import Page
from report_runs import HOSTILE, make_run


def places_of(page):
    """Column and row on the sheet of every picture that is shown."""
    styles = [a["style"] for tag, a in page.found if tag == "span" and "thumb" in a["class"]]
    found = [re.search(r"position: -(\d+)px -(\d+)px", style).groups() for style in styles]
    return [(int(x) // 96, int(y) // 96) for x, y in found]


def value(cell):
    return float(cell[1]) if cell[1] else np.nan


@pytest.fixture(autouse=True)
def believed(monkeypatch):
    """Made runs err so often that no report would believe their doubts."""
    monkeypatch.setattr("longtail.report.sections.mistakes.MOST_DOUBTED", 1.0)


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    """Ten classes with hostile names; the tail is not the last in class id."""
    counts = (500, 6, 300, 300, 101, 100, 20, 19, 1, 60)
    return open_run(make_run(tmp_path_factory.mktemp("r") / "run", names=HOSTILE, counts=counts))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return open_run(make_run(tmp_path_factory.mktemp("r") / "run", 1001, per_class=1))


def changed(view, keep=slice(None), **arrays):
    """The view with some of its samples, or with other arrays for them."""
    fields = {f.name: getattr(view.predictions, f.name) for f in dataclasses.fields(Predictions)}
    kept = {
        name: array if array is None or name == "prototypes" else array[keep]
        for name, array in (fields | arrays).items()
    }
    return dataclasses.replace(view, predictions=Predictions(**kept))


# The class table


def test_every_number_of_the_table_equals_one_computed_apart(view):
    page = Page(classes(view).html)
    labels, predicted = view.predictions.labels, view.predictions.predicted
    precisions = precision_score(labels, predicted, average=None, zero_division=np.nan)
    lines = page.lines("per-class")
    assert len(lines) == 10
    for c, line in zip([0, 2, 3, 4, 5, 9, 6, 7, 1, 8], lines, strict=True):  # head first
        own = predicted[labels == c]
        ends = binomtest(int((own == c).sum()), len(own)).proportion_ci(method="wilson")
        assert line["class"][0] == view.class_names[c]
        assert line["group"][0] == ("many" if c in (0, 2, 3, 4) else view.groups[c])
        assert [value(line[name]) for name in ("train", "test")] == [view.counts[c], len(own)]
        expected = {
            "recall, %": 100 * (own == c).mean(),
            "low": 100 * ends.low,
            "high": 100 * ends.high,
            "precision, %": 100 * precisions[c],
            "AUROC": roc_auc_score(labels == c, view.probabilities[:, c]),
            "share, %": 100 * max(Counter(own[own != c].tolist()).values()) / len(own),
        }
        for name, number in expected.items():
            assert value(line[name]) == pytest.approx(number, rel=1e-9), (c, name)
            digits = 3 if name == "AUROC" else 1
            assert line[name][0] == f"{number:.{digits}f}"
        other = view.class_names.index(line["most often taken for"][0])
        assert (own == other).sum() == max(Counter(own[own != c].tolist()).values())


def test_hostile_names_are_text_in_their_cells_and_no_elements(view):
    page = Page(classes(view).html)
    assert set(page.elements) <= {
        *("div", "label", "input", "span", "button", "p"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    assert {line["class"][0] for line in page.lines("per-class")} == set(view.class_names)


def test_a_class_is_taken_for_the_most_frequent_of_equals_and_for_none_when_never_mistaken():
    confusion = np.array([[5, 2, 2, 1], [0, 0, 0, 0], [1, 0, 3, 0], [0, 0, 0, 7]])
    for order, first in (([0, 1, 2, 3], 1), ([3, 2, 1, 0], 2)):
        others, shares = most_taken_for(confusion, np.array(order))
        assert others[[0, 2]].tolist() == [first, 0]
        assert shares == pytest.approx([0.2, np.nan, 0.25, np.nan], nan_ok=True)


def test_a_class_without_a_sample_and_one_never_predicted_have_dashes(view):
    predicted = np.where(view.predictions.predicted == 8, 0, view.predictions.predicted)
    partial = changed(view, view.predictions.labels != 5, predicted=predicted)
    per_class = tuple(None if c == 5 else a for c, a in enumerate(view.metrics.per_class))
    metrics = dataclasses.replace(view.metrics, per_class=per_class)
    lines = Page(classes(dataclasses.replace(partial, metrics=metrics)).html).lines("per-class")
    absent, never = lines[4], lines[9]
    assert absent["test"] == ("0", "0")
    for name in ("recall, %", "low", "high", "AUROC", "most often taken for", "share, %"):
        assert absent[name] == ("–", ""), name
        assert never[name] != ("–", ""), name
    assert never["precision, %"] == ("–", "")


def test_without_predictions_the_recorded_recall_is_shown_and_nothing_else(view):
    bare = dataclasses.replace(view, predictions=None)
    page = Page(classes(bare).html)
    lines = page.lines("per-class")
    assert list(lines[0]) == ["class", "group", "train", "recall, %"]
    found = [value(line["recall, %"]) for line in lines]
    assert found == pytest.approx([100 * view.per_class[c] for c in view.order])
    assert "need the predictions of single samples" in page.text


def test_of_more_than_a_thousand_classes_the_auroc_is_missing_and_the_page_says_why(many):
    page = Page(classes(many).html)
    lines = page.lines("per-class")
    assert len(lines) == 1001
    assert {line["AUROC"] for line in lines} == {("–", "")}
    assert {line["test"] for line in lines} == {("1", "1")}
    assert "No AUROC is shown" in page.text


def test_the_reason_for_a_missing_auroc_is_not_given_where_there_is_one(view):
    assert "No AUROC" not in Page(classes(view).html).text


# The mistakes


def test_worst_mistakes_are_the_surest_with_at_most_three_of_two_classes():
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet(np.full(12, 0.3), 2000)
    labels, predicted = draw.integers(0, 12, 2000), probabilities.argmax(axis=1)
    found = worst_mistakes(probabilities, labels, predicted)
    expected, seen = [], Counter()
    for i in sorted(range(2000), key=lambda i: -probabilities[i].max()):
        pair = tuple(sorted((labels[i], predicted[i])))
        if labels[i] != predicted[i] and seen[pair] < 3 and len(expected) < 24:
            seen[pair] += 1
            expected.append(i)
    assert found.tolist() == expected


def test_two_classes_that_are_taken_for_each_other_are_shown_three_times():
    labels = np.array([0, 1] * 5 + [2])
    probabilities = np.eye(3)[[1, 0] * 5 + [1]]
    found = worst_mistakes(probabilities, labels, probabilities.argmax(axis=1))
    assert found.tolist() == [0, 1, 2, 10]


def sheet_of(html):
    """The sprite sheet's cells, by column and row."""
    data = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", html)[1]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    return lambda column, row: sheet[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]


def test_every_shown_picture_is_that_of_its_words(view):
    moved = changed(view, index=view.predictions.index + 4000)  # an index is no position
    html = mistakes(moved).html
    page, cell = Page(html), sheet_of(html)
    p = moved.predictions
    assert 24 < len(page.items) <= 48
    for words, place in zip(page.items, places_of(page), strict=True):
        i = int(re.search(r"Index (\d+)", words)[1]) - 4000
        assert np.array_equal(cell(*place), p.thumbnails[i])
        of_label = view.probabilities[i, p.labels[i]]
        of_predicted = view.probabilities[i, p.predicted[i]]
        assert f"Label {view.class_names[p.labels[i]]}, {100 * of_label:.1f}\u00a0%" in words
        told = f"Taken for {view.class_names[p.predicted[i]]}, {100 * of_predicted:.1f}\u00a0%"
        assert told in words


def test_labels_in_doubt_are_each_shown_once_and_all_counted(view):
    page = Page(mistakes(view).html)
    p = view.predictions
    expected = likely_label_errors(view.probabilities, p.labels).tolist()
    indices = [int(re.search(r"Index (\d+)", words)[1]) for words in page.items]
    worst = worst_mistakes(view.probabilities, p.labels, p.predicted).tolist()
    marked = [i for i, words in zip(indices, page.items, strict=True) if "in doubt" in words]
    assert indices[: len(worst)] == worst
    assert sorted(marked) == sorted(set(worst) & set(expected))
    others = [i for i in expected if i not in worst]
    assert indices[len(worst) :] == others[:24]
    told = f"{len(expected)} labels in doubt: {len(marked)} of the worst mistakes above, which say"
    assert told in page.text


def test_hostile_names_among_mistakes_are_no_elements(view):
    assert set(Page(mistakes(view).html).elements) <= {
        "style",
        "h3",
        "p",
        "ul",
        "li",
        "span",
        "div",
        "b",
    }


def test_vectors_are_listed_in_tables(tmp_path):
    view = open_run(make_run(tmp_path / "run", thumbnails=False))
    page = Page(mistakes(view).html)
    p = view.predictions
    assert "li" not in page.elements
    worst = worst_mistakes(view.probabilities, p.labels, p.predicted).tolist()
    lines = page.lines("worst-mistakes")
    assert [value(line["index in the source"]) for line in lines] == worst
    for i, line in zip(worst, lines, strict=True):
        assert line["label"][0] == view.class_names[p.labels[i]]
        assert line["taken for"][0] == view.class_names[p.predicted[i]]
        of_predicted = view.probabilities[i, p.predicted[i]]
        assert value(line["prediction's probability, %"]) == pytest.approx(100 * of_predicted)
        of_label = view.probabilities[i, p.labels[i]]
        assert value(line["label's probability, %"]) == pytest.approx(100 * of_label)
    doubted = page.lines("label-errors")
    assert {line["label in doubt"][0] for line in doubted} == {"yes"}


def test_a_right_prediction_whose_logit_rounding_made_equal_to_another_is_no_mistake(view):
    """In half precision class 1 ties with the label 2, and would be taken for its lower id."""
    p = view.predictions
    right = np.flatnonzero((p.predicted == p.labels) & (p.labels == 2))
    i = right[view.probabilities[right, 2].argmax()]
    logits = p.logits.copy()
    logits[i, 1] = logits[i, 2]
    tied = changed(view, logits=logits)
    assert i in likely_label_errors(tied.probabilities, p.labels)
    page = Page(mistakes(tied).html)
    counted = int(re.search(r"(\d+) labels in doubt", page.text)[1])
    assert counted == len(likely_label_errors(tied.probabilities, p.labels)) - 1


def test_a_run_without_a_mistake_says_so(view):
    right = changed(view, view.predictions.predicted == view.predictions.labels)
    page = Page(mistakes(right).html)
    assert "every sample of the test split was recognised" in page.text
    assert "Likely label errors" not in page.text


def test_without_predictions_there_are_no_mistakes_and_of_many_classes_the_reason(view, many):
    assert mistakes(dataclasses.replace(view, predictions=None)) is None
    page = Page(mistakes(many).html)
    assert page.elements == ["p"]
    assert "Nothing is shown" in page.text


def test_a_model_that_doubts_many_labels_is_believed_about_none(view, monkeypatch):
    doubted = len(likely_label_errors(view.probabilities, view.predictions.labels))
    monkeypatch.setattr("longtail.report.sections.mistakes.MOST_DOUBTED", doubted / 201)
    page = Page(mistakes(view).html)
    assert f"None is listed: {doubted} of all labels would be in doubt" in page.text
    assert "Label in doubt" not in page.text
    assert len(page.items) == 24
