"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), in whichever of their forms is on this machine.

The official binary files and torchvision's folders give the same arrays in the same order; class
folders do not keep that order, so a cut of them is another subset with another hash.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from longtail.data.dataset import Dataset, Split, check_labels, split_of
from longtail.data.sources.folder import load_folder
from longtail.errors import DataError

NumClasses = Literal[10, 100]
SIDE = 32
# Mean and deviation of each channel as LDAM-DRW and nearly all after it use them, for CIFAR-100 too
# although they are CIFAR-10's: with the true ones a published number would not be comparable.
NORMALISATION = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
_PIXELS = 3 * SIDE * SIDE


class Layout(NamedTuple):
    """How the official binary release lays out one of the two datasets.

    A record is `label_bytes` labels, the fine one last, then 32x32 red, green and blue.
    """

    folder: str
    train_files: tuple[str, ...]
    test_file: str
    names_file: str
    label_bytes: int
    train_records: int
    test_records: int


LAYOUTS: dict[int, Layout] = {
    10: Layout(
        folder="cifar-10-batches-bin",
        train_files=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test_file="test_batch.bin",
        names_file="batches.meta.txt",
        label_bytes=1,
        train_records=10_000,
        test_records=10_000,
    ),
    100: Layout(
        folder="cifar-100-binary",
        train_files=("train.bin",),
        test_file="test.bin",
        names_file="fine_label_names.txt",
        label_bytes=2,
        train_records=50_000,
        test_records=10_000,
    ),
}
_PYTHON_FOLDERS = {10: "cifar-10-batches-py", 100: "cifar-100-python"}


def data_roots() -> list[Path]:
    """Where named data are looked for: `$LONGTAIL_DATA` if set, then `~/.cache/longtail`."""
    chosen = os.environ.get("LONGTAIL_DATA")
    cache = Path.home() / ".cache" / "longtail"
    return [Path(chosen).expanduser(), cache] if chosen else [cache]


def load_cifar(num_classes: NumClasses, root: Path | None = None) -> Dataset:
    """CIFAR-10 or CIFAR-100 with the official train and test sets, pictures uint8 [n, 32, 32, 3].

    In each root: the official binary folder, torchvision's python folder, class folders named
    cifar10 or cifar100 (or a .zip of them); what is not found is downloaded by torchvision.

    Args:
        num_classes: 10 or 100.
        root: a folder that holds one of the forms, or itself one of them; default `data_roots()`.

    Raises:
        DataError: a file is missing, truncated or of another size, or there are no data and none
            can be downloaded.
    """
    roots = data_roots() if root is None else [root]
    readers: tuple[tuple[str, Callable[[Path, NumClasses], Dataset]], ...] = (
        (LAYOUTS[num_classes].folder, _load_binary),
        (_PYTHON_FOLDERS[num_classes], _load_python),
        (f"cifar{num_classes}", _load_class_folders),
        (f"cifar{num_classes}.zip", _load_class_folders),
    )
    for place in roots:
        for name, read in readers:
            if (found := _find(place, name)) is not None:
                return read(found, num_classes)
    return _download(roots, num_classes, [name for name, _ in readers])


def read_binary(folder: Path, layout: Layout) -> tuple[Split, Split, tuple[str, ...]]:
    """Train, test and class names of the official binary files in `folder`.

    Raises:
        DataError: a file is missing or not of the layout's size, or a label is no class.
    """
    class_names = _read_names(folder / layout.names_file)
    train = _read_records(
        [folder / name for name in layout.train_files], layout.train_records, layout.label_bytes
    )
    test = _read_records([folder / layout.test_file], layout.test_records, layout.label_bytes)
    for name, split in (("train", train), ("test", test)):
        check_labels(split.labels, class_names, f"{folder.name} ({name})")
    return train, test, class_names


def _find(root: Path, name: str) -> Path | None:
    """`name` in `root`, or `root` itself where it bears that name."""
    if (root / name).exists():
        return root / name
    return root if root.name == name and root.exists() else None


def _read_records(files: Sequence[Path], records: int, label_bytes: int) -> Split:
    pictures = np.empty((len(files) * records, SIDE, SIDE, 3), np.uint8)
    labels = np.empty(len(pictures), np.int64)
    for number, file in enumerate(files):
        rows = slice(number * records, (number + 1) * records)
        content = _read_file(file, records, label_bytes + _PIXELS)
        labels[rows] = content[:, label_bytes - 1]
        planes = content[:, label_bytes:].reshape(records, 3, SIDE, SIDE)
        pictures[rows] = planes.transpose(0, 2, 3, 1)
    return split_of(pictures, labels)


