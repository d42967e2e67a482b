"""Some rows of an array that stays on disk."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt


class Rows:
    """Rows of a memory map, read when they are indexed: a cut or a hold-out that costs no memory.

    Args:
        source: the memory map.
        positions: int64 [n], which of its rows these are, in this order.
    """

    def __init__(self, source: npt.NDArray[Any], positions: npt.NDArray[np.int64]) -> None:
        self.source = source
        self.positions = positions
        self.shape = (len(positions), *source.shape[1:])
        self.dtype = source.dtype
        self.ndim = source.ndim

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.positions)

    def __getitem__(self, rows: Any) -> npt.NDArray[Any]:
        """Rows by number, slice, or array of numbers or booleans, read into memory."""
        return np.asarray(self.source[self.positions[rows]])

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        """One row after the other."""
        return (np.asarray(self.source[position]) for position in self.positions)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All rows in memory."""
        del copy  # reading always copies
        everything = np.asarray(self.source[self.positions])
        return everything if dtype is None else everything.astype(dtype)


def take_rows(array: Any, positions: npt.NDArray[np.int64]) -> Any:
    """Rows of an array: left on disk where it is a memory map, else copied."""
    if isinstance(array, Rows):
        return Rows(array.source, array.positions[positions])
    if isinstance(array, np.memmap):
        return Rows(array, np.arange(len(array))[positions])
    return array[positions]
