"""The cut: class sizes, the LDAM-DRW draw, and the hash that names a subset."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.data.cut import cut, long_tail_counts, naming
from longtail.data.dataset import Dataset, class_counts, split_of
from longtail.data.hashing import pictures_hash
from longtail.errors import DataError, UsageError

checked = settings(derandomize=True, deadline=None, max_examples=40)


def dataset_of(labels: list[int], num_classes: int) -> Dataset:
    """Pictures that hold their own position, so that none equals another."""
    positions = np.arange(len(labels), dtype="<u4")
    pictures = np.repeat(positions.view(np.uint8).reshape(-1, 2, 2, 1), 3, axis=-1)
    names = tuple(f"class {label}" for label in range(num_classes))
    return Dataset("toy", "a test", "photo", names, split_of(pictures, labels))


def ldam_drw_draw(labels: list[int], sizes: list[int]) -> list[list[int]]:
    """The published draw in its own terms: numpy's global stream, seeded once, class by class."""
    state = np.random.get_state()
    np.random.seed(0)
    drawn = []
    for label, size in enumerate(sizes):
        of_class = np.where(np.array(labels) == label)[0]
        np.random.shuffle(of_class)
        drawn.append(of_class[:size].tolist())
    np.random.set_state(state)
    return drawn


@pytest.mark.parametrize(
    ("num_classes", "imbalance", "total"),
    [
        (10, 10, 20_431),
        (10, 50, 13_996),
        (10, 100, 12_406),
        (10, 200, 11_203),
        (100, 10, 19_573),
        (100, 50, 12_608),
        (100, 100, 10_847),
        (100, 200, 9_502),
    ],
)
def test_totals_are_those_published_for_cifar(num_classes, imbalance, total):
    counts = long_tail_counts(50_000 // num_classes, num_classes, imbalance)
    assert counts.dtype == np.int64
    assert counts.sum() == total
    assert counts[0] == 50_000 // num_classes


def test_powers_of_one_rounded_ratio_would_lose_a_picture():
    ratio = (1 / 10) ** (1 / 99)
    recursive = [int(500 * ratio**label) for label in range(100)]
    assert sum(recursive) == 19_572
    assert long_tail_counts(500, 100, 10).sum() == 19_573


def test_imbalance_of_one_keeps_every_class_whole():
    assert long_tail_counts(7, 3, 1).tolist() == [7, 7, 7]


@pytest.mark.parametrize("imbalance", [0.5, 0, -3, float("nan"), float("inf")])
def test_an_imbalance_below_one_or_not_finite_is_refused(imbalance):
    with pytest.raises(UsageError, match="--imbalance 100"):
        long_tail_counts(10, 3, imbalance)


def test_one_class_has_no_tail():
    with pytest.raises(DataError, match="at least 2 classes; the data have 1"):
        long_tail_counts(10, 1, 100)


def test_the_draw_is_the_one_of_ldam_drw_and_ordered_class_by_class():
    labels = np.random.RandomState(7).permutation(np.repeat(np.arange(4), 30)).tolist()
    result = cut(dataset_of(labels, 4), 8)
    expected = ldam_drw_draw(labels, [30, 15, 7, 3])
    assert result.train.index.tolist() == [i for drawn in expected for i in drawn]
    assert result.train.labels.tolist() == [0] * 30 + [1] * 15 + [2] * 7 + [3] * 3


def test_the_draw_leaves_numpys_global_stream_alone():
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    cut(dataset_of([0, 0, 1, 1], 2), 2)
    assert np.random.rand() == expected


@checked
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.floats(1, 50))
def test_kept_and_discarded_are_the_training_set_once(labels, imbalance):
    dataset = dataset_of(labels, 4)
    result = cut(dataset, imbalance)
    both = np.concatenate([result.train.index, result.discarded.index])
    assert sorted(both.tolist()) == list(range(len(labels)))
    wanted = long_tail_counts(int(dataset.counts.max()), 4, imbalance)
    assert result.counts.tolist() == np.minimum(wanted, dataset.counts).tolist()
    for split in (result.train, result.discarded):
        assert np.array_equal(split.inputs, dataset.train.inputs[split.index])
        assert np.array_equal(split.labels, dataset.train.labels[split.index])


def test_the_name_says_the_imbalance_and_the_hash_names_the_kept_pictures():
    result = cut(dataset_of([0] * 8 + [1] * 8, 2), 2.5)
    assert result.name == "toy-lt-if2.5"
    assert result.data_hash == pictures_hash(result.train.inputs)
    assert result.data_hash != pictures_hash(result.discarded.inputs)


def test_a_class_too_small_for_the_formula_keeps_all_and_is_named():
    result = cut(dataset_of([0] * 3 + [1] * 12 + [2] * 12, 3), 4)
    assert class_counts(result.train.labels, 3).tolist() == [3, 6, 3]
    assert any("1 class (class 0)" in note for note in result.notes)


def test_a_class_that_gets_nothing_is_named():
    result = cut(dataset_of([0] * 5 + [1] * 5, 2), 10)
    assert result.counts.tolist() == [5, 0]
    assert any("no training sample in 1 class (class 1)" in note for note in result.notes)


def test_many_classes_are_named_by_their_first_five():
    names = tuple("abcdefgh")
    assert naming(range(7), names) == "7 classes (a, b, c, d, e, ...)"
    assert naming([7], names) == "1 class (h)"


def test_the_hash_is_sha256_over_sorted_digests():
    rows = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    digests = sorted(hashlib.sha256(row.tobytes()).digest() for row in rows)
    assert pictures_hash(rows) == hashlib.sha256(digests[0] + digests[1]).hexdigest()


def test_the_hash_ignores_order_and_layout_and_sees_one_grey_level():
    rows = np.random.RandomState(0).randint(0, 256, (9, 4, 4, 3), np.uint8)
    shuffled = rows[::-1].transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3)
    assert pictures_hash(shuffled) == pictures_hash(rows)
    changed = rows.copy()
    changed[3, 0, 0, 0] ^= 1
    assert pictures_hash(changed) != pictures_hash(rows)
    assert pictures_hash(rows[:8]) != pictures_hash(rows)
