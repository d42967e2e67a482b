"""A dataset in one file or in folders, to pass on exactly what a run was trained on.

The archive is a .npz without pickle: photographs as lossless WebP, back to back in one row of
bytes with their offsets, and everything else as plain arrays.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from longtail.data.dataset import Dataset, Kind, Split
from longtail.data.hashing import pictures_hash
from longtail.errors import DataError, UsageError

Arrays = Mapping[str, npt.NDArray[Any]]

FORMAT_KEY = "longtail_archive"
_FORMAT = 1
_THREADS = min(8, os.cpu_count() or 1)
_CHUNK = 64


def write_archive(dataset: Dataset, path: Path) -> None:
    """Write train, test and a hold-out of its own, all or nothing, to the .npz file `path`.

    What the cut discarded is left out. `load_npz` reads the file back bit for bit and checks the
    hash of train.

    Raises:
        UsageError: `path` does not end in .npz, or train no longer has the hash of the dataset, as
            after `hold_out`.
    """
    if path.suffix != ".npz":
        raise UsageError(f"{path.name}: an archive is one .npz file; type --out NAME.npz.")
    if pictures_hash(dataset.train.inputs) != dataset.data_hash:
        raise UsageError(
            f"{dataset.name}: train is not what its data hash names; write the archive before a "
            "hold-out is taken from train, and give --holdout when training on it."
        )
    arrays: dict[str, npt.NDArray[Any]] = {
        FORMAT_KEY: np.array(_FORMAT),
        "name": np.array(dataset.name),
        "source": np.array(dataset.source),
        "kind": np.array(dataset.kind),
        "class_names": np.array(dataset.class_names),
        "notes": np.array(dataset.notes, np.str_),
        "data_hash": np.array(dataset.data_hash),
    }
    if dataset.normalisation is not None:
        arrays["normalisation"] = np.array(dataset.normalisation, np.float64)
    for part, split in _parts(dataset).items():
        arrays |= _packed_split(part, split, dataset.kind)
    _write_whole(path, arrays)


def read_archive(arrays: Arrays, name: str) -> Dataset:
    """The dataset that `write_archive` wrote.

    Args:
        arrays: the contents of the file, all of them in memory.
        name: the file's name, for the error.

    Raises:
        DataError: another version of the format, a key missing or damaged, or a wrong hash.
    """
    if arrays[FORMAT_KEY].tolist() != _FORMAT:
        raise DataError(
            f"{name} is a longtail archive of format {arrays[FORMAT_KEY]}; this version reads "
            f"format {_FORMAT}. Write it again with `longtail data cut`."
        )
    try:
        dataset = _unpacked(arrays)
    except (KeyError, ValueError, IndexError, UnidentifiedImageError, OSError) as problem:
        raise _damaged(name, str(problem)) from problem
    if pictures_hash(dataset.train.inputs) != dataset.data_hash:
        raise _damaged(name, "the training pictures are not those its hash names")
    return dataset


def write_folders(dataset: Dataset, folder: Path) -> None:
    """Write pictures as `folder`/train/CLASS/INDEX.png and likewise test, all or nothing.

    Class names sort in another order than class ids may, so reading the folders back can renumber
    the classes; the pictures and their hash stay.

    Raises:
        UsageError: `folder` exists, the data are vectors, or a class name cannot name a folder.
    """
    if dataset.kind == "vector":
        raise UsageError(f"{dataset.name} holds vectors, not pictures; type --out NAME.npz.")
    if folder.exists():
        raise UsageError(f"{folder} exists; name a new folder, or remove it first.")
    for name in dataset.class_names:
        # A leading dot covers "." and "..", and hides a folder from whoever reads it back.
        if not name or name.startswith(".") or "/" in name or "\\" in name:
            raise UsageError(f"Class {name!r} cannot name a folder; type --out NAME.npz.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename within one file system.
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for part, split in _parts(dataset).items():
            _write_pictures(split, dataset.class_names, unfinished / _FOLDER_NAMES[part])
        unfinished.chmod(0o755)  # mkdtemp's 0700 would hide the data from colleagues
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


_FOLDER_NAMES = {"train": "train", "test": "test", "holdout": "val"}


def _parts(dataset: Dataset) -> dict[str, Split]:
    parts = {"train": dataset.train, "test": dataset.test, "holdout": dataset.holdout}
    return {name: split for name, split in parts.items() if split is not None}


def _write_pictures(split: Split, class_names: tuple[str, ...], folder: Path) -> None:
    for name in class_names:
        (folder / name).mkdir(parents=True)
    width = len(str(split.index.max(initial=0)))
    for picture, label, index in zip(split.inputs, split.labels, split.index, strict=True):
        file = folder / class_names[label] / f"{index:0{width}d}.png"
        Image.fromarray(picture).save(file)


def _packed_split(part: str, split: Split, kind: Kind) -> dict[str, npt.NDArray[Any]]:
    packed = {f"{part}_labels": split.labels, f"{part}_index": split.index}
    # WebP's header outweighs an 8x8 digit, and vectors are no picture: both stay as they are.
    if kind != "photo":
        return packed | {f"{part}_inputs": np.asarray(split.inputs)}
    with ThreadPoolExecutor(_THREADS) as pool:
        encoded = list(pool.map(_webp, split.inputs, chunksize=_CHUNK))
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return packed | {
        f"{part}_bytes": np.frombuffer(b"".join(encoded), np.uint8),
        f"{part}_offsets": offsets,
        f"{part}_shape": np.array(split.inputs.shape, np.int64),
    }


def _webp(picture: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True, quality=80, method=4)
    return buffer.getvalue()


def _unpacked(arrays: Arrays) -> Dataset:
    kind = str(arrays["kind"])
    if kind not in ("photo", "digits", "vector"):
        raise ValueError(f"kind {kind!r} is unknown")
    read = {
        part: _unpacked_split(arrays, part) for part in _FOLDER_NAMES if f"{part}_labels" in arrays
    }
    return Dataset(
        name=str(arrays["name"]),
        source=str(arrays["source"]),
        kind=cast(Kind, kind),
        class_names=tuple(map(str, arrays["class_names"])),
        train=read["train"],
        test=read.get("test"),
        holdout=read.get("holdout"),
        data_hash=str(arrays["data_hash"]),
        normalisation=_normalisation(arrays),
        notes=tuple(map(str, arrays["notes"])),
    )


def _normalisation(arrays: Arrays) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if "normalisation" not in arrays:
        return None
    mean, deviation = arrays["normalisation"].tolist()
    return tuple(mean), tuple(deviation)


def _unpacked_split(arrays: Arrays, part: str) -> Split:
    labels, index = arrays[f"{part}_labels"], arrays[f"{part}_index"]
    if f"{part}_bytes" in arrays:
        inputs = _pictures(
            arrays[f"{part}_bytes"], arrays[f"{part}_offsets"], arrays[f"{part}_shape"]
        )
    else:
        inputs = arrays[f"{part}_inputs"]
    if not len(inputs) == len(labels) == len(index):
        raise ValueError(f"{part} has {len(inputs)} inputs, {len(labels)} labels")
    return Split(inputs, labels, index)


def _pictures(
    blob: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], shape: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    pictures = np.empty(tuple(shape), np.uint8)
    if len(offsets) != len(pictures) + 1:
        raise ValueError(f"{len(pictures)} pictures have {len(offsets)} offsets")
    content = blob.tobytes()

    def decode(number: int) -> None:
        start, stop = offsets[number : number + 2]
        with Image.open(io.BytesIO(content[start:stop]), formats=["WEBP"]) as image:
            pictures[number] = np.asarray(image.convert("RGB"))

    with ThreadPoolExecutor(_THREADS) as pool:
        # Consuming the results raises the first error a thread met.
        for _ in pool.map(decode, range(len(pictures)), chunksize=_CHUNK):
            pass
    return pictures


def _write_whole(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Save to a file beside `path`, then rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's own flag shares the **
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _damaged(name: str, reason: str) -> DataError:
    return DataError(
        f"{name} is a damaged longtail archive ({reason}); write it again with `longtail data cut`."
    )
