"""A user's own arrays in a .npz file, or an archive that `longtail data cut` wrote.

Keys: `train_inputs`, `train_labels` and, where there are any, `test_*` and `holdout_*`; or `inputs`
and `labels` alone, from which a fixed fifth of each class becomes test. `class_names` is optional.
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from longtail.data.archive import FORMAT_KEY, read_archive
from longtail.data.cut import naming
from longtail.data.dataset import Dataset, Split, check_labels, class_counts, split_of
from longtail.data.holdout import keyed_draw
from longtail.errors import DataError

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

TEST_FRACTION = 0.2
_PARTS = ("train", "test", "holdout")
_WHOLE = ""
_EXPECTED = (
    "uint8 pictures [n, h, w, 3] or [n, h, w], or float vectors [n, d]; "
    "convert with .astype(numpy.uint8) or .astype(numpy.float32)"
)


def load_npz(path: Path) -> Dataset:
    """Read pictures (uint8 [n, h, w, 3] or grey [n, h, w]) or vectors (float [n, d]) with labels.

    Labels are class ids from 0 or strings; strings become class names in sorted order. Vectors are
    handed on as they are, in float32: the batches standardise them by the training rows, and the
    run records by what.

    Raises:
        DataError: no .npz file, an array that needs pickle, or a key that is missing, unknown or
            holds something else; names the key, its shape and its type.
    """
    arrays = _read_arrays(path)
    if FORMAT_KEY in arrays:
        return read_archive(arrays, path.name)
    parts = _check_keys(arrays, path.name)
    class_names = _class_names(arrays, parts, path.name)
    splits = {part: _split(arrays, part, class_names, path.name) for part in parts}
    _check_same_shape(splits, path.name)
    notes = _notes(arrays)
    if _WHOLE in splits:
        splits, note = _split_off_test(splits[_WHOLE], class_names)
        notes.append(note)
    return Dataset(
        name=path.stem,
        source=f"{path.name}, arrays",
        kind="photo" if splits["train"].inputs.ndim == 4 else "vector",
        class_names=class_names,
        train=splits["train"],
        test=splits.get("test"),
        holdout=splits.get("holdout"),
        split_here=_WHOLE in parts,
        notes=tuple(notes),
    )


def _read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of the file; pickle is never allowed, whatever the file asks for."""
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as why:
        # AttributeError: a lone .npy under another name loads as an array without `files`.
        raise DataError(
            f"{path.name} cannot be read as a .npz of plain arrays ({why}). Write it with "
            "numpy.savez; arrays of Python objects are refused, since reading them can run code."
        ) from why


def _key(part: str, what: str) -> str:
    return f"{part}_{what}" if part else what


def _check_keys(arrays: Arrays, name: str) -> tuple[str, ...]:
    """The parts the file has, after refusing keys that would be dropped in silence."""
    parts = tuple(
        part
        for part in (_WHOLE, *_PARTS)
        if _key(part, "inputs") in arrays or _key(part, "labels") in arrays
    )
    expected = {_key(part, what) for part in parts for what in ("inputs", "labels")}
    wrong = [f"{key} is missing" for key in sorted(expected - arrays.keys())]
    wrong += [f"{key} is unknown" for key in sorted(arrays.keys() - expected - {"class_names"})]
    if wrong or not (parts == (_WHOLE,) or (_WHOLE not in parts and "train" in parts)):
        has = [f"{key} {_described(array)}" for key, array in arrays.items()]
        raise DataError(
            f"{name} has {', '.join(has) or 'no arrays'}{''.join(f'; {why}' for why in wrong)}. "
            "Expected train_inputs, train_labels and perhaps test_*, holdout_* and class_names; or "
            "inputs and labels alone."
        )
    return parts


def _described(array: Array) -> str:
    return f"{list(array.shape)} {array.dtype}"


