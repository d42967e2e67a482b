"""The hold-out: stratified, the same for every seed, never empty-handed towards train."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.data.cut import cut
from longtail.data.dataset import Dataset, class_counts, split_of
from longtail.data.holdout import hold_out, keyed_draw, stratified_amounts
from longtail.errors import DataError, UsageError

checked = settings(derandomize=True, deadline=None, max_examples=40)


def dataset_of(counts: list[int]) -> Dataset:
    labels = np.random.RandomState(1).permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = np.arange(len(labels), dtype=np.float32)[:, None]
    names = tuple(f"class {label}" for label in range(len(counts)))
    return Dataset("toy", "a test", "vector", names, split_of(vectors, labels), data_hash="abc")


@checked
@given(st.lists(st.integers(0, 30), min_size=2, max_size=6), st.floats(0.01, 0.99))
def test_train_and_hold_out_are_the_training_set_once_and_no_class_loses_all(counts, fraction):
    before = dataset_of(counts)
    after = hold_out(before, repr(fraction))
    both = np.concatenate([after.train.index, after.holdout.index])
    assert sorted(both.tolist()) == list(range(sum(counts)))
    assert np.all((after.counts > 0) == (before.counts > 0))
    assert np.all(np.diff(after.train.index) > 0)
    held = class_counts(after.holdout.labels, len(counts))
    assert np.all(held[before.counts >= 2] >= 1)
    assert np.all(np.abs(held - before.counts * fraction) <= 1)
    assert np.array_equal(after.holdout.inputs[:, 0], after.holdout.index)


def test_stratified_amounts_by_hand():
    counts = np.array([5000, 50, 15, 4, 2, 1, 0])
    assert stratified_amounts(counts, 0.1).tolist() == [500, 5, 2, 1, 1, 0, 0]
    assert stratified_amounts(counts, 0.99).tolist() == [4950, 49, 14, 3, 1, 0, 0]


def test_the_hash_of_the_cut_survives_and_the_record_says_what_was_held_out():
    after = hold_out(dataset_of([100, 20]), "0.1")
    assert after.data_hash == "abc"
    assert after.notes[-1].startswith("Hold-out 0.1: 12 of 120 training samples")


def test_a_class_of_one_stays_in_train_and_is_named():
    after = hold_out(dataset_of([20, 1, 1]), "0.5")
    assert after.counts.tolist() == [10, 1, 1]
    assert "2 classes (class 1, class 2)" in after.notes[-1]


def test_who_is_held_out_depends_on_the_index_and_not_on_the_order_of_the_rest():
    whole = dataset_of([40, 40]).train
    shuffled = whole.take(np.random.RandomState(5).permutation(80))
    amounts = np.array([9, 3])
    first = whole.index[keyed_draw(whole, amounts, "x")]
    assert set(first) == set(shuffled.index[keyed_draw(shuffled, amounts, "x")])
    assert set(first) != set(whole.index[keyed_draw(whole, amounts, "y")])
    # Fewer of the same draw are a part of it: removing others' pictures moves nobody.
    assert set(whole.index[keyed_draw(whole, np.array([4, 2]), "x")]) < set(first)


def test_every_sample_is_as_likely_as_another():
    split = dataset_of([4000]).train
    chosen = split.index[keyed_draw(split, np.array([1000]), "x")]
    in_fours = np.bincount(chosen // 1000, minlength=4)
    assert np.abs(in_fours - 250).max() < 5 * np.sqrt(1000 * 0.25 * 0.75)


def test_discarded_pictures_are_held_out_and_the_largest_class_gives_its_own():
    before = cut(dataset_of([40, 40, 40]), 4)
    after = hold_out(before, "discarded:6")
    assert class_counts(after.holdout.labels, 3).tolist() == [6, 6, 6]
    assert before.counts.tolist() == [40, 20, 10]
    assert after.counts.tolist() == [34, 20, 10]
    held = set(after.holdout.index.tolist())
    assert held.isdisjoint(after.train.index.tolist())
    assert held <= set(before.discarded.index.tolist()) | set(before.train.index[:40].tolist())
    assert any("1 class (class 0): 6 training samples" in note for note in after.notes)
    assert after.data_hash == before.data_hash


def test_a_class_partly_discarded_gives_the_rest_and_keeps_one():
    before = cut(dataset_of([12, 12, 3]), 1.5)
    assert before.counts.tolist() == [12, 9, 3]
    after = hold_out(before, "discarded:5")
    assert class_counts(after.holdout.labels, 3).tolist() == [5, 5, 2]
    assert after.counts.tolist() == [7, 7, 1]
    assert "incomplete in 1 class (class 2)" in after.notes[-1]


def test_discarded_needs_a_cut():
    with pytest.raises(DataError, match="add --imbalance 100"):
        hold_out(dataset_of([9, 9]), "discarded:2")


@pytest.mark.parametrize(
    "spec",
    [
        *("", "0", "1", "1.5", "-0.1", "nan", "inf", "10%", "test"),
        *("discarded", "discarded:", "Discarded:2"),
        *("discarded:0", "discarded:-1", "discarded:2.5", "discarded:²"),
    ],
)
def test_a_bad_spec_says_what_to_type(spec):
    with pytest.raises(UsageError, match="or --holdout discarded:20"):
        hold_out(cut(dataset_of([9, 9]), 2), spec)


def test_data_with_a_hold_out_of_their_own_take_no_second_one():
    whole = dataset_of([9, 9])
    with pytest.raises(UsageError, match="leave --holdout out"):
        hold_out(dataclasses.replace(whole, holdout=whole.train), "0.1")
