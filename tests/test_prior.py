"""Class counts, their checks, and what follows from them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import DataError
from longtail.prior import (
    FEW_BELOW,
    GROUPS,
    MANY_ABOVE,
    as_counts,
    group_of,
    groups,
    imbalance_ratio,
    log_prior,
)

some_counts = st.lists(st.integers(0, 10**6), min_size=1, max_size=30).filter(any)
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
    for read in (as_counts, log_prior, imbalance_ratio, groups):
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
