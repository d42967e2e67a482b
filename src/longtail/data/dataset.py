"""What every source returns and everything after it reads: pictures or vectors with labels.

Plain numpy, immutable by convention. Pictures stay uint8 [n, h, w, 3], often a memory map of the
decoded cache, so a dataset larger than memory can still be opened.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from longtail.data.rows import take_rows
from longtail.errors import DataError

Kind = Literal["photo", "digits", "vector"]
"""Which views suit the data: photographs (flip, colour), digits (neither), or plain vectors."""


@dataclasses.dataclass(frozen=True)
class Split:
    """Some samples of a dataset.

    Attributes:
        inputs: uint8 [n, h, w, 3] pictures or float32 [n, d] vectors; an array, a memory map, or
            `Rows` of one, which is indexed and iterated alike.
        labels: int64 [n], class ids in [0, num_classes).
        index: int64 [n], the sample's position in its source's own order, for naming it later.
    """

    inputs: npt.NDArray[np.generic]
    labels: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def take(self, positions: npt.NDArray[np.int64]) -> "Split":
        """The samples at `positions`, in that order."""
        chosen = take_rows(self.inputs, positions)
        return Split(chosen, self.labels[positions], self.index[positions])


def split_of(inputs: npt.NDArray[np.generic], labels: npt.ArrayLike) -> Split:
    """A split whose index is its own order."""
    y = np.asarray(labels, np.int64)
    return Split(inputs, y, np.arange(len(y), dtype=np.int64))


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A classification problem: train, test and perhaps a hold-out taken from train.

    Attributes:
        name: what a table calls it, e.g. "cifar10-lt-if100".
        source: where it came from, in words a reader can act on; never a private path.
        kind: which views suit it.
        class_names: one name a class id.
        train: what is trained on (after the cut and the hold-out).
        test: read once, at the end; None where the data have none.
        holdout: a labelled part of train kept aside for choosing; None without `--holdout`.
        discarded: what the long-tail cut threw away; None where nothing was cut.
        data_hash: sha256 over the sorted sha256 of the training pictures after the cut and before
            the hold-out, so every hold-out of one cut shares it.
        normalisation: mean and deviation of each channel that papers fix for these data, for
            pictures in [0, 1]; None has them measured on train.
        split_here: whether train and test were one set that longtail divided.
        notes: what was done to the data on the way, in sentences (shown and recorded).
    """

    name: str
    source: str
    kind: Kind
    class_names: tuple[str, ...]
    train: Split
    test: Split | None = None
    holdout: Split | None = None
    discarded: Split | None = None
    data_hash: str = ""
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    split_here: bool = False
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """Number of classes, present in train or not."""
        return len(self.class_names)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Training samples a class, int64 [c]."""
        return class_counts(self.train.labels, self.num_classes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(h, w, 3) of a picture or (d,) of a vector."""
        return tuple(self.train.inputs.shape[1:])


def joined(first: Split, second: Split) -> Split:
    """The samples of both, in memory."""
    return Split(
        np.concatenate([first.inputs, second.inputs]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.index, second.index]),
    )


def class_counts(labels: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.int64]:
    """Samples a class, int64 [num_classes]."""
    return np.bincount(labels, minlength=num_classes).astype(np.int64)


def check_labels(labels: npt.ArrayLike, class_names: Sequence[str], where: str) -> None:
    """Raise `DataError` naming the first rows whose label is no class id in [0, num_classes)."""
    y = np.asarray(labels)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise DataError(
            f"{where}: labels have shape {y.shape} and type {y.dtype}; expected one row of "
            "integers."
        )
    bad = np.flatnonzero((y < 0) | (y >= len(class_names)))
    if bad.size:
        shown = ", ".join(f"row {i}: {y[i]}" for i in bad[:5])
        raise DataError(
            f"{where}: {bad.size} labels are outside 0..{len(class_names) - 1} ({shown}). "
            f"There are {len(class_names)} classes; renumber the labels from 0."
        )
