"""A map of the embeddings: which points to draw, and where t-SNE puts them."""

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError, UsageError
from longtail.metrics.confusion import class_ids
from longtail.metrics.geometry import tail_classes, unit_rows
from longtail.prior import as_counts

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

POINTS = 3000
# Fewer have no neighbourhood to speak of.
FEWEST = 4
_PERPLEXITY = 30.0
_ANGLE = 0.7
# Spread of unit vectors, of which half precision leaves a thousandth.
_COLLAPSED = 1e-6


def choose_points(
    labels: npt.ArrayLike, counts: npt.ArrayLike, limit: int = POINTS, seed: int = 0
) -> Ints:
    """Positions of the points to draw: the tail's first, then as many of every other class.

    All points of the tail classes are kept where they fill no more than half of the limit. On a
    balanced test split they may be more than the whole of it; then both halves are shared out
    evenly, so that the rest can be seen as well. What one half leaves, the other gets. Of a class
    the same points come first whatever the limit, and whatever the other classes.

    Args:
        labels: [n] class ids in [0, c).
        counts: [c] training samples a class, which decide what is tail: see `tail_classes`.
        limit: at most so many; all n where there are no more.
        seed: of the choice within each class.

    Returns:
        int64 [at most limit], rising.

    Raises:
        DataError: no class ids, or counts that are none.
        UsageError: a limit below 1.
    """
    if limit < 1:
        raise UsageError(f"limit is {limit}; at least 1 point must be drawn.")
    sizes = as_counts(counts)
    ids = class_ids(labels, len(sizes), "labels")
    present = np.bincount(ids, minlength=len(sizes))
    tail = np.isin(np.arange(len(sizes)), tail_classes(sizes))
    others = int(present[~tail].sum())
    for_tail = max(limit - others, limit // 2)
    quotas = _shared(np.where(tail, present, 0), for_tail, sizes)
    quotas += _shared(np.where(tail, 0, present), limit - int(quotas.sum()), sizes)
    chosen = [_some(np.flatnonzero(ids == c), q, (seed, c)) for c, q in enumerate(quotas)]
    return np.sort(np.concatenate(chosen))


def _shared(present: Ints, places: int, counts: Ints) -> Ints:
    """Places a class, as even as the points allow; the rarest in training get what is left over."""
    level = 0
    while level < present.max(initial=0) and np.minimum(present, level + 1).sum() <= places:
        level += 1
    quotas = np.minimum(present, level)
    wanting = np.flatnonzero(present > level)
    rarest = wanting[np.argsort(counts[wanting], kind="stable")]
    quotas[rarest[: places - int(quotas.sum())]] += 1
    return quotas


def _some(positions: Ints, number: int, seed: tuple[int, int]) -> Ints:
    return np.random.default_rng(seed).permutation(positions)[:number]


def perplexity_of(points: int) -> float:
    """The perplexity of a map of so many points: 30, or a third of the others where they are few.

    >>> perplexity_of(3000), perplexity_of(31)
    (30.0, 10.0)
    """
    return min(_PERPLEXITY, (points - 1) / 3)


def not_mappable(unit: Floats) -> str:
    """Why unit rows [n, d] make no map, as a sentence, or nothing."""
    if len(unit) < FEWEST:
        return f"A map of {len(unit)} points shows nothing; at least {FEWEST} are needed."
    if unit.shape[1] < 2:
        return "Vectors of one dimension have two directions and no map."
    if unit.std(axis=0).max() < _COLLAPSED:
        return "All samples lie in one place: the embeddings have collapsed, and there is no map."
    return ""


def tsne_map(embeddings: npt.ArrayLike, seed: int = 0) -> npt.NDArray[np.float32]:
    """Where t-SNE puts each embedding in the plane, float32 [n, 2].

    Rows are normalised, so near means a high cosine, as it does to the losses. It starts from the
    first two principal components, with the perplexity of `perplexity_of`. The same seed gives the
    same map on one machine, bit for bit, however many threads it is given. Only who is near whom
    means something: not the sizes of the clusters, not the gaps between them, not the axes.

    By scikit-learn, which is there anyway. One thread: two of them wait for each other
    a thousand times in a busy loop, and on a machine that does something else as well they cost
    more than they save (200 points: 0.7 s of processor time by one thread, 22 s by two), while
    sums in another order make another map. The Barnes-Hut angle is 0.7 for a default of 0.5: a
    third less time, and as many of the 10 nearest neighbours kept (CIFAR-10-LT, 10,000 points:
    52.7 % for 52.9 %). openTSNE 1.0.4 was no faster than that.

    Raises:
        DataError: fewer than 4 points, of fewer than 2 dimensions, that have no direction, or that
            all lie in one place: t-SNE would not end with an error there, but with the process.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    unit = unit_rows(embeddings)
    if problem := not_mappable(unit):
        raise DataError(problem)
    perplexity = perplexity_of(len(unit))
    tsne = TSNE(init="pca", perplexity=perplexity, angle=_ANGLE, random_state=seed)
    with threadpool_limits(1):
        return np.asarray(tsne.fit_transform(unit.astype(np.float32)), np.float32)
