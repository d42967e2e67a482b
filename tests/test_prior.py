"""Class counts, their checks, and what follows from them."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import DataError, UsageError
from longtail.prior import (
    FEW_BELOW,
    GROUPS,
    MANY_ABOVE,
    as_counts,
    effective_number_weights,
    group_of,
    groups,
    imbalance_ratio,
    ldam_margins,
    log_prior,
)

some_counts = st.lists(st.integers(0, 10**6), min_size=1, max_size=30).filter(any)
weights = partial(effective_number_weights, beta=0.99)
quick = settings(max_examples=50, derandomize=True, deadline=None)


@pytest.mark.parametrize(
    "counts", [[3, 0, 1], (3, 0, 1), np.array([3, 0, 1], np.uint8), np.array([3.0, 0.0, 1.0])]
)
def test_counts_of_every_kind_become_int64(counts):
    checked = as_counts(counts)
    assert checked.dtype == np.int64
    assert checked.tolist() == [3, 0, 1]


def test_checked_counts_are_not_the_callers_array():
    mine = np.array([3, 1])
    as_counts(mine)[0] = 99
    assert mine.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([], r"shape \(0,\)"),
        (5, r"shape \(\)"),
        ([[1, 2]], r"shape \(1, 2\)"),
        ([0.5, 0.5], "counts, not rates"),
        ([2, -1], "at least 0"),
        ([2, math.nan], "whole numbers"),
        ([2, math.inf], "whole numbers"),
        ([0, 0], "all 0"),
    ],
    ids=str,
)
def test_counts_that_are_no_counts_are_refused(counts, message):
    for read in (as_counts, log_prior, imbalance_ratio, groups, ldam_margins, weights):
        with pytest.raises(DataError, match=message):
            read(counts)


@quick
@given(counts=some_counts)
def test_the_prior_is_a_distribution_in_proportion_to_the_counts(counts):
    prior = np.exp(log_prior(counts))
    assert prior.sum() == pytest.approx(1.0)
    floored = [max(n, 1) for n in counts]
    assert prior.tolist() == pytest.approx([n / sum(floored) for n in floored])


@quick
@given(counts=st.lists(st.integers(1, 10**6), min_size=1, max_size=30), factor=st.integers(1, 99))
def test_the_prior_and_the_imbalance_see_only_proportions(counts, factor):
    scaled = [factor * n for n in counts]
    assert log_prior(scaled).tolist() == pytest.approx(log_prior(counts).tolist(), abs=1e-9)
    assert imbalance_ratio(scaled) == pytest.approx(imbalance_ratio(counts))


@quick
@given(counts=some_counts, beta=st.sampled_from(["0", "0.5", "0.9", "0.9999", "0.999999"]))
def test_effective_number_weights_are_those_of_exact_fractions(counts, beta):
    b = Fraction(beta)
    raw = [float((1 - b) / (1 - b ** min(max(n, 1), 999))) for n in counts]
    expected = [w * len(raw) / sum(raw) for w in raw]
    found = effective_number_weights([min(n, 999) for n in counts], float(beta))
    assert found.dtype == np.float64
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_a_beta_of_zero_weighs_alike_and_one_near_one_by_the_inverse_count():
    assert effective_number_weights([500, 5], 0.0).tolist() == [1, 1]
    many, few = effective_number_weights([500, 5], 1 - 1e-9)
    assert few / many == pytest.approx(100, rel=1e-4)


def test_effective_number_weights_of_cifar100_lt():
    counts = [int(500 * 100 ** (-c / 99)) for c in range(100)]
    found = effective_number_weights(counts, 0.9999)
    assert (found.min(), found.max()) == (
        pytest.approx(0.045, abs=5e-4),
        pytest.approx(4.38, abs=5e-3),
    )
    assert found.sum() == pytest.approx(100)


@pytest.mark.parametrize("beta", [-0.1, 1.0, 1.5, math.nan])
def test_a_beta_outside_its_range_is_refused(beta):
    with pytest.raises(UsageError, match=r"beta is .* at least 0 and below 1"):
        effective_number_weights([5, 3], beta)


def test_ldam_margins_fall_with_the_fourth_root_of_the_count():
    assert ldam_margins([81, 1, 16, 0], 0.6).tolist() == pytest.approx([0.2, 0.6, 0.3, 0.6])
    counts = [int(500 * 100 ** (-c / 99)) for c in range(100)]
    margins = ldam_margins(counts)
    assert (margins[0], margins[-1]) == (pytest.approx(0.158, abs=5e-4), 0.5)


@pytest.mark.parametrize(
    ("counts", "ratio"), [([500, 5], 100.0), ([5, 500], 100.0), ([7, 7], 1.0), ([8, 0, 2], 4.0)]
)
def test_the_imbalance_is_the_largest_over_the_smallest_class_with_a_picture(counts, ratio):
    assert imbalance_ratio(counts) == ratio


@pytest.mark.parametrize(
    ("count", "group"),
    [(0, "few"), (19, "few"), (20, "medium"), (100, "medium"), (101, "many"), (5000, "many")],
)
def test_the_group_borders_are_those_of_imagenet_lt(count, group):
    assert group_of(count) == group
    assert (MANY_ABOVE, FEW_BELOW) == (100, 20)


@quick
@given(counts=some_counts)
def test_every_class_is_in_its_group_and_in_no_other(counts):
    found = groups(counts)
    assert tuple(found) == GROUPS
    for name, members in found.items():
        assert members == [c for c, n in enumerate(counts) if group_of(n) == name]


def test_cifar100_lt_at_100_splits_into_35_35_30():
    counts = [int(500 * 100 ** (-c / 99)) for c in range(100)]
    assert sum(counts) == 10_847
    assert [len(members) for members in groups(counts).values()] == [35, 35, 30]
