"""AUROC against scikit-learn, precision against counting, label errors against known flips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_score, roc_auc_score

from longtail import metrics
from longtail.errors import DataError


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@given(st.integers(0, 999), st.integers(2, 80), st.integers(1, 6), st.sampled_from([1, 4, 1000]))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_auroc_equals_scikit_learn_with_many_ties_and_without(seed, number, classes, levels):
    draw = np.random.default_rng(seed)
    scores = draw.integers(0, levels, (number, classes)) / levels
    labels = draw.integers(0, classes, number)
    for c, found in enumerate(metrics.class_auroc(scores, labels)):
        if 0 < (labels == c).sum() < number:
            assert found == pytest.approx(roc_auc_score(labels == c, scores[:, c]), abs=1e-12)
        else:
            assert np.isnan(found)


def test_auroc_is_the_share_of_pairs_in_order_and_ignores_the_scale():
    draw = np.random.default_rng(0)
    scores, labels = draw.normal(size=(60, 3)), draw.integers(0, 3, 60)
    found = metrics.class_auroc(scores, labels)
    for c in range(3):
        inside, outside = scores[labels == c, c], scores[labels != c, c]
        assert found[c] == pytest.approx((inside[:, None] > outside).mean(), abs=1e-12)
    assert np.array_equal(metrics.class_auroc(np.exp(3 * scores), labels), found)
    assert metrics.class_auroc(-scores, labels) == pytest.approx(1 - found)


def test_auroc_of_a_perfect_order_is_exactly_one_and_of_no_order_one_half():
    labels = np.repeat(np.arange(3), 7)
    assert metrics.class_auroc(np.eye(3)[labels], labels).tolist() == [1, 1, 1]
    assert metrics.class_auroc(np.ones((21, 3)), labels).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([[0.1, 0.9]], [0, 1]),
        ([0.1, 0.9], [0, 1]),
        ([[0.1, np.nan]], [0]),
        ([[0.1, 0.9]], [2]),
        ([[0.1, 0.9]], [0.5]),
    ],
)
def test_scores_and_labels_that_do_not_fit_are_refused(scores, labels):
    with pytest.raises(DataError):
        metrics.class_auroc(scores, labels)
    with pytest.raises(DataError):
        metrics.likely_label_errors(scores, labels)


@given(st.integers(0, 999), st.integers(1, 60), st.integers(2, 6))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_precision_equals_scikit_learn_and_is_missing_where_nothing_was_predicted(
    seed, number, classes
):
    draw = np.random.default_rng(seed)
    labels, predicted = draw.integers(0, classes, (2, number))
    found = metrics.precision(metrics.confusion_matrix(labels, predicted, classes))
    expected = precision_score(
        labels, predicted, labels=np.arange(classes), average=None, zero_division=np.nan
    )
    assert found == pytest.approx(expected, abs=1e-15, nan_ok=True)
    assert np.isnan(found).tolist() == [c not in predicted for c in range(classes)]


def written_out(probabilities, labels):
    """Confident learning's thresholds and the listed samples, one after the other."""
    classes = range(probabilities.shape[1])
    of = {c: [p[c] for p, y in zip(probabilities, labels, strict=True) if y == c] for c in classes}
    listed = []
    for i, (p, y) in enumerate(zip(probabilities, labels, strict=True)):
        guess = int(np.argmax(p))
        if guess != y and of[guess] and p[guess] >= np.mean(of[guess]):
            listed.append((-(p[guess] - p[y]), i))
    return [i for _, i in sorted(listed)]


@given(st.integers(0, 999), st.integers(1, 60), st.floats(0.2, 6))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_label_errors_equal_the_rule_written_out(seed, number, sharpness):
    draw = np.random.default_rng(seed)
    probabilities = softmax(sharpness * draw.normal(size=(number, 4)))
    labels = draw.integers(0, 4, number)
    found = metrics.likely_label_errors(probabilities, labels)
    assert found.tolist() == written_out(probabilities, labels)
    assert found.dtype == np.int64


def flipped(share=0.05, number=2000, classes=5, seed=0):
    """Probabilities of a decent model, labels of which a share is wrong, and which they are."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, classes, number)
    probabilities = softmax(4 * np.eye(classes)[truth] + 1.2 * draw.normal(size=(number, classes)))
    wrong = draw.random(number) < share
    return (
        probabilities,
        np.where(wrong, (truth + draw.integers(1, classes)) % classes, truth),
        wrong,
    )


def test_flipped_labels_are_found_far_above_chance_and_the_surest_are_nearly_all_flips():
    probabilities, labels, wrong = flipped()
    found = metrics.likely_label_errors(probabilities, labels)
    chance = wrong.mean()
    assert wrong[found].mean() > 15 * chance  # precision
    assert wrong[found].sum() > 0.5 * wrong.sum()  # recall
    assert wrong[found[:24]].all()


def test_right_labels_of_a_perfect_model_are_never_listed():
    labels = np.repeat(np.arange(4), 5)
    assert len(metrics.likely_label_errors(np.eye(4)[labels] * 0.6 + 0.1, labels)) == 0


def test_a_class_without_a_labelled_sample_has_no_threshold_and_lists_nothing():
    probabilities = np.array([[0.1, 0.0, 0.9], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1]])
    assert metrics.likely_label_errors(probabilities, [0, 0, 1]).tolist() == []
    assert metrics.likely_label_errors(probabilities, [0, 2, 1]).tolist() == [0, 1]


def test_a_confident_head_demands_more_of_a_sample_of_the_tail_than_one_threshold_would():
    """Two right samples of the tail are taken for the head: only one as surely as its own are."""
    head = [[0.95, 0.05]] * 20
    tail = [[0.45, 0.55]] * 3 + [[0.7, 0.3], [0.97, 0.03]]
    labels = [0] * 20 + [1] * 5
    assert metrics.likely_label_errors(head + tail, labels).tolist() == [24]


def test_a_sample_exactly_as_sure_as_the_class_is_of_its_own_is_listed():
    assert metrics.likely_label_errors([[0.75, 0.25]] * 2, [0, 1]).tolist() == [1]


def test_logits_are_refused():
    with pytest.raises(DataError, match="not logits"):
        metrics.likely_label_errors([[2.0, -1.0]], [0])
