"""Near-duplicates: pictures of one shot that differ in brightness, compression or a pixel's shift.

Hashes propose pairs (`longtail.inspection.perceptual`); pixels decide. A pair stays if the grey
pictures correlate, and so do their edges: two cans on one table correlate at 0.9 as pictures and at
0.45 as edges. Shifts of up to two pixels are tried. The limits were chosen by looking at pairs of
CIFAR-10 and CIFAR-100 at every distance.

What to expect of it: on CIFAR-10, of the 243 test pictures that people judged to be near-duplicates
of a train picture (ciFAIR, Barz and Denzler 2020, found by a learned feature) it finds 141, and 66
that are not in that list, nearly all of them right. Crops, larger shifts, turned and mirrored
pictures are not found: finding nothing is no proof that there is nothing. On CIFAR-100, of 100 of
its 953 pairs drawn at random some 95 were of one shot by eye; the others were things of one shape.
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from longtail.data.dataset import Dataset
from longtail.inspection.perceptual import HASH_BITS, closest_pairs, perceptual_hash
from longtail.inspection.summary import Sample, samples_of, splits_of
from longtail.inspection.thumbnails import grey_thumbnails

MOST_BITS = 10
LEAST_LIKENESS = 0.85
LEAST_EDGE_LIKENESS = 0.55
# Grey levels of deviation: below, what is compared is noise, and black is like any other black.
LEAST_CONTRAST = 4.0
# Pixels: below, there is too little in a picture for a likeness to mean anything.
LEAST_SIDE = 16
# A dataset of film frames or scanned digits has millions of pairs; the closest ones say enough.
MOST_COMPARED = 100_000

_SHIFT = 2
HOW = (
    f"Found by a perceptual hash (pHash, at most {MOST_BITS} of {HASH_BITS} bits apart) and kept "
    f"where the grey pictures correlate by {LEAST_LIKENESS} and their edges by "
    f"{LEAST_EDGE_LIKENESS} at the best shift of up to {_SHIFT} pixels. It finds one shot in "
    "another brightness, colour or compression; it misses most crops, and turned or mirrored "
    "pictures, and now and then takes two things that look alike for one. A learned feature finds "
    "more: on CIFAR-100 about 10 % of the test pictures (Barz and Denzler 2020) where this finds "
    "2.5 %."
)
"""What to expect of it, for those who read what it found."""
UNSEEN = (
    f"So many pictures are alike here that only the {MOST_COMPARED:,} closest pairs were compared: "
    "there are more."
)
"""What to say of a search that is not complete."""
_BATCH = 2048
_PAIRS_AT_ONCE = 512

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class NearPair:
    """Two samples that look alike.

    Attributes:
        first, second: in the order of the splits.
        bits: in how many of 64 their hashes differ.
        likeness: correlation of the grey pictures at their best shift, at most 1.
    """

    first: Sample
    second: Sample
    bits: int
    likeness: float


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """What was found.

    Attributes:
        pairs: closest first.
        complete: False where so many pictures are alike that only the closest pairs were looked at.
    """

    pairs: tuple[NearPair, ...]
    complete: bool

    @functools.cached_property
    def groups(self) -> tuple[tuple[Sample, ...], ...]:
        """Samples that pairs connect, two or more each, in the order of their closest pairs.

        A group begins with the first sample of its closest pair.
        """
        return _connected(self.pairs)

    @functools.cached_property
    def closest(self) -> Mapping[Sample, NearPair]:
        """Of each sample that has any, its closest pair."""
        found: dict[Sample, NearPair] = {}
        for pair in self.pairs:
            found.setdefault(pair.first, pair)
            found.setdefault(pair.second, pair)
        return found

    def summary(self) -> str:
        """What was found, in a sentence."""
        seen = len(self.seen_in_train("test"))
        return (
            f"Groups of near-duplicates: {len(self.groups)} ({len(self.groups_across)} across "
            f"splits); test samples with one in train: {seen}"
        )

    @property
    def groups_across(self) -> tuple[tuple[Sample, ...], ...]:
        """The groups that lie in more than one split."""
        return tuple(group for group in self.groups if len({s.split for s in group}) > 1)

    def seen_in_train(self, split: str) -> tuple[Sample, ...]:
        """The samples of a split that have a near-duplicate in train."""
        ordered = (
            sorted((p.first, p.second), key=lambda s: s.split != "train") for p in self.pairs
        )
        found = {b for a, b in ordered if a.split == "train" and b.split == split}
        return tuple(sorted(found, key=lambda sample: sample.index))


def comparable(dataset: Dataset) -> bool:
    """Whether near-duplicates can be told: the samples are pictures, and not tiny ones."""
    return len(dataset.input_shape) == 3 and min(dataset.input_shape[:2]) >= LEAST_SIDE


def near_duplicates(dataset: Dataset, identical: Sequence[Sequence[Sample]] = ()) -> NearDuplicates:
    """Find the near-duplicates within and across the splits of a dataset of pictures.

    Args:
        dataset: a `comparable` one.
        identical: groups of identical samples; of each only the first is looked at.
    """
    splits = splits_of(dataset)
    samples = [sample for name, split in splits.items() for sample in samples_of(name, split)]
    pictures = np.concatenate([grey_thumbnails(split.inputs) for split in splits.values()])
    copies = {sample for group in identical for sample in group[1:]}
    fresh = np.array([sample not in copies for sample in samples])
    rows = np.flatnonzero(fresh & (_contrast(pictures) >= LEAST_CONTRAST))
    proposed = closest_pairs(perceptual_hash(pictures[rows]), MOST_BITS, MOST_COMPARED)
    found = rows[proposed.rows]
    likeness, edges = likenesses(pictures, found)
    kept = (likeness >= LEAST_LIKENESS) & (edges >= LEAST_EDGE_LIKENESS)
    measured = zip(found[kept], proposed.distances[kept], likeness[kept], strict=True)
    return NearDuplicates(
        tuple(
            NearPair(samples[i], samples[j], int(bits), float(r)) for (i, j), bits, r in measured
        ),
        proposed.complete,
    )


def likenesses(pictures: Grey, pairs: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Correlation of each pair of pictures, and of their edges, each at its best shift.

    Args:
        pictures: uint8 [n, h, w].
        pairs: int64 [m, 2], rows.

    Returns:
        float32 [m] twice, in [-1, 1]; 0 where one of the two has no contrast.
    """
    likeness, edges = np.zeros((2, len(pairs)), np.float32)
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        first, second = (pictures[pairs[part, side]].astype(np.float32) for side in (0, 1))
        likeness[part] = _best_correlation(first, second)
        edges[part] = _best_correlation(_edges(first), _edges(second))
    return likeness, edges