def _read_file(file: Path, records: int, record_bytes: int) -> npt.NDArray[np.uint8]:
    """One file as uint8 [records, record_bytes], its size checked first."""
    if not file.is_file():
        raise DataError(
            f"{file.parent.name} has no {file.name}; unpack the official archive again there."
        )
    size, expected = file.stat().st_size, records * record_bytes
    if size != expected:
        raise DataError(
            f"{file.parent.name}/{file.name} has {size:,} bytes instead of {expected:,}: it is "
            "truncated or another file; unpack the official archive again there."
        )
    return np.fromfile(file, np.uint8).reshape(records, record_bytes)


def _read_names(file: Path) -> tuple[str, ...]:
    if not file.is_file():
        raise DataError(
            f"{file.parent.name} has no {file.name}, the file with the class names; unpack the "
            "official archive again there."
        )
    return tuple(file.read_text(encoding="utf-8", errors="replace").split())


def _load_binary(folder: Path, num_classes: NumClasses) -> Dataset:
    train, test, class_names = read_binary(folder, LAYOUTS[num_classes])
    _check_class_number(class_names, num_classes, folder)
    return _dataset(num_classes, class_names, train, test, "official binary files")


def _load_python(folder: Path, num_classes: NumClasses) -> Dataset:
    try:
        train, test, class_names = _read_torchvision(folder.parent, num_classes, download=False)
    except (RuntimeError, OSError) as problem:
        raise DataError(
            f"{folder.name} cannot be read by torchvision ({problem}); unpack the official archive "
            "again there, or remove the folder to have it downloaded."
        ) from problem
    return _dataset(num_classes, class_names, train, test, "official python files")


def _read_torchvision(
    root: Path, num_classes: NumClasses, *, download: bool
) -> tuple[Split, Split, tuple[str, ...]]:
    from torchvision.datasets import CIFAR10, CIFAR100

    reader = CIFAR10 if num_classes == 10 else CIFAR100
    train = reader(str(root), train=True, download=download)
    test = reader(str(root), train=False, download=download)
    return (
        split_of(train.data, train.targets),
        split_of(test.data, test.targets),
        tuple(train.classes),
    )


def _load_class_folders(path: Path, num_classes: NumClasses) -> Dataset:
    dataset = load_folder(path, image_size=SIDE)
    _check_class_number(dataset.class_names, num_classes, path)
    form = "a .zip of class folders" if path.suffix == ".zip" else "class folders"
    note = (
        "Read from class folders, whose order is not the official one: a cut takes other pictures "
        "than from the official files, so its numbers belong to another table."
    )
    return dataclasses.replace(
        dataset,
        name=f"cifar{num_classes}",
        source=f"CIFAR-{num_classes}, {form}",
        normalisation=NORMALISATION,
        notes=(*dataset.notes, note),
    )


def _check_class_number(class_names: Sequence[str], num_classes: int, path: Path) -> None:
    if len(class_names) != num_classes:
        raise DataError(
            f"{path.name} has {len(class_names)} classes; CIFAR-{num_classes} has {num_classes}."
        )


def _dataset(
    num_classes: int, class_names: tuple[str, ...], train: Split, test: Split, form: str
) -> Dataset:
    return Dataset(
        name=f"cifar{num_classes}",
        source=f"CIFAR-{num_classes}, {form}",
        kind="photo",
        class_names=class_names,
        train=train,
        test=test,
        normalisation=NORMALISATION,
    )


def _download(roots: Sequence[Path], num_classes: NumClasses, names: Sequence[str]) -> Dataset:
    """Let torchvision fetch the official files into the last root, the cache."""
    try:
        train, test, class_names = _read_torchvision(roots[-1], num_classes, download=True)
    except (RuntimeError, OSError) as problem:  # URLError is an OSError
        looked = " and ".join(str(root) for root in roots)
        raise DataError(
            f"CIFAR-{num_classes} is not in {looked}, and downloading it failed ({problem}). "
            f"Put one of {', '.join(names)} there, or set LONGTAIL_DATA to the folder that has it."
        ) from problem
    return _dataset(num_classes, class_names, train, test, "official python files")
