"""Rows of a memory map act as the array they stand for."""

import numpy as np
import pytest

from longtail.data.dataset import Split, split_of
from longtail.data.rows import Rows, take_rows


@pytest.fixture
def mapped(tmp_path) -> np.ndarray:
    np.save(tmp_path / "a.npy", np.arange(60, dtype=np.uint8).reshape(10, 2, 1, 3))
    return np.load(tmp_path / "a.npy", mmap_mode="r")


def test_rows_equal_the_rows_of_the_array(mapped):
    positions = np.array([7, 0, 3, 3])
    rows, expected = take_rows(mapped, positions), np.array(mapped)[positions]
    assert isinstance(rows, Rows)
    assert (rows.shape, rows.dtype, rows.ndim, len(rows)) == (expected.shape, np.uint8, 4, 4)
    assert np.array_equal(np.asarray(rows), expected)
    assert np.array_equal(np.asarray(rows, np.float32), expected.astype(np.float32))
    assert np.array_equal(np.stack(list(rows)), expected)
    for key in (1, slice(1, 3), np.array([2, 0]), np.array([True, False, False, True])):
        assert np.array_equal(rows[key], expected[key])


def test_rows_of_rows_stay_on_disk(mapped):
    again = take_rows(take_rows(mapped, np.array([7, 0, 3])), np.array([2, 0]))
    assert isinstance(again, Rows)
    assert np.array_equal(np.asarray(again), np.array(mapped)[[3, 7]])


def test_a_split_of_a_memory_map_takes_no_memory(mapped):
    part = split_of(mapped, np.arange(10)).take(np.array([4, 2]))
    assert isinstance(part, Split)
    assert isinstance(part.inputs, Rows)
    assert part.labels.tolist() == [4, 2]


def test_rows_in_memory_are_copied():
    assert type(take_rows(np.arange(5), np.array([1, 2]))) is np.ndarray
