"""Geometry of embeddings against slow loops, known arrangements and what may not change it."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from longtail import metrics
from longtail.errors import DataError, UsageError
from longtail.metrics import geometry as module
from longtail.metrics.geometry import (
    Geometry,
    alignment,
    centroid_angles,
    geometry_of,
    neighbourhood_purity,
    scatter,
    uniformity,
)

RNG = np.random.default_rng(0)
# Classes of 9, 30, 0, 1 and 25 points: class 0 is smaller than a neighbourhood of 10.
LABELS = RNG.permutation(np.repeat([0, 1, 3, 4], [9, 30, 1, 25]))
COUNTS = [500, 50, 40, 7, 3]
POINTS = (RNG.normal(size=(5, 6))[LABELS] + RNG.normal(size=(65, 6))) * RNG.uniform(1, 9, (65, 1))
UNIT = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)


def simplex(corners, width):
    """Corners of a regular simplex about the origin, turned at random."""
    centred = np.eye(corners) - 1 / corners
    flat = np.linalg.svd(centred)[0][:, : corners - 1] * math.sqrt(corners / (corners - 1))
    padded = np.pad(flat, ((0, 0), (0, width - corners + 1)))
    return padded @ rotation(width)


def rotation(width):
    return np.linalg.qr(np.random.default_rng(1).normal(size=(width, width)))[0]


def numbers(found):
    """Every field of a Geometry as one row of floats, None as NaN."""
    values = itertools.chain.from_iterable(
        v if isinstance(v, tuple) else (v,) for v in dataclasses.astuple(found)
    )
    return np.array([math.nan if v is None else v for v in values], np.float64)


def test_alignment_equals_a_loop_over_pairs():
    expected = np.full(5, np.nan)
    for label in (0, 1, 4):
        pairs = itertools.combinations(UNIT[label == LABELS], 2)
        expected[label] = np.mean([np.sum((x - y) ** 2) for x, y in pairs])
    np.testing.assert_allclose(alignment(POINTS, LABELS, 5), expected, rtol=1e-12)


def test_uniformity_equals_a_loop_over_pairs():
    pairs = itertools.combinations(UNIT, 2)
    expected = math.log(np.mean([math.exp(-2 * np.sum((x - y) ** 2)) for x, y in pairs]))
    assert uniformity(POINTS) == pytest.approx(expected, rel=1e-12)


def test_scatter_equals_the_traces_of_the_scatter_matrices():
    means = {label: UNIT[label == LABELS].mean(0) for label in (0, 1, 3, 4)}
    centre = np.mean(list(means.values()), axis=0)
    between = np.mean([np.trace(np.outer(m - centre, m - centre)) for m in means.values()])
    covariances = [np.cov(UNIT[label == LABELS].T, ddof=0) for label in (0, 1, 4)]
    found = scatter(POINTS, LABELS, 5)
    assert found == pytest.approx((np.mean([np.trace(c) for c in covariances]), between))


def test_scatters_of_equal_classes_add_up_to_the_total():
    labels = np.repeat([0, 1, 2], 20)
    total = np.trace(np.cov(UNIT[:60].T, ddof=0))
    assert sum(scatter(POINTS[:60], labels, 3)) == pytest.approx(total, rel=1e-12)


def test_angles_equal_the_arc_cosine_of_each_pair_of_means():
    means = [UNIT[label == LABELS].mean(0) for label in (0, 1, 3, 4)]
    expected = [
        math.degrees(math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
        for a, b in itertools.combinations(means, 2)
    ]
    np.testing.assert_allclose(centroid_angles(POINTS, LABELS, 5), expected, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 10, 28])
def test_purity_equals_a_loop_over_sorted_neighbours(k):
    shares = {0: [], 1: [], 4: []}
    for i in np.flatnonzero(LABELS != 3):
        others = [j for j in np.argsort(-(UNIT @ UNIT[i]), kind="stable") if j != i]
        nearest = others[: min(k, sum(LABELS[i] == LABELS) - 1)]
        shares[LABELS[i]].append(np.mean(LABELS[nearest] == LABELS[i]))
    expected = [np.mean(shares[0]), np.mean(shares[1]), np.nan, np.nan, np.mean(shares[4])]
    np.testing.assert_allclose(neighbourhood_purity(POINTS, LABELS, 5, k), expected, rtol=1e-12)


def test_blocks_change_nothing(monkeypatch):
    whole = geometry_of(POINTS, LABELS, COUNTS)
    monkeypatch.setattr(module, "_BLOCK", 7)
    np.testing.assert_allclose(numbers(geometry_of(POINTS, LABELS, COUNTS)), numbers(whole))


@pytest.mark.parametrize(("classes", "width"), [(2, 1), (3, 2), (10, 128), (10, 9)])
def test_a_simplex_deviates_by_nothing(classes, width):
    labels = np.repeat(np.arange(classes), 12)
    found = geometry_of(simplex(classes, width)[labels], labels, np.full(classes, 50))
    assert found.simplex_angle == pytest.approx(math.degrees(math.acos(-1 / (classes - 1))))
    assert (found.simplex_max, found.angle_spread) == pytest.approx((0, 0), abs=1e-5)
    assert found.smallest_angle == pytest.approx(found.simplex_angle)
    assert (found.alignment, found.within, found.ratio) == pytest.approx((0, 0, 0), abs=1e-12)
    assert (found.between, found.purity) == pytest.approx((1, 1))


def test_more_classes_than_a_simplex_has_corners_have_a_spread_but_no_deviation():
    labels = np.arange(4).repeat(5)
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    found = geometry_of(square[labels], labels, [9] * 4)
    assert (found.simplex_angle, found.simplex_mean, found.simplex_max) == (None, None, None)
    assert found.smallest_angle == pytest.approx(90)
    assert found.mean_angle == pytest.approx(120)
    assert found.angle_spread == pytest.approx(math.sqrt(1800))


def test_a_simplex_with_one_corner_moved_deviates_by_as_much():
    corners = simplex(3, 2)
    turn = math.radians(10)
    corners[2] = corners[2] @ [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    found = geometry_of(corners[[0, 0, 1, 1, 2, 2]], [0, 0, 1, 1, 2, 2], [5, 5, 5])
    assert (found.simplex_mean, found.simplex_max) == pytest.approx((20 / 3, 10))


def test_directions_at_random_are_uniform_and_pure_by_chance_only():
    points = np.random.default_rng(2).normal(size=(2000, 128))
    labels = np.arange(2000) % 10
    found = geometry_of(points, labels, [100] * 10)
    # A mean of exp(4 x.y - 4) whose x.y is about normal with variance 1/128.
    assert found.uniformity == pytest.approx(-4 + 8 / 128, abs=0.01)
    assert found.alignment == pytest.approx(2, abs=0.01)
    assert found.purity == pytest.approx(199 / 1999, abs=0.01)


def test_uniformity_of_a_circle_equals_the_bessel_function():
    angles = np.linspace(0, 2 * np.pi, 1500, endpoint=False)
    expected = math.log(np.i0(4.0)) - 4
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    assert uniformity(circle) == pytest.approx(expected, abs=0.01)


def test_a_collapse_to_one_point_is_pure_by_chance_whatever_the_order_of_the_file():
    labels = np.arange(5).repeat(20)
    found = geometry_of(np.tile(RNG.normal(size=16), (100, 1)), labels, [50] * 5)
    assert found.purity == pytest.approx(19 / 99)
    assert (found.alignment, found.uniformity) == pytest.approx((0, 0), abs=1e-9)
    assert found.smallest_angle == pytest.approx(0, abs=1e-5)
    assert found.ratio is None


def test_a_point_outside_its_class_is_seen_in_its_class_alone():
    labels = np.array([0] * 12 + [1] * 12)
    points = np.eye(2)[labels]
    points[0] = [0, 1]
    pure = neighbourhood_purity(points, labels, 2)
    assert pure == pytest.approx([11 / 12, (12 * 10 * 11 / 12) / 120])


@pytest.mark.parametrize("change", ["turned", "stretched", "shuffled", "half"])
def test_what_is_no_change_of_shape_changes_no_number(change):
    order = RNG.permutation(len(LABELS)) if change == "shuffled" else np.arange(len(LABELS))
    changed = {
        "turned": lambda: POINTS @ rotation(6),
        "stretched": lambda: POINTS * RNG.uniform(0.1, 30, (65, 1)),
        "shuffled": lambda: POINTS[order],
        "half": lambda: np.float32(POINTS),
    }[change]()
    found = geometry_of(changed, LABELS[order], COUNTS)
    expected = numbers(geometry_of(POINTS, LABELS, COUNTS))
    np.testing.assert_allclose(numbers(found), expected, rtol=1e-5, atol=1e-7)


def test_renaming_the_classes_renames_their_numbers_and_changes_no_other():
    new_name = np.array([3, 0, 4, 1, 2])
    renamed = geometry_of(POINTS, new_name[LABELS], np.array(COUNTS)[np.argsort(new_name)])
    found = geometry_of(POINTS, LABELS, COUNTS)
    for name in ("per_class_alignment", "per_class_purity"):
        before, after = getattr(found, name), getattr(renamed, name)
        expected = np.array(before, np.float64)
        np.testing.assert_allclose(np.array(after, np.float64)[new_name], expected, rtol=1e-12)
    shared = [f.name for f in dataclasses.fields(Geometry) if not f.name.startswith("per_class")]
    assert [getattr(renamed, n) for n in shared] == pytest.approx(
        [getattr(found, n) for n in shared], rel=1e-9
    )


def test_groups_follow_the_training_counts_and_leave_out_what_is_not_defined():
    found = geometry_of(POINTS, LABELS, COUNTS)
    pure = found.per_class_purity
    assert (found.many, found.medium, found.few) == (pure[0], pure[1], pure[4])
    assert found.purity == pytest.approx((pure[0] + pure[1] + pure[4]) / 3)
    assert (found.points, found.width, found.classes) == (65, 6, 4)
    assert pure[2:4] == found.per_class_alignment[2:4] == (None, None)


def test_one_point_has_nothing_that_is_defined():
    found = geometry_of([[3.0, 4.0]], [1], [5, 5])
    given = {"points": 1, "width": 2, "classes": 1}
    rest = {f.name: getattr(found, f.name) for f in dataclasses.fields(Geometry)}
    assert {name: rest.pop(name) for name in given} == given
    assert set(rest.values()) == {None, (None, None)}


def test_class_means_without_a_direction_make_no_angles():
    points = [[1, 0], [-1, 0], [0, 1], [0, 2], [1, 0]]
    assert centroid_angles(points, [0, 0, 1, 1, 2], 3) == pytest.approx([90])


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        ([[1.0, 2.0]], [0, 1], "1 embeddings but 2 labels"),
        ([1.0, 2.0], [0, 1], r"Embeddings have shape \(2,\)"),
        (np.zeros((0, 4)), [], r"Embeddings have shape \(0, 4\)"),
        ([[1.0, 1.0], [0.0, 0.0]], [0, 1], "1 embeddings have no direction, .* position 1"),
        ([[np.nan, 1.0], [np.inf, 0.0]], [0, 1], "2 embeddings have no direction"),
        ([[1.0, 1.0]], [2], "1 labels are outside 0..1"),
        ([[1.0, 1.0]], [0.5], "labels have shape"),
    ],
)
def test_what_is_no_embedding_of_a_class_is_named(embeddings, labels, message):
    with pytest.raises(DataError, match=message):
        geometry_of(embeddings, labels, [5, 5])


def test_a_neighbourhood_of_none_and_a_pair_of_one_are_refused():
    with pytest.raises(UsageError, match="k is 0"):
        neighbourhood_purity(POINTS, LABELS, 5, k=0)
    with pytest.raises(DataError, match="pairs of points; there are 1"):
        uniformity(POINTS[:1])


def test_the_package_exports_the_geometry():
    assert metrics.geometry_of is geometry_of
    assert metrics.Geometry is Geometry
