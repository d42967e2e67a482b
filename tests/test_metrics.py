"""Metrics against scikit-learn, torchmetrics, scipy, hand-worked numbers and their own algebra."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional.classification import multiclass_accuracy

from longtail import metrics
from longtail.errors import DataError, UsageError

LABELS = np.random.default_rng(0).integers(0, 7, 400)
PREDICTIONS = np.where(np.random.default_rng(1).random(400) < 0.6, LABELS, (LABELS * 3 + 1) % 7)
CONFUSION = metrics.confusion_matrix(LABELS, PREDICTIONS, 7)
# Class 1 has no sample and class 2 is never recognised.
WITH_GAPS = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 0]])


def confusions(min_correct=0):
    """Square matrices with at least one sample a class, of which `min_correct` recognised."""

    def build(rows):
        matrix = np.array(rows, np.int64)
        return matrix + np.eye(len(rows), dtype=np.int64) * min_correct

    cells = st.integers(0, 20)
    square = st.integers(1, 6).flatmap(
        lambda c: st.lists(st.lists(cells, min_size=c, max_size=c), min_size=c, max_size=c)
    )
    return square.map(build).filter(lambda m: (m.sum(axis=1) > 0).all())


def test_confusion_matrix_equals_scikit_learn():
    expected = sklearn_metrics.confusion_matrix(LABELS, PREDICTIONS, labels=range(7))
    np.testing.assert_array_equal(CONFUSION, expected)
    assert CONFUSION.dtype == np.int64


def test_rows_of_the_confusion_matrix_are_true_classes():
    np.testing.assert_array_equal(metrics.confusion_matrix([0, 0], [1, 1], 2), [[0, 2], [0, 0]])


def test_accuracies_equal_scikit_learn():
    assert metrics.accuracy(CONFUSION) == pytest.approx(
        sklearn_metrics.accuracy_score(LABELS, PREDICTIONS), abs=1e-15
    )
    assert metrics.balanced_accuracy(CONFUSION) == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(LABELS, PREDICTIONS), abs=1e-15
    )


def test_accuracies_equal_torchmetrics():
    true, predicted = torch.from_numpy(LABELS), torch.from_numpy(PREDICTIONS)
    macro = multiclass_accuracy(predicted, true, num_classes=7, average="macro")
    each = multiclass_accuracy(predicted, true, num_classes=7, average="none")
    assert metrics.balanced_accuracy(CONFUSION) == pytest.approx(macro.item(), abs=1e-6)
    np.testing.assert_allclose(metrics.per_class_accuracy(CONFUSION), each.numpy(), atol=1e-6)


def test_harmonic_mean_equals_the_hand_worked_value():
    half_and_quarter = np.array([[2, 2], [3, 1]])
    assert metrics.harmonic_mean_accuracy(half_and_quarter) == pytest.approx(1 / 3, abs=1e-15)


def test_a_class_of_one_sample_is_either_right_or_wrong():
    np.testing.assert_array_equal(metrics.per_class_accuracy(np.array([[1, 0], [1, 0]])), [1, 0])


def test_absent_classes_are_nan_left_out_of_means_and_counted():
    per_class = metrics.per_class_accuracy(WITH_GAPS)
    np.testing.assert_array_equal(per_class, [0.75, np.nan, 0.0])
    assert metrics.balanced_accuracy(WITH_GAPS) == 0.375
    assert metrics.absent_classes(WITH_GAPS) == 1


def test_a_class_at_zero_makes_the_harmonic_mean_zero_and_is_counted():
    assert metrics.harmonic_mean_accuracy(WITH_GAPS) == 0.0
    assert metrics.zero_classes(WITH_GAPS) == 1
    without_it = WITH_GAPS * np.array([[1], [1], [0]])
    assert metrics.harmonic_mean_accuracy(without_it) == 0.75
    assert metrics.zero_classes(without_it) == 0


def test_predicting_an_absent_class_counts_as_wrong():
    confusion = metrics.confusion_matrix([0, 0], [0, 2], 3)
    assert metrics.accuracy(confusion) == 0.5
    assert metrics.absent_classes(confusion) == 2


def test_groups_average_classes_and_not_pictures():
    per_class = np.array([0.9, 0.5, 0.1, 0.2, 0.6])
    group = metrics.group_accuracy(per_class, [101, 100, 20, 19, 500])
    assert group == {"many": pytest.approx(0.75), "medium": pytest.approx(0.3), "few": 0.2}


@pytest.mark.parametrize(
    ("per_class", "counts"), [([0.5], [500]), ([0.5, np.nan], [500, 3])], ids=["empty", "absent"]
)
def test_a_group_without_a_measured_class_is_none(per_class, counts):
    assert metrics.group_accuracy(np.array(per_class), counts)["few"] is None


def test_summary_holds_every_metric_of_the_split():
    found = metrics.summarise([0, 0, 0, 0, 2, 2], [0, 0, 0, 1, 0, 0], [500, 50, 5, 200])
    assert found == metrics.SplitMetrics(
        accuracy=0.5,
        balanced_accuracy=0.375,
        harmonic_mean_accuracy=0.0,
        many=0.75,
        medium=None,
        few=0.0,
        zero_classes=1,
        absent_classes=2,
        per_class=(0.75, None, 0.0, None),
    )


@settings(derandomize=True, deadline=None)
@given(confusions())
def test_harmonic_mean_lies_between_zero_and_the_balanced_accuracy(confusion):
    harmonic = metrics.harmonic_mean_accuracy(confusion)
    balanced = metrics.balanced_accuracy(confusion)
    assert 0 <= harmonic <= balanced + 1e-12
    assert balanced <= 1
    assert (harmonic == 0) == (metrics.zero_classes(confusion) > 0)


@settings(derandomize=True, deadline=None)
@given(confusions(min_correct=1), st.randoms(use_true_random=False))
def test_renaming_the_classes_changes_no_number(confusion, random):
    order = list(range(len(confusion)))
    random.shuffle(order)
    renamed = confusion[np.ix_(order, order)]
    for name, metric in metrics.METRICS.items():
        assert metric(renamed) == pytest.approx(metric(confusion), abs=1e-12), name


@settings(derandomize=True, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_samples_changes_no_number(random):
    order = list(range(len(LABELS)))
    random.shuffle(order)
    counts = [500, 200, 100, 50, 20, 10, 5]
    assert metrics.summarise(LABELS[order], PREDICTIONS[order], counts) == metrics.summarise(
        LABELS, PREDICTIONS, counts
    )


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 300), st.data(), st.floats(0.5, 0.999))
def test_wilson_interval_equals_scipy(total, data, confidence):
    correct = data.draw(st.integers(0, total))
    low, high = metrics.wilson_interval(correct, total, confidence)
    expected = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose((low, high), (expected.low, expected.high), atol=1e-12)
    assert 0 <= low <= correct / total <= high <= 1


def test_wilson_interval_is_exact_where_none_or_all_were_correct():
    total = np.arange(1, 301)
    low, high = metrics.wilson_interval(np.zeros(300), total)
    assert not low.any()
    assert high[9] == pytest.approx(0.27753, abs=1e-5)  # z^2 / (n + z^2)
    assert (metrics.wilson_interval(total, total)[1] == 1).all()


def test_wilson_interval_knows_nothing_of_no_sample():
    assert metrics.wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 3], [0, 0], "1 labels are outside 0..2, the first 3 at position 1"),
        ([0, 0], [0, -1], "1 predictions are outside 0..2, the first -1 at position 1"),
        ([0, 0], [0], "2 labels but 1 predictions"),
        ([0.0], [0], "labels have shape \\(1,\\) and type float64"),
        ([[0]], [0], "labels have shape \\(1, 1\\)"),
    ],
)
def test_confusion_matrix_names_what_does_not_fit(labels, predictions, message):
    with pytest.raises(DataError, match=message):
        metrics.confusion_matrix(labels, predictions, 3)


def test_a_split_without_a_sample_is_refused():
    with pytest.raises(DataError, match="no labelled sample"):
        metrics.summarise([], [], [5, 3])


def test_group_accuracy_refuses_counts_of_other_classes():
    with pytest.raises(DataError, match="2 class accuracies but 3 class counts"):
        metrics.group_accuracy(np.array([0.5, 0.5]), [3, 2, 1])


@pytest.mark.parametrize(("correct", "total"), [(11, 10), (-1, 10)])
def test_wilson_interval_refuses_impossible_counts(correct, total):
    with pytest.raises(DataError, match="between 0 and total"):
        metrics.wilson_interval(correct, total)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_wilson_interval_refuses_a_confidence_that_is_none(confidence):
    with pytest.raises(UsageError, match="between 0 and 1"):
        metrics.wilson_interval(1, 2, confidence)


@pytest.mark.cli
def test_metrics_and_record_import_no_heavy_library():
    code = (
        "import sys, longtail.metrics, longtail.record;"
        "heavy = {'torch', 'sklearn', 'pydantic', 'scipy', 'matplotlib'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