def _contrast(pictures: Grey) -> Floats:
    """Standard deviation of each picture's pixels, in grey levels."""
    contrast = np.zeros(len(pictures), np.float32)
    for start in range(0, len(pictures), _BATCH):
        part = slice(start, start + _BATCH)
        contrast[part] = pictures[part].std(axis=(1, 2), dtype=np.float32)
    return contrast


def _edges(pictures: Floats) -> Floats:
    """The second difference of each inner pixel to its four neighbours."""
    neighbours = pictures[:, :-2, 1:-1] + pictures[:, 2:, 1:-1]
    neighbours += pictures[:, 1:-1, :-2] + pictures[:, 1:-1, 2:]
    return 4 * pictures[:, 1:-1, 1:-1] - neighbours


def _best_correlation(first: Floats, second: Floats) -> Floats:
    """Over all shifts of up to two pixels, the middle of the first against the second."""
    height, width = (side - 2 * _SHIFT for side in first.shape[1:])
    middle = _standardised(first[:, _SHIFT : _SHIFT + height, _SHIFT : _SHIFT + width])
    best = np.full(len(first), -1, np.float32)
    for y, x in itertools.product(range(2 * _SHIFT + 1), repeat=2):
        window = _standardised(second[:, y : y + height, x : x + width])
        np.maximum(best, np.einsum("np,np->n", middle, window), out=best)
    return best


def _standardised(pictures: Floats) -> Floats:
    """Each picture as a row of mean 0 and length 1; of zeros where it has no contrast."""
    rows = pictures.reshape(len(pictures), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = rows / np.where(length > 0, length, 1)
    return unit


def _connected(pairs: Sequence[NearPair]) -> tuple[tuple[Sample, ...], ...]:
    if not pairs:
        return ()
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[Sample, int] = {}
    ends = [
        [numbers.setdefault(s, len(numbers)) for s in (pair.first, pair.second)] for pair in pairs
    ]
    first, second = np.array(ends).T
    links = coo_array((np.ones(len(pairs)), (first, second)), shape=(len(numbers),) * 2)
    _, part_of = connected_components(links, directed=False)
    groups: dict[int, list[Sample]] = {}
    for sample, part in zip(numbers, part_of.tolist(), strict=True):
        groups.setdefault(part, []).append(sample)
    return tuple(map(tuple, groups.values()))
