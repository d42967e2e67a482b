"""The shape of embeddings in numbers, which a t-SNE picture can suggest but not prove.

Every function takes embeddings [n, d], normalises each row to length 1 as the contrastive losses
do, and takes labels [n] in [0, c). Means are over classes, each counting alike, except that of
`uniformity`; so on a balanced split they are the means over points as well. All of them are the
same after a rotation of the space and after renaming the classes.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError, UsageError
from longtail.metrics.confusion import class_ids, group_accuracy
from longtail.prior import as_counts, groups

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEIGHBOURS = 10
# Where no class has fewer than 20 training samples, as in CIFAR-10-LT, this many are shown as rare.
TAIL_CLASSES = 3
# Rows compared with all points at once: 10,000 points then need 40 MB a matrix, not 800.
_BLOCK = 512
# Equal rows give cosines that differ in the last bits, as matrix products round by position; what
# is below this is rounding.
_TIE = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Geometry:
    """Every number of this module for one split; None where one is not defined.

    Attributes:
        points: number of embeddings.
        width: their dimensions.
        classes: number of classes with a point.
        alignment: see `alignment`, mean over classes; in [0, 4], lower is tighter.
        uniformity: see `uniformity`; in [-8, 0], lower is more even.
        within, between: see `scatter`; in [0, 1].
        ratio: within over between, lower is better separated; None where the means coincide.
        smallest_angle: in degrees, between the two nearest class means; see `centroid_angles`.
        mean_angle: in degrees, over all pairs of class means.
        angle_spread: their standard deviation in degrees; 0 for any equiangular arrangement.
        simplex_angle: the angle of a regular simplex with a corner a class, in degrees; None
            where the space has too few dimensions for one (classes > width + 1).
        simplex_mean, simplex_max: how far the angles are from it, in degrees, on average and at
            most.
        purity: see `neighbourhood_purity`, mean over classes; in [0, 1].
        many, medium, few: mean purity of the group's classes.
        tail: mean purity of the classes of `tail_classes`.
        per_class_alignment, per_class_purity: of each class.
    """

    points: int
    width: int
    classes: int
    alignment: float | None
    uniformity: float | None
    within: float | None
    between: float | None
    ratio: float | None
    smallest_angle: float | None
    mean_angle: float | None
    angle_spread: float | None
    simplex_angle: float | None
    simplex_mean: float | None
    simplex_max: float | None
    purity: float | None
    many: float | None
    medium: float | None
    few: float | None
    tail: float | None
    per_class_alignment: tuple[float | None, ...]
    per_class_purity: tuple[float | None, ...]


def tail_classes(counts: npt.ArrayLike) -> list[int]:
    """The few classes in class order, or the three rarest where there is none, but never all.

    >>> tail_classes([500, 60, 7, 101]), tail_classes([500, 60, 70, 101]), tail_classes([5, 3])
    ([2], [1, 2, 3], [1])
    """
    sizes = as_counts(counts)
    few = groups(sizes)["few"]
    if few and len(few) < len(sizes):
        return few
    rarest = np.argsort(sizes, kind="stable")[: min(TAIL_CLASSES, len(sizes) - 1)]
    return sorted(rarest.tolist())


def geometry_of(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, counts: npt.ArrayLike
) -> Geometry:
    """Every number of one split's embeddings.

    Args:
        embeddings: [n, d], of any length but 0.
        labels: [n] class ids in [0, c).
        counts: [c] training samples a class in the data trained on; they decide the groups only.

    Raises:
        DataError: no points, points that have no direction, ids outside [0, c), or counts that
            are none.
    """
    num_classes = len(as_counts(counts))
    unit, ids = _checked(embeddings, labels, num_classes)
    aligned = alignment(unit, ids, num_classes)
    within, between = scatter(unit, ids, num_classes)
    pure = neighbourhood_purity(unit, ids, num_classes)
    group = group_accuracy(pure, counts)
    present = len(np.unique(ids))
    return Geometry(
        points=len(ids),
        width=unit.shape[1],
        classes=present,
        alignment=_mean(aligned),
        uniformity=uniformity(unit) if len(unit) > 1 else None,
        within=within,
        between=between,
        ratio=_ratio(within, between),
        **_angle_numbers(centroid_angles(unit, ids, num_classes), present, unit.shape[1]),
        purity=_mean(pure),
        many=group["many"],
        medium=group["medium"],
        few=group["few"],
        tail=_mean(pure[tail_classes(counts)]),
        per_class_alignment=_optional(aligned),
        per_class_purity=_optional(pure),
    )


def alignment(embeddings: npt.ArrayLike, labels: npt.ArrayLike, num_classes: int) -> Floats:
    """Mean squared distance between two different points of a class, float64 [c].

    0 where a class is one point, 2 where its points are no nearer than random directions; NaN for
    a class of fewer than two points. Wang & Isola 2020 (arXiv 2005.10242), with alpha = 2 and the
    class mates as positive pairs. On unit vectors the sum over pairs is m^2 - |sum of the class|^2,
    so no pair is ever formed.

    Raises:
        DataError: as `geometry_of`.

    >>> alignment([[2, 0], [0, 3], [0, 1]], [0, 0, 1], 2).tolist()
    [2.0, nan]
    """
    unit, ids = _checked(embeddings, labels, num_classes)
    sums, sizes = _class_sums(unit, ids, num_classes)
    apart = sizes**2 - np.sum(sums**2, axis=1)
    pairs = sizes * (sizes - 1)
    return np.where(pairs > 0, 2 * np.maximum(apart, 0) / np.maximum(pairs, 1), np.nan)


def uniformity(embeddings: npt.ArrayLike) -> float:
    """Logarithm of the mean of exp(-2 |x - y|^2) over all pairs of different points.

    In [-8, 0]: 0 when all points coincide; for points spread evenly over a sphere it falls from
    -1.6 in two dimensions towards -4 in many. Wang & Isola 2020 (arXiv 2005.10242), with t = 2.
    It knows no classes, so on an unbalanced split the large ones decide it.

    Raises:
        DataError: fewer than two points, or points that have no direction.
    """
    unit = unit_rows(embeddings)
    n = len(unit)
    if n < 2:
        raise DataError(f"Uniformity is about pairs of points; there are {n}.")
    # |x - y|^2 = 2 - 2 x.y; each row is compared with itself once, which adds exp(0) = 1.
    total = sum(float(np.exp(4 * cosines - 4).sum()) for _, cosines in _cosine_blocks(unit))
    return min(0.0, float(np.log((total - n) / (n * (n - 1)))))


def scatter(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, num_classes: int
) -> tuple[float | None, float | None]:
    """Traces of the within-class and the between-class scatter matrix, both in [0, 1].

    Within: a class's mean squared distance to its own mean, averaged over the classes of two points
    or more. Between: the squared distance of a class's mean to the mean of the class means,
    averaged over the classes. For classes of equal size the two add up to the trace of the total
    covariance. Within is half of `alignment` but for the factor (m - 1) / m.

    Returns:
        (within, between); within is None without a class of two points, between with one class.

    Raises:
        DataError: as `geometry_of`.
    """
    unit, ids = _checked(embeddings, labels, num_classes)
    means, sizes = _present_means(unit, ids, num_classes)
    # Rows have length 1, so a class's mean squared distance to its mean m is 1 - |m|^2.
    spread = np.maximum(1 - np.sum(means**2, axis=1), 0)[sizes > 1]
    offsets = means - means.mean(axis=0)
    return (
        float(spread.mean()) if spread.size else None,
        float(np.sum(offsets**2, axis=1).mean()) if len(means) > 1 else None,
    )


def centroid_angles(embeddings: npt.ArrayLike, labels: npt.ArrayLike, num_classes: int) -> Floats:
    """Angles in degrees between the class means, float64 [pairs]; absent classes have none.

    A mean is that of the class's unit vectors, as seen from the origin. From their common centre,
    as neural collapse is measured in a layer with a bias, two classes would always be 180 degrees
    apart and a collapse onto one side of the sphere would not show. What supervised contrastive
    learning is led to on balanced data is a simplex about the origin (Graf et al. 2021, arXiv
    2102.08817). A mean of length 0 has no direction, and its pairs are left out.

    Raises:
        DataError: as `geometry_of`.

    >>> centroid_angles([[1, 0], [0, 2], [-1, 0]], [0, 1, 2], 3).round(6).tolist()
    [90.0, 180.0, 90.0]
    """
    unit, ids = _checked(embeddings, labels, num_classes)
    means, _ = _present_means(unit, ids, num_classes)
    lengths = np.linalg.norm(means, axis=1)
    directions = means[lengths > _TIE] / lengths[lengths > _TIE, None]
    first, second = np.triu_indices(len(directions), k=1)
    # Exact near 0 and 180 degrees, where the arc cosine loses half of the digits.
    sines = np.linalg.norm(directions[first] - directions[second], axis=1)
    cosines = np.linalg.norm(directions[first] + directions[second], axis=1)
    return np.asarray(np.degrees(2 * np.arctan2(sines, cosines)), np.float64)


def neighbourhood_purity(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, num_classes: int, k: int = NEIGHBOURS
) -> Floats:
    """Share of a point's k nearest others (by cosine) that are of its class, mean a class.

    A class of m points has m - 1 neighbours to offer, so there k is min(k, m - 1), and 1 can be
    reached by every class of two points; a single point gives NaN. Points at one distance share
    the places that are left among them, so that their order in the file decides nothing. Chance
    gives (m - 1) / (n - 1), 1 / c on a balanced split; it is not subtracted, so where the split is
    not balanced compare methods with each other and not large classes with small ones.

    Returns:
        float64 [c], in [0, 1].

    Raises:
        DataError: as `geometry_of`.
        UsageError: k is below 1.
    """
    if k < 1:
        raise UsageError(f"k is {k}; a neighbourhood needs at least 1 neighbour.")
    unit, ids = _checked(embeddings, labels, num_classes)
    sizes = np.bincount(ids, minlength=num_classes)
    wanted = np.minimum(k, sizes[ids] - 1)
    shares = np.zeros(len(ids))
    for rows, cosines in _cosine_blocks(unit):
        cosines[np.arange(len(rows)), rows] = -2.0  # itself: below any cosine
        shares[rows] = _pure_shares(cosines, ids == ids[rows, None], np.maximum(wanted[rows], 1))
    sums = np.bincount(ids, shares, minlength=num_classes)
    return np.where(sizes > 1, sums / np.maximum(sizes, 1), np.nan)


def _pure_shares(cosines: Floats, same: npt.NDArray[np.bool_], wanted: Ints) -> Floats:
    """Share of the `wanted` [b] largest of each row of cosines [b, n] where `same` holds."""
    largest = min(int(wanted.max()), cosines.shape[1])
    top = np.sort(np.partition(cosines, -largest, axis=1)[:, -largest:], axis=1)
    last = top[np.arange(len(top)), -wanted][:, None]
    nearer, tied = cosines > last + _TIE, np.abs(cosines - last) <= _TIE
    places = wanted - nearer.sum(axis=1)
    drawn = places * (tied & same).sum(axis=1) / np.maximum(tied.sum(axis=1), 1)
    return np.asarray(((nearer & same).sum(axis=1) + drawn) / wanted, np.float64)


def _ratio(within: float | None, between: float | None) -> float | None:
    """Within over between; None where the means coincide, as the rest is rounding."""
    if within is None or between is None or between <= _TIE:
        return None
    return within / between


def _angle_numbers(angles: Floats, classes: int, width: int) -> dict[str, float | None]:
    """The fields of `Geometry` that are about angles."""
    fits = 1 < classes <= width + 1
    simplex = float(np.degrees(np.arccos(-1 / (classes - 1)))) if fits else None
    off = angles[:0] if simplex is None else np.abs(angles - simplex)
    return {
        "smallest_angle": float(angles.min()) if angles.size else None,
        "mean_angle": _mean(angles),
        "angle_spread": float(angles.std()) if angles.size else None,
        "simplex_angle": simplex,
        "simplex_mean": _mean(off),
        "simplex_max": float(off.max()) if off.size else None,
    }


def _cosine_blocks(unit: Floats) -> Iterator[tuple[Ints, Floats]]:
    """Cosines of some points with all, [b, n], and which points they are, [b]."""
    for start in range(0, len(unit), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(unit)))
        yield rows, unit[rows] @ unit.T


def _present_means(unit: Floats, ids: Ints, num_classes: int) -> tuple[Floats, Ints]:
    """Means [k, d] and sizes [k] of the classes with a point."""
    sums, sizes = _class_sums(unit, ids, num_classes)
    present = sizes > 0
    return sums[present] / sizes[present, None], sizes[present]


def _class_sums(unit: Floats, ids: Ints, num_classes: int) -> tuple[Floats, Ints]:
    sums = np.zeros((num_classes, unit.shape[1]))
    np.add.at(sums, ids, unit)
    return sums, np.bincount(ids, minlength=num_classes)


def _checked(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, num_classes: int
) -> tuple[Floats, Ints]:
    """Unit rows and their class ids, one of each a point."""
    unit = unit_rows(embeddings)
    ids = class_ids(labels, num_classes, "labels")
    if len(ids) != len(unit):
        raise DataError(f"{len(unit)} embeddings but {len(ids)} labels: one of each a sample.")
    return unit, ids


def unit_rows(embeddings: npt.ArrayLike) -> Floats:
    """Embeddings [n, d] with every row scaled to length 1; DataError for rows that have none."""
    rows = np.asarray(embeddings, np.float64)
    if rows.ndim != 2 or rows.size == 0:
        raise DataError(f"Embeddings have shape {rows.shape}; expected [samples, dimensions].")
    lengths = np.linalg.norm(rows, axis=1)
    lost = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if lost.size:
        raise DataError(
            f"{lost.size} embeddings have no direction, the first at position {lost[0]}: their "
            "length is 0 or not finite. The model has collapsed or diverged; lower the lr."
        )
    return np.asarray(rows / lengths[:, None], np.float64)


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _optional(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)
