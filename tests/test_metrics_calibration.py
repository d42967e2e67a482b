"""Calibration against torchmetrics, loops, hand-worked numbers and a grid search."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from longtail import metrics
from longtail.errors import DataError, UsageError
from longtail.metrics.calibration import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE

COUNTS = (500, 60, 7, 300)


def made_up(number: int = 500, sharpness: float = 1.0, seed: int = 0):
    """Logits times a sharpness, and labels drawn from their softmax before it."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(number, 4)) * 1.5
    labels = (softmax(logits).cumsum(axis=1) < draw.random((number, 1))).sum(axis=1)
    return logits * sharpness, np.minimum(labels, 3)


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def loss_at(temperature, logits, labels, offset=0.0):
    probabilities = softmax(logits / temperature + offset)
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


@given(st.integers(0, 999), st.integers(1, 40), st.floats(0.2, 5))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_the_calibration_error_equals_torchmetrics(seed, bins, sharpness):
    logits, labels = made_up(100, sharpness, seed)
    probabilities = softmax(logits)
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels), 4, n_bins=bins, norm="l1"
    )
    found = metrics.expected_calibration_error(probabilities, labels, bins)
    assert found == pytest.approx(expected.item(), abs=1e-5)


def test_the_calibration_error_equals_a_loop_with_half_open_bins():
    probabilities, labels = softmax(made_up()[0]), made_up()[1]
    # On the edge of two bins (exactly, as a power of two), which the lower one holds.
    probabilities[:40] = [0.5, 0.25, 0.125, 0.125]
    total = 0.0
    for lower in range(4):
        rows = [
            (row.max(), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if lower / 4 < row.max() <= (lower + 1) / 4
        ]
        if rows:
            confidence, accuracy = np.mean(rows, axis=0)
            total += len(rows) / len(labels) * abs(accuracy - confidence)
    assert metrics.expected_calibration_error(probabilities, labels, 4) == pytest.approx(total)


def test_reliability_is_the_means_of_the_bins_that_hold_a_picture():
    draw = np.random.default_rng(0)
    largest = np.concatenate([0.5 + draw.random(200) / 2, [1.0, 8 / 15, 9 / 15]])
    labels = draw.integers(0, 2, len(largest))
    found = metrics.reliability(np.stack([largest, 1 - largest], axis=1), labels)
    bins = [(largest > m / 15) & (largest <= (m + 1) / 15) for m in range(15)]
    held = [inside for inside in bins if inside.any()]
    assert found.number.tolist() == [inside.sum() for inside in held]
    assert found.confidence == pytest.approx([largest[inside].mean() for inside in held])
    assert found.accuracy == pytest.approx([(labels[inside] == 0).mean() for inside in held])


def test_one_bin_is_the_gap_of_the_means_and_many_can_only_add():
    probabilities, labels = softmax(made_up()[0]), made_up()[1]
    gap = abs(probabilities.max(axis=1).mean() - (probabilities.argmax(axis=1) == labels).mean())
    assert metrics.expected_calibration_error(probabilities, labels, 1) == pytest.approx(gap)
    assert metrics.expected_calibration_error(probabilities, labels, 15) >= gap - 1e-12


def test_groups_are_measured_on_the_pictures_of_their_true_classes():
    probabilities, labels = softmax(made_up()[0]), made_up()[1]
    found = metrics.group_reliability(probabilities, labels, COUNTS)
    errors = metrics.group_calibration_error(probabilities, labels, COUNTS)
    assert list(found) == ["many", "medium", "few"]
    for group, classes in {"many": (0, 3), "medium": (1,), "few": (2,)}.items():
        mask = [label in classes for label in labels]
        expected = metrics.reliability(probabilities[mask], labels[mask])
        np.testing.assert_allclose(found[group], expected)
        assert errors[group] == pytest.approx(expected.error)


def test_a_group_without_a_picture_has_no_calibration_error():
    found = metrics.group_calibration_error([[0.5, 0.5]], [0], [500, 7])
    assert found == {"many": 0.5, "medium": None, "few": None}


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_is_the_best_of_a_fine_grid(sharpness):
    logits, labels = made_up(sharpness=sharpness)
    grid = np.geomspace(0.05, 20, 4001)
    best = grid[np.argmin([loss_at(t, logits, labels) for t in grid])]
    found = metrics.fit_temperature(logits, labels)
    assert found == pytest.approx(best, rel=2e-3)
    assert loss_at(found, logits, labels) <= loss_at(best, logits, labels) + 1e-12


def test_the_temperature_undoes_a_known_sharpness_and_calibrates():
    logits, labels = made_up(20000, sharpness=3.0)
    temperature = metrics.fit_temperature(logits, labels)
    assert temperature == pytest.approx(3, rel=0.03)
    fresh, fresh_labels = made_up(20000, sharpness=3.0, seed=1)
    before = metrics.expected_calibration_error(softmax(fresh), fresh_labels)
    after = metrics.expected_calibration_error(softmax(fresh / temperature), fresh_labels)
    assert before > 0.15
    assert after < 0.015


def test_an_offset_keeps_the_prior_out_of_the_temperature():
    logits, labels = made_up(20000, sharpness=2.0)
    offset = np.array([1.5, -1.0, 0.5, -1.0])
    # As trained under another prior: logits that the offset takes to those of the labels.
    moved = logits - 2.0 * offset
    with_offset = metrics.fit_temperature(moved, labels, offset=offset)
    assert with_offset == pytest.approx(2, rel=0.03)
    assert metrics.fit_temperature(moved, labels) > 2.5


def test_a_holdout_that_is_always_or_never_right_gives_a_bound():
    close = np.array([[0.02, 0.0], [0.0, 0.02]])
    assert metrics.fit_temperature(close, [0, 1]) == pytest.approx(LOWEST_TEMPERATURE, rel=1e-3)
    assert metrics.fit_temperature(close, [1, 0]) == pytest.approx(HIGHEST_TEMPERATURE, rel=1e-3)
    # So far apart that every low temperature is as likely: any will do, if it is a number.
    far = metrics.fit_temperature(1000 * close, [0, 1])
    assert LOWEST_TEMPERATURE <= far < 1


@given(st.permutations(range(4)))
@settings(derandomize=True, deadline=None, max_examples=10)
def test_relabelling_classes_changes_nothing(order):
    logits, labels = made_up(200)
    inverse = np.argsort(order)
    relabelled, renamed = logits[:, order], inverse[labels]
    assert metrics.fit_temperature(relabelled, renamed) == pytest.approx(
        metrics.fit_temperature(logits, labels), rel=1e-4
    )
    assert metrics.group_calibration_error(
        softmax(relabelled), renamed, np.array(COUNTS)[order]
    ) == pytest.approx(metrics.group_calibration_error(softmax(logits), labels, COUNTS))


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[2.0, -1.0]], [0], "not logits"),
        ([[0.5, 0.2]], [0], "sum to 1"),
        ([[0.5, 0.5]], [0, 1], "2 labels but 1 rows"),
        ([[0.5, 0.5]], [2], "outside"),
        ([[math.nan, 0.5]], [0], "finite"),
        (np.zeros((0, 2)), [], "shape"),
    ],
)
def test_what_has_no_calibration_is_refused(probabilities, labels, message):
    with pytest.raises(DataError, match=message):
        metrics.expected_calibration_error(probabilities, np.array(labels, int))


def test_wrong_bins_counts_and_offsets_are_refused():
    with pytest.raises(UsageError, match="bins"):
        metrics.expected_calibration_error([[0.5, 0.5]], [0], 0)
    with pytest.raises(DataError, match="training counts"):
        metrics.group_calibration_error([[0.5, 0.5]], [0], [1, 2, 3])
    with pytest.raises(DataError, match="offset"):
        metrics.fit_temperature([[0.5, 0.5]], [0], offset=[1, 2, 3])
    with pytest.raises(DataError, match="offset"):
        metrics.fit_temperature([[0.5, 0.5]], [0], offset=[0, -math.inf])
