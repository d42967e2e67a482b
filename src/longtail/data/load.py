"""One word or path in, one checked dataset out: what every verb that reads data calls."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from longtail.data.cut import cut
from longtail.data.dataset import Dataset, check_labels
from longtail.data.hashing import pictures_hash
from longtail.data.holdout import hold_out
from longtail.data.sources.cifar import load_cifar
from longtail.data.sources.digits import load_digits
from longtail.data.sources.folder import load_folder
from longtail.data.sources.imagenet_lt import load_imagenet_lt
from longtail.data.sources.npz import load_npz
from longtail.errors import DataError, UsageError, did_you_mean


class Source(NamedTuple):
    """A dataset with a name: how it is read, and the cut its name implies."""

    load: Callable[[], Dataset]
    imbalance: float | None = None


SOURCES: dict[str, Source] = {
    "cifar10": Source(partial(load_cifar, 10)),
    "cifar10-lt": Source(partial(load_cifar, 10), imbalance=100),
    "cifar100": Source(partial(load_cifar, 100)),
    "cifar100-lt": Source(partial(load_cifar, 100), imbalance=100),
    "imagenet-lt": Source(load_imagenet_lt),
    "digits": Source(load_digits),
    "digits-lt": Source(load_digits, imbalance=20),
}


def load_dataset(
    spec: str,
    *,
    imbalance: float | None = None,
    holdout: str | None = None,
    image_size: int | None = None,
) -> Dataset:
    """Read a dataset, cut it, set a hold-out aside, and check that it can be trained on.

    Args:
        spec: a name of `SOURCES`, or a path: a folder or .zip of class folders, or a .npz. A name
            wins over a path; type ./digits for a folder of that name.
        imbalance: largest class over smallest; default 100 for cifar10-lt and cifar100-lt, 20 for
            digits-lt, and no cut for everything else.
        holdout: "0.1" or "discarded:20", see `hold_out`.
        image_size: side in pixels that class folders are resized to; other data have their own.

    Raises:
        UsageError: an unknown name, or an option that does not fit.
        DataError: data that cannot be read, or with fewer than two classes to train on.
    """
    source = SOURCES.get(spec) or Source(partial(_load_path, spec, image_size))
    dataset = source.load()
    _check_size(dataset, image_size)
    factor = source.imbalance if imbalance is None else imbalance
    return prepare(dataset, imbalance=factor, holdout=holdout)


def prepare(
    dataset: Dataset, *, imbalance: float | None = None, holdout: str | None = None
) -> Dataset:
    """Check a dataset, cut it, hash it and set a hold-out aside, as `load_dataset` does.

    Args:
        dataset: from a source, or made by hand.
        imbalance: largest class over smallest; None cuts nothing.
        holdout: "0.1" or "discarded:20"; None sets nothing aside.

    Raises:
        UsageError, DataError: as `load_dataset`.
    """
    _check_trainable(dataset)
    if imbalance is not None:
        dataset = cut(dataset, imbalance)
        _check_trainable(dataset)
    if not dataset.data_hash:
        dataset = dataclasses.replace(dataset, data_hash=pictures_hash(dataset.train.inputs))
    return hold_out(dataset, holdout) if holdout is not None else dataset


def _load_path(spec: str, image_size: int | None) -> Dataset:
    path = Path(spec).expanduser()
    if not path.exists():
        raise UsageError(
            f"{spec!r} is no dataset longtail knows, and there is no such file or folder. "
            f"{did_you_mean(spec, SOURCES)}"
        )
    if path.suffix == ".npz":
        return load_npz(path)
    if path.is_dir() or path.suffix == ".zip":
        return load_folder(path, image_size=image_size)
    raise UsageError(
        f"{path.name} is no data longtail can read: give a folder or .zip of class folders, or a "
        ".npz file."
    )


def _check_size(dataset: Dataset, image_size: int | None) -> None:
    """An image size that the data cannot take would otherwise be dropped in silence."""
    if image_size is None or dataset.input_shape[:2] == (image_size, image_size):
        return
    shape = "x".join(str(side) for side in dataset.input_shape)
    raise UsageError(
        f"--image-size {image_size}: {dataset.name} has inputs of {shape}, and only class folders "
        "can be resized; leave the option out."
    )


def _check_trainable(dataset: Dataset) -> None:
    """Raise `DataError` unless labels are class ids and two classes have something to train on."""
    parts = {"train": dataset.train, "test": dataset.test, "holdout": dataset.holdout}
    for name, split in parts.items():
        if split is not None:
            check_labels(split.labels, dataset.class_names, f"{dataset.name} ({name})")
    present = np.count_nonzero(dataset.counts)
    if present < 2:
        raise DataError(
            f"{dataset.name} has {len(dataset.train)} training samples in {present} classes; a "
            "classifier needs at least two classes with training samples."
        )
