"""Perceptual hashes of many pictures at once, and the pairs of hashes that differ in few bits.

The hash is pHash: the 8 x 8 lowest frequencies of the grey 32 x 32 picture's cosine transform, each
bit whether a coefficient is above their median (Zauner 2010, "Implementation and Benchmarking of
Perceptual Image Hash Functions"). It is written here, in three lines, rather than taken from the
package ImageHash, whose `phash` weighs the lowest row and column a little more: that one takes one
picture at a time, searches nothing, and brings PyWavelets along.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SIDE = 32
HASH_BITS = 64

Grey = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

_LOWEST = 8
_BATCH = 2048
_BANDS = 4
_BAND_BITS = HASH_BITS // _BANDS
# Pairs that are compared at once: bounds the memory, whatever the hashes.
_COMPARED_AT_ONCE = 1 << 20


class Pairs(NamedTuple):
    """Pairs of hashes, closest first.

    Attributes:
        rows: int64 [m, 2], the smaller row first.
        distances: int64 [m], bits that differ.
        complete: whether these are all pairs within the distance.
    """

    rows: Ints
    distances: Ints
    complete: bool


def perceptual_hash(grey: Grey) -> Hashes:
    """Hash pictures so that those that look alike differ in few bits.

    Args:
        grey: uint8 [n, 32, 32].

    Returns:
        uint64 [n].
    """
    batches = [_hash(grey[start : start + _BATCH]) for start in range(0, len(grey), _BATCH)]
    return np.concatenate([np.zeros(0, np.uint64), *batches])


def closest_pairs(hashes: Hashes, distance: int, most: int) -> Pairs:
    """The pairs that differ in at most `distance` bits; of more than `most` the closest ones.

    Not every pair is compared. Of four bands of 16 bits at least one differs in no more than a
    quarter of the bits (pigeonhole), so only pairs that agree that nearly in some band are looked
    at (multi-index hashing, Norouzi, Punjani and Fleet 2012).

    Args:
        hashes: uint64 [n].
        distance: bits, from 0 to 11: beyond, more than two bits around a band would be looked at.
        most: at least 1.
    """
    found, limit, complete = np.zeros(0, np.int64), distance, True
    for rows in _alike_in_a_band(hashes, distance // _BANDS):
        near = rows[_apart(hashes, rows) <= limit]
        found = np.union1d(found, near[:, 0] * len(hashes) + near[:, 1])
        if len(found) > most:
            found, farthest = _closest(hashes, found, most)
            limit, complete = farthest - 1, False
        if limit < 0:
            break
    rows = _unfolded(found, len(hashes))
    apart = _apart(hashes, rows)
    order = np.argsort(apart, kind="stable")
    return Pairs(rows[order], apart[order], complete)


def _hash(grey: Grey) -> Hashes:
    transform = _cosines()
    lowest = (transform @ grey.astype(np.float32) @ transform.T).reshape(len(grey), HASH_BITS)
    above = lowest > np.median(lowest, axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(np.uint64).ravel()


@functools.cache
def _cosines() -> npt.NDArray[np.float32]:
    """The lowest rows of the orthonormal cosine transform, float32 [8, 32]."""
    from scipy.fft import dct

    waves: npt.NDArray[np.float32] = dct(np.eye(SIDE, dtype=np.float32), axis=0, norm="ortho")
    return waves[:_LOWEST]


def _alike_in_a_band(hashes: Hashes, radius: int) -> Iterator[Ints]:
    """Pairs, the smaller row first, that differ in at most `radius` bits in some band."""
    for keys in hashes.view(np.uint16).reshape(-1, _BANDS).T.astype(np.int64):
        order = np.argsort(keys, kind="stable")
        sizes = np.bincount(keys, minlength=1 << _BAND_BITS)
        starts = np.cumsum(sizes) - sizes
        for mask in _masks(radius):
            # From the smaller key to the larger one: each pair of two buckets is met once.
            other = keys ^ mask
            amounts = np.where(other >= keys, sizes[other], 0)
            for first, positions in _expanded(amounts, starts[other]):
                rows = np.stack([first, order[positions]], axis=1)
                yield rows[rows[:, 0] < rows[:, 1]] if mask == 0 else np.sort(rows, axis=1)


def _masks(radius: int) -> list[int]:
    """Which bits of a band may be turned over."""
    return [
        sum(1 << bit for bit in bits)
        for number in range(radius + 1)
        for bits in itertools.combinations(range(_BAND_BITS), number)
    ]


def _expanded(amounts: Ints, starts: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Each row beside each of the `amounts` positions from its start on, some rows at a time."""
    rows = np.flatnonzero(amounts)
    ends = np.cumsum(amounts[rows])
    pieces = np.flatnonzero(np.diff(ends // _COMPARED_AT_ONCE)) + 1
    for piece in np.split(rows, pieces):
        number = amounts[piece]
        before = np.repeat(np.cumsum(number) - number, number)
        offsets = np.arange(number.sum()) - before
        yield np.repeat(piece, number), np.repeat(starts[piece], number) + offsets


def _closest(hashes: Hashes, found: Ints, most: int) -> tuple[Ints, int]:
    """Those of the pairs, each as one number, that differ in the fewest bits; the most of these."""
    apart = _apart(hashes, _unfolded(found, len(hashes)))
    order = np.argsort(apart, kind="stable")[:most]
    return np.sort(found[order]), int(apart[order[-1]])


def _unfolded(pairs: Ints, number: int) -> Ints:
    """Pairs as two rows each, from one number each."""
    return np.stack(np.divmod(pairs, max(1, number)), axis=1)


def _apart(hashes: Hashes, rows: Ints) -> Ints:
    """Bits in which the two of each pair differ."""
    different = hashes[rows[:, 0]] ^ hashes[rows[:, 1]]
    ones: Ints = _ones()[different.view(np.uint16).reshape(-1, _BANDS)].sum(1, dtype=np.int64)
    return ones


@functools.cache
def _ones() -> npt.NDArray[np.uint8]:
    """Number of ones in each number of 16 bits."""
    octets = np.arange(1 << _BAND_BITS, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    ones: npt.NDArray[np.uint8] = np.unpackbits(octets, axis=1).sum(axis=1, dtype=np.uint8)
    return ones
