"""Near-duplicates: planted ones are found, strangers are not, and no pair is lost on the way."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from longtail.data.dataset import Dataset, split_of
from longtail.inspection.near_duplicates import (
    LEAST_LIKENESS,
    MOST_BITS,
    comparable,
    likenesses,
    near_duplicates,
)
from longtail.inspection.perceptual import closest_pairs, perceptual_hash
from longtail.inspection.summary import Sample
from longtail.inspection.thumbnails import grey_thumbnails, shrunk


def photos(count: int, seed: int = 0, side: int = 40) -> np.ndarray:
    """Pictures with structure at several scales, as photographs have; float [n, side, side, 3]."""
    rng = np.random.default_rng(seed)
    layers = [
        amount * gaussian_filter(rng.normal(size=(count, side, side, 3)), (0, scale, scale, 0.5))
        for amount, scale in ((600, 8), (160, 3), (90, 1))
    ]
    return np.clip(np.sum(layers, axis=0) + 128, 0, 255)


def middle(pictures: np.ndarray, down: int = 0, right: int = 0) -> np.ndarray:
    """The 32 x 32 middle, shifted; uint8."""
    return pictures[:, 4 + down : 36 + down, 4 + right : 36 + right].astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def of(train: np.ndarray, test: np.ndarray | None = None) -> Dataset:
    parts = [split_of(p, np.arange(len(p)) % 3) for p in (train, test) if p is not None]
    return Dataset("toy", "memory", "photo", ("a", "b", "c"), *parts)


def pairs_of(dataset: Dataset) -> set[tuple[tuple[str, int], tuple[str, int]]]:
    found = near_duplicates(dataset).pairs
    return {((p.first.split, p.first.index), (p.second.split, p.second.index)) for p in found}


@pytest.mark.parametrize(
    "change",
    [
        lambda p: np.clip(0.8 * middle(p) + 20, 0, 255).astype(np.uint8),
        lambda p: middle(p, 1, 0),
        lambda p: middle(p, 0, -1),
        lambda p: np.stack([jpeg(one, 60) for one in middle(p)]),
        lambda p: np.repeat(grey_thumbnails(middle(p))[..., None], 3, axis=-1),
    ],
    ids=["brightness", "down", "left", "jpeg", "grey"],
)
def test_planted_copies_are_found_and_nothing_else(change) -> None:
    pictures = photos(40)
    copies = change(pictures)[[3, 17, 30]]
    expected = {(("train", row), ("test", k)) for k, row in enumerate([3, 17, 30])}
    assert pairs_of(of(middle(pictures), copies)) == expected


def test_strangers_are_no_pair() -> None:
    assert near_duplicates(of(middle(photos(200)), middle(photos(100, seed=1)))).pairs == ()


def test_one_object_on_the_same_background_is_a_false_friend() -> None:
    """Alike as a whole, unlike in detail: two cans on one table."""
    scene = gaussian_filter(photos(1, seed=5), (0, 3, 3, 0))
    labels = np.random.default_rng(6).normal(scale=3, size=(2, 40, 40, 1))
    pictures = middle(np.clip(scene + labels, 0, 255))
    grey = grey_thumbnails(pictures)
    assert len(closest_pairs(perceptual_hash(grey), MOST_BITS, 9).rows) == 1, "the hash is taken in"
    likeness, edges = likenesses(grey, np.array([[0, 1]]))
    assert likeness[0] > LEAST_LIKENESS
    assert edges[0] < 0.3
    assert pairs_of(of(pictures)) == set()


def test_pictures_without_contrast_pair_with_nothing() -> None:
    rng = np.random.default_rng(0)
    black = rng.integers(0, 3, (200, 32, 32, 3)).astype(np.uint8)
    flat = (
        np.full((50, 32, 32, 3), 7, np.uint8) + np.arange(50, dtype=np.uint8)[:, None, None, None]
    )
    faint = (photos(1)[:, 4:36, 4:36] - 128) * 0.03 + 100
    plain = np.concatenate([faint, faint + 20]).astype(np.uint8)
    assert pairs_of(of(np.concatenate([black, flat, plain]))) == set()


def test_identical_copies_are_not_repeated_and_the_first_stands_for_them() -> None:
    pictures = photos(10)
    brighter = np.clip(0.9 * middle(pictures[:1]) + 10, 0, 255).astype(np.uint8)
    train = np.concatenate([middle(pictures), middle(pictures[:1])])
    identical = [[Sample("train", 0, 0), Sample("train", 10, 1)]]
    found = near_duplicates(of(train, brighter), identical)
    assert [(p.first, p.second) for p in found.pairs] == [
        (Sample("train", 0, 0), Sample("test", 0, 0))
    ]
    assert found.groups_across == found.groups
    assert found.seen_in_train("test") == (Sample("test", 0, 0),)
    assert found.seen_in_train("train") == ()


def test_pairs_that_share_a_picture_make_one_group() -> None:
    pictures = photos(30)
    steps = [middle(pictures[:1], 0, right) for right in range(-4, 5)]
    found = near_duplicates(of(np.concatenate([middle(pictures[1:]), *steps])))
    ends = {frozenset((p.first.index, p.second.index)) for p in found.pairs}
    assert frozenset((29, 37)) not in ends, "eight pixels apart: no pair of their own"
    assert [{s.index for s in group} for group in found.groups] == [set(range(29, 38))]
    assert found.groups_across == ()


def test_closest_pairs_come_first_and_the_same_is_found_again() -> None:
    pictures = photos(20)
    test = [jpeg(picture, quality) for quality in (75, 95) for picture in middle(pictures)]
    data = of(middle(pictures), np.stack(test))
    found = near_duplicates(data)
    bits = [pair.bits for pair in found.pairs]
    assert bits == sorted(bits)
    assert len(bits) >= 40
    assert all(0.85 <= pair.likeness <= 1 + 1e-6 for pair in found.pairs)
    assert found == near_duplicates(data)
    assert found.complete


def slow_pairs(hashes: np.ndarray, distance: int) -> dict[tuple[int, int], int]:
    numbers = [int(h) for h in hashes]
    every = itertools.combinations(range(len(numbers)), 2)
    apart = {(i, j): (numbers[i] ^ numbers[j]).bit_count() for i, j in every}
    return {pair: bits for pair, bits in apart.items() if bits <= distance}


@pytest.mark.parametrize("distance", [0, 1, 3, 4, 10])
@pytest.mark.parametrize("alike", [8, 40])
def test_every_pair_within_the_distance_is_found_once(distance: int, alike: int) -> None:
    rng = np.random.default_rng(alike)
    centres = rng.integers(0, 2**63, 6, np.uint64)
    turned = rng.random((160, 64)) < alike / 128
    noise = np.packbits(turned, axis=1).view(np.uint64).ravel()
    hashes = centres[rng.integers(0, 6, 160)] ^ noise
    found = closest_pairs(hashes, distance, most=10**6)
    expected = slow_pairs(hashes, distance)
    got = dict(zip(map(tuple, found.rows.tolist()), found.distances.tolist(), strict=True))
    assert got == expected
    assert len(found.rows) == len(expected)
    assert found.distances.tolist() == sorted(expected.values())
    assert found.complete


def test_of_too_many_pairs_the_closest_are_kept_and_it_is_said() -> None:
    rng = np.random.default_rng(3)
    hashes = np.packbits(rng.random((120, 64)) < 0.06, axis=1).view(np.uint64).ravel()
    expected = sorted(slow_pairs(hashes, 10).values())
    found = closest_pairs(hashes, 10, most=50)
    assert len(expected) > 50
    assert not found.complete
    assert found.distances.tolist() == expected[:50]
    same = closest_pairs(np.zeros(500, np.uint64), 10, most=50)
    assert (len(same.rows), same.complete) == (50, False)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_have_no_pairs(count: int) -> None:
    assert len(perceptual_hash(np.zeros((count, 32, 32), np.uint8))) == count
    assert len(closest_pairs(np.zeros(count, np.uint64), 10, 5).rows) == 0
    assert near_duplicates(of(middle(photos(1)))).pairs == ()


def test_the_hash_is_the_published_one() -> None:
    """Against the definition, coefficient by coefficient."""
    picture = grey_thumbnails(middle(photos(1)))[0].astype(np.float64)
    turns = np.pi * (2 * np.arange(32) + 1) / 64
    waves = [[np.outer(np.cos(u * turns), np.cos(v * turns)) for v in range(8)] for u in range(8)]
    scale = np.where(np.arange(8) == 0, np.sqrt(0.5), 1.0)
    lowest = np.array([[(picture * wave).sum() for wave in row] for row in waves])
    lowest *= np.outer(scale, scale)
    bits = (lowest > np.median(lowest)).ravel()
    found = perceptual_hash(picture.astype(np.uint8)[None])
    assert np.array_equal(np.unpackbits(found.view(np.uint8)).astype(bool), bits)


def test_a_larger_picture_is_compared_by_its_thumbnail() -> None:
    large = np.kron(middle(photos(12)), np.ones((1, 3, 2, 1), np.uint8))
    assert large.shape[1:] == (96, 64, 3)
    small = shrunk(large)
    assert small.shape == (12, 32, 32, 3)
    reference = large.reshape(12, 32, 3, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(small - reference).mean() < 8
    assert pairs_of(of(large, large[4:5] // 2)) == {(("train", 4), ("test", 0))}


def test_tiny_pictures_and_vectors_are_not_compared() -> None:
    assert comparable(of(middle(photos(2))))
    assert not comparable(of(np.zeros((3, 8, 8, 3), np.uint8)))
    rows = split_of(np.zeros((3, 5), np.float32), [0, 1, 2])
    assert not comparable(Dataset("v", "memory", "vector", ("a", "b", "c"), rows))
