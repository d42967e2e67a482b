"""Which points a map shows, and that it is the same map twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import DataError, UsageError
from longtail.metrics.embedding import choose_points, tsne_map

COUNTS = (500, 300, 90, 60, 15, 5)  # two many, two medium, two few


def kept(sizes, limit, counts=COUNTS, seed=0):
    labels = np.random.RandomState(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    chosen = choose_points(labels, counts, limit=limit, seed=seed)
    assert np.array_equal(chosen, np.unique(chosen))
    return np.bincount(labels[chosen], minlength=len(sizes)).tolist()


def test_the_rarest_classes_are_kept_whole_and_the_others_share_evenly():
    assert kept([100] * 6, 400) == [50, 50, 50, 50, 100, 100]


def test_the_few_take_at_most_half_while_others_need_their_place():
    assert kept([100] * 6, 200) == [25, 25, 25, 25, 50, 50]
    assert kept([10, 10, 10, 10, 100, 100], 200) == [10, 10, 10, 10, 80, 80]


def test_what_fits_is_kept_whole():
    assert kept([3, 0, 9, 2, 1, 0], 3000) == [3, 0, 9, 2, 1, 0]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), min_size=6, max_size=6), st.integers(1, 260))
def test_as_many_are_chosen_as_may_be_and_no_class_twice_as_often_as_an_equal_one(sizes, limit):
    numbers = kept(sizes, limit)
    assert sum(numbers) == min(limit, sum(sizes))
    for half in ((0, 1, 2, 3), (4, 5)):
        cut_short = [numbers[c] for c in half if numbers[c] < sizes[c]]
        assert not cut_short or max(cut_short) - min(cut_short) <= 1


def test_the_choice_is_the_same_for_equal_seeds_alone():
    labels = np.repeat(np.arange(6), 50)
    first = choose_points(labels, COUNTS, limit=60, seed=3)
    assert np.array_equal(first, choose_points(labels, COUNTS, limit=60, seed=3))
    assert not np.array_equal(first, choose_points(labels, COUNTS, limit=60, seed=4))
    with pytest.raises(UsageError, match="0 points"):
        choose_points(labels, COUNTS, limit=0)


def test_a_map_is_made_again_alike_and_keeps_far_groups_apart():
    draw = np.random.RandomState(0)
    rows = np.repeat(np.eye(3), 20, axis=0) + 0.05 * draw.randn(60, 3)
    points = tsne_map(rows, seed=1)
    assert points.dtype == np.float32
    assert np.array_equal(points, tsne_map(rows, seed=1))
    # The length of a row is nothing to it.
    assert np.allclose(points, tsne_map(rows * 4, seed=1))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert np.array_equal(distances.argmin(1) // 20, np.arange(60) // 20)


@pytest.mark.parametrize("rows", [np.eye(3), np.full((9, 2), np.nan), np.zeros(8)])
def test_rows_that_make_no_map_are_refused(rows):
    with pytest.raises(DataError, match="at least 4 finite rows"):
        tsne_map(rows)
