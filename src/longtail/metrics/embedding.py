"""Which points a map of embeddings shows, and where it puts them."""

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError, UsageError
from longtail.metrics.confusion import class_ids
from longtail.prior import as_counts, groups

LIMIT = 3000
"""Points of a map that nobody asked more of."""


def choose_points(
    labels: npt.ArrayLike, counts: npt.ArrayLike, *, limit: int = LIMIT, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Positions of at most `limit` points, rising: of the rarest classes all that fit.

    The few group may take half of the map, and what the others leave of theirs; within either half
    classes have equal parts, as far as they have points. Equal arguments choose equal points.

    Args:
        labels: [n] class ids in [0, c).
        counts: [c] training samples a class, which decide the groups.
        limit: largest number of points.
        seed: keys the draw.

    Raises:
        UsageError: a limit below 1.
        DataError: labels that are no class ids of `counts`.
    """
    if limit < 1:
        raise UsageError(f"A map of {limit} points is none; ask for at least 1.")
    ids = class_ids(labels, len(as_counts(counts)), "labels")
    members = [np.flatnonzero(ids == c) for c in range(len(as_counts(counts)))]
    sizes = np.array([len(own) for own in members])
    few = np.isin(np.arange(len(sizes)), groups(counts)["few"])
    rare, common = np.where(few, sizes, 0), np.where(few, 0, sizes)
    room = max(limit // 2, limit - int(common.sum()))
    kept_rare = _even_shares(rare, room)
    kept = kept_rare + _even_shares(common, limit - int(kept_rare.sum()))
    draw = np.random.RandomState(seed)
    chosen = [draw.permutation(own)[:number] for own, number in zip(members, kept, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _even_shares(sizes: npt.NDArray[np.int64], total: int) -> npt.NDArray[np.int64]:
    """How many of each class, as equal as the sizes allow; the first get what does not divide."""
    levels = range(int(sizes.max(initial=0)) + 1)
    level = bisect_right(levels, total, key=lambda size: int(np.minimum(sizes, size).sum())) - 1
    shares = np.minimum(sizes, level)
    more = np.flatnonzero(sizes > level)[: total - int(shares.sum())]
    shares[more] += 1
    return shares


def tsne_map(
    embeddings: npt.ArrayLike, *, seed: int = 0, perplexity: float = 30.0
) -> npt.NDArray[np.float32]:
    """A t-SNE map, float32 [n, 2] (van der Maaten and Hinton 2008), of rows scaled to length 1.

    Distances between far groups and the sizes of groups mean nothing in it; `geometry_of` has
    numbers that do. It starts from the principal components, so equal rows and an equal seed give
    an equal map on one machine. By scikit-learn: real embeddings of 128 numbers took it 15 s of a
    core for 3,000 points and 62 s for 10,000; openTSNE took 12 s for 3,000, which is no reason for
    another dependency.

    Args:
        embeddings: [n, d], n at least 4.
        seed: of whatever is drawn.
        perplexity: how many neighbours a point has, about; at most (n - 1) / 3 is used.

    Raises:
        DataError: fewer than 4 rows, or numbers that are not finite.
    """
    from sklearn.manifold import TSNE

    rows = np.asarray(embeddings, np.float64)
    if rows.ndim != 2 or len(rows) < 4 or not np.isfinite(rows).all():
        raise DataError(f"A map needs at least 4 finite rows; these are {rows.shape}.")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    near = min(perplexity, (len(rows) - 1) / 3)
    tsne = TSNE(perplexity=near, init="pca", random_state=seed)
    return np.asarray(tsne.fit_transform(unit), np.float32)
