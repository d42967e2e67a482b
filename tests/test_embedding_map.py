"""Which points a map shows, and that t-SNE puts them where it did before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import DataError, UsageError
from longtail.metrics import choose_points, tail_classes, tsne_map

CIFAR10 = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
CIFAR100 = [int(500 * 100 ** (-c / 99)) for c in range(100)]


def balanced(classes, each):
    return np.random.default_rng(0).permutation(np.repeat(np.arange(classes), each))


def sizes_of(labels, chosen, classes):
    return np.bincount(np.asarray(labels)[chosen], minlength=classes)


def blobs(points=150):
    labels = np.arange(points) % 3
    return np.eye(3, 16)[labels] + 0.1 * np.random.default_rng(3).normal(size=(points, 16)), labels


@pytest.mark.parametrize(
    ("counts", "tail"),
    [
        ([500, 7, 60, 3], [1, 3]),
        (CIFAR10, [7, 8, 9]),
        ([30, 20, 25, 20, 90], [1, 2, 3]),
        ([5, 3, 9, 2, 7], [0, 1, 3]),
        ([5, 9], [0]),
        ([5], []),
    ],
    ids=["few", "no few", "ties", "all few", "two", "one"],
)
def test_the_tail_is_the_few_or_else_the_three_rarest(counts, tail):
    assert tail_classes(counts) == tail


def test_all_points_of_the_tail_are_kept_where_they_fill_no_more_than_half():
    labels = np.repeat([0, 1, 2, 3], [4000, 900, 700, 300])
    chosen = choose_points(labels, [900, 90, 50, 5], limit=1000)
    assert sizes_of(labels, chosen, 4).tolist() == [233, 233, 234, 300]


def test_a_tail_larger_than_the_limit_leaves_half_to_the_others():
    labels = balanced(100, 100)
    drawn = sizes_of(labels, choose_points(labels, CIFAR100), 100)
    few = np.array(CIFAR100) < 20
    assert drawn.sum() == 3000
    assert set(drawn[few]) == {1500 // few.sum()}
    assert set(drawn[~few]) == {21, 22}


def test_a_head_that_leaves_room_gives_it_to_the_tail():
    labels = np.repeat([0, 1], [10, 400])
    chosen = choose_points(labels, [500, 5], limit=100)
    assert sizes_of(labels, chosen, 2).tolist() == [10, 90]


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 40)), min_size=1, max_size=8),
    st.integers(1, 250),
    st.integers(0, 3),
)
def test_the_choice_fills_the_limit_with_different_points_in_order(classes, limit, seed):
    counts, each = zip(*classes, strict=True)
    labels = np.repeat(np.arange(len(each)), each)
    chosen = choose_points(labels, counts, limit, seed)
    assert len(chosen) == min(limit, len(labels))
    assert (np.diff(chosen) > 0).all()
    drawn = sizes_of(labels, chosen, len(each))
    tail = np.isin(np.arange(len(each)), tail_classes(counts))
    for part in (tail, ~tail):
        cut = drawn[part & (drawn < each)]
        # Whoever did not get all has as many as anyone, but for the one place that was left over.
        assert (cut + 1 >= drawn[part].max(initial=0)).all()


def test_a_larger_limit_keeps_the_points_of_a_smaller_one():
    labels = balanced(10, 100)
    small, large = (choose_points(labels, CIFAR10, limit, seed=4) for limit in (200, 500))
    assert set(small) < set(large)


def test_the_choice_depends_on_the_seed_and_on_nothing_global():
    labels = balanced(10, 100)
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = choose_points(labels, CIFAR10, 300)
    np.testing.assert_array_equal(choose_points(labels, CIFAR10, 300), first)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert not np.array_equal(choose_points(labels, CIFAR10, 300, seed=1), first)


def test_a_choice_of_none_and_labels_that_are_none_are_refused():
    with pytest.raises(UsageError, match="limit is 0"):
        choose_points([0, 1], [5, 5], limit=0)
    with pytest.raises(DataError, match=r"outside 0\.\.1"):
        choose_points([0, 2], [5, 5])


def test_the_map_keeps_apart_what_is_apart():
    points, labels = blobs()
    placed = tsne_map(points)
    assert placed.shape == (150, 2)
    assert placed.dtype == np.float32
    distances = np.linalg.norm(placed[:, None] - placed, axis=2) + np.diag(np.full(150, np.inf))
    assert (labels[distances.argmin(1)] == labels).all()


def test_the_same_seed_gives_the_same_map_whatever_was_drawn_before():
    points, _ = blobs()
    first = tsne_map(points)
    np.random.seed(7)
    np.testing.assert_array_equal(tsne_map(points * 3), first)


@pytest.mark.parametrize("points", [4, 5, 12])
def test_a_handful_of_points_has_a_map(points):
    assert np.isfinite(tsne_map(blobs(points)[0])).all()


def test_a_map_of_three_points_or_of_no_directions_is_refused():
    with pytest.raises(DataError, match="map of 3 points"):
        tsne_map(np.eye(3))
    with pytest.raises(DataError, match="no direction"):
        tsne_map(np.zeros((10, 4)))


@pytest.mark.parametrize(
    ("points", "match"),
    [
        (np.ones((80, 16), np.float16), "collapsed"),
        (np.ones((80, 1)), "one dimension"),
    ],
)
def test_points_in_one_place_are_refused_before_t_sne_walks_nan(points, match):
    with pytest.raises(DataError, match=match):
        tsne_map(points)


def test_two_places_and_a_single_one_apart_have_a_map():
    apart = np.ones((40, 8))
    apart[0, 0] = -1
    assert np.isfinite(tsne_map(apart)).all()