def _class_names(arrays: Arrays, parts: tuple[str, ...], name: str) -> tuple[str, ...]:
    if "class_names" in arrays:
        given = arrays["class_names"]
        if given.ndim != 1 or given.dtype.kind != "U" or len(set(given.tolist())) != len(given):
            raise DataError(
                f"{name}: class_names is {_described(given)}; expected one row of strings, each "
                "once."
            )
        return tuple(map(str, given))
    labels = [arrays[_key(part, "labels")].ravel() for part in parts]
    if all(array.dtype.kind == "U" for array in labels):
        return tuple(map(str, np.unique(np.concatenate(labels))))
    highest = max((int(y.max(initial=0)) for y in labels if y.dtype.kind in "iu"), default=0)
    if highest >= sum(map(len, labels)):
        raise DataError(
            f"{name}: the highest label is {highest}, more than there are samples; number the "
            "classes from 0, or store labels as strings."
        )
    return tuple(str(label) for label in range(highest + 1))


def _split(arrays: Arrays, part: str, class_names: tuple[str, ...], name: str) -> Split:
    inputs = _as_inputs(arrays[_key(part, "inputs")], f"{name}: {_key(part, 'inputs')}")
    where = f"{name}: {_key(part, 'labels')}"
    labels = _as_ids(arrays[_key(part, "labels")], class_names, where)
    if len(labels) != len(inputs):
        raise DataError(f"{where} has {len(labels)} rows, but there are {len(inputs)} inputs.")
    return split_of(inputs, labels)


def _as_ids(labels: Array, class_names: tuple[str, ...], where: str) -> npt.NDArray[np.int64]:
    if labels.dtype.kind == "U" and labels.ndim == 1:
        ids = {name: label for label, name in enumerate(class_names)}
        strange = sorted(set(labels.tolist()) - ids.keys())
        if strange:
            raise DataError(f"{where} has {', '.join(strange[:5])}, not among class_names.")
        return np.array([ids[label] for label in labels.tolist()], np.int64)
    check_labels(labels, class_names, where)
    return labels.astype(np.int64)


def _as_inputs(array: Array, where: str) -> Array:
    """Pictures as uint8 [n, h, w, 3], vectors as finite float32 [n, d]."""
    if array.size and array.dtype == np.uint8:
        if array.ndim == 3:
            return np.repeat(array[..., None], 3, axis=-1)
        if array.ndim == 4 and array.shape[-1] == 3:
            return array
    if array.size and array.dtype.kind == "f" and array.ndim == 2:
        return _finite(array, where)
    raise DataError(f"{where} is {_described(array)}; expected {_EXPECTED}.")


def _finite(array: Array, where: str) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf and is named below
        vectors = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise DataError(
            f"{where} is not finite in {bad.size} rows (first: {', '.join(map(str, bad[:5]))}); "
            "drop those rows or fill in the values."
        )
    return vectors


def _check_same_shape(splits: Mapping[str, Split], name: str) -> None:
    shapes = {part: split.inputs.shape[1:] for part, split in splits.items()}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{_key(part, 'inputs')} {list(s)}" for part, s in shapes.items())
        raise DataError(f"{name}: the samples differ in shape: {told}; make them alike.")


def _notes(arrays: Arrays) -> list[str]:
    grey = any(key.endswith("inputs") and array.ndim == 3 for key, array in arrays.items())
    return ["Grey pictures were given three equal channels."] if grey else []


def _split_off_test(
    everything: Split, class_names: tuple[str, ...]
) -> tuple[dict[str, Split], str]:
    """A fixed fifth of each class for test, the rest for train."""
    counts = class_counts(everything.labels, len(class_names))
    amounts = np.rint(counts * TEST_FRACTION).astype(np.int64)
    tested = keyed_draw(everything, amounts, "npz test")
    note = f"A fixed fifth of each class, {amounts.sum():,} samples, is the test set."
    untested = np.flatnonzero(amounts == 0)
    if untested.size:
        note += f" Too small to be tested: {naming(untested, class_names)}."
    train = everything.take(np.flatnonzero(~tested))
    if not tested.any():
        return {"train": train}, note
    return {"train": train, "test": everything.take(np.flatnonzero(tested))}, note
