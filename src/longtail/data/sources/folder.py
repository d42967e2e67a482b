"""Class folders: `train/CLASS/*` with `test/` and `val/` beside it, or `CLASS/*` alone; also .zip.

The files are listed and divided first and decoded afterwards, in the order train, hold-out, test:
each split is then a slice of one cached array and never a copy in memory.
"""

import concurrent.futures
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import PIL

from longtail.data.cache import cached_array
from longtail.data.dataset import Dataset, Split
from longtail.data.decode import (
    DECODER_VERSION,
    PictureError,
    decode_quietly,
    quiet_pillow,
    shorter_side,
)
from longtail.data.hashing import pictures_hash
from longtail.data.layout import ORDER, Layout, Picture, lay_out
from longtail.data.tree import Tree, open_tree
from longtail.errors import DataError, UsageError

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")

SMALLEST_SIDE, LARGEST_SIDE, SIDE_STEP = 16, 64, 8
SIDES_MEASURED = 256
MAX_IMAGE_SIZE = 1024
# Long enough to be worth a progress bar.
MANY_PICTURES = 2_000
_DECODED_AT_ONCE = 256
# Each may hold a decoded picture of 64 million pixels for a moment.
_THREADS = min(8, os.cpu_count() or 1)


def load_folder(path: Path, *, image_size: int | None = None) -> Dataset:
    """Pictures in class folders, decoded once and then mapped from the cache.

    Layouts: `train/CLASS/*` with or without `test/CLASS/*` and `val/CLASS/*` (or `valid`), which
    becomes the hold-out; or `CLASS/*` alone, of which a fixed, stratified fifth becomes the test
    split. The same inside a .zip, also below one extra folder. Class ids follow the sorted folder
    names (numbers by value), pictures their sorted paths, class by class.

    Args:
        path: a folder or a .zip.
        image_size: side of the square pictures in pixels; by default the median shorter side of
            the train pictures, rounded to a multiple of 8 within 16 to 64.

    Returns:
        Pictures as read-only maps, uint8 [n, size, size, 3].

    Raises:
        DataError: no class folders, a single class, a class without a train picture, or files
            that cannot be read.
        UsageError: an image size that is not from 1 to 1024.
    """
    path = Path(path)
    if image_size is not None and not 1 <= image_size <= MAX_IMAGE_SIZE:
        raise UsageError(f"image_size is {image_size}; give 1 to {MAX_IMAGE_SIZE} pixels.")
    with open_tree(path) as tree:
        layout = lay_out(tree, path)
        size = image_size or default_image_size(tree, layout.pictures["train"])
        pixels, trouble = _decoded(tree, path, layout, size)
    chosen = f"Pictures are {size} x {size} pixels: " + (
        "as asked for." if image_size else "the median shorter side of train, within 16 to 64."
    )
    splits = _slices(pixels, layout)
    return Dataset(
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        source="class folders",
        kind="photo",
        class_names=layout.class_names,
        train=splits["train"],
        test=splits.get("test"),
        holdout=splits.get("holdout"),
        data_hash=pictures_hash(splits["train"].inputs),
        split_here=layout.split_here,
        notes=(*layout.notes, chosen, *([trouble] if trouble else [])),
    )


def file_names(path: Path) -> dict[str, dict[int, str]]:
    """Split -> `Split.index` -> path below the folder or inside the .zip, without decoding.

    Raises:
        DataError: as `load_folder`, for everything that shows without decoding.
    """
    with open_tree(path) as tree:
        layout = lay_out(tree, path)
    return {split: {p.index: p.name for p in rows} for split, rows in layout.pictures.items()}


def default_image_size(tree: Tree, pictures: Sequence[Picture]) -> int:
    """Median shorter side of up to 256 pictures spread evenly, a multiple of 8 within 16 to 64."""
    spread = np.linspace(0, len(pictures) - 1, min(SIDES_MEASURED, len(pictures))).astype(int)
    sides = []
    for name in (pictures[position].name for position in spread):
        try:
            sides.append(shorter_side(_bytes(tree, name), name=name))
        except PictureError:
            continue  # reported with all others when the pictures are decoded
    median = float(np.median(sides)) if sides else LARGEST_SIDE
    return int(np.clip(round(median / SIDE_STEP) * SIDE_STEP, SMALLEST_SIDE, LARGEST_SIDE))


def each_picture(
    tree: Tree, names: Sequence[str], use: Callable[[bytes, str], T]
) -> Iterator[T | PictureError]:
    """`use` of the bytes and the name of every file, in order; what could not be read in its place.

    Runs on as many threads as there are cores (Pillow releases the lock while it decodes) and
    holds a few hundred results at a time.
    """

    def attempt(name: str) -> T | PictureError:
        try:
            return use(_bytes(tree, name), name)
        except PictureError as error:
            return error

    with quiet_pillow(), concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(names), _DECODED_AT_ONCE):
            yield from pool.map(attempt, names[start : start + _DECODED_AT_ONCE])


def with_progress(results: Iterator[T], total: int) -> Iterator[T]:
    """A progress bar on a terminal, if it takes long enough to need one."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if total <= MANY_PICTURES or not console.is_terminal:
        return results
    return iter(track(results, "Decoding pictures", total, console=console, transient=True))


def _bytes(tree: Tree, name: str) -> bytes:
    try:
        return tree.read(name)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PictureError(name, reason) from error


def _decoded(tree: Tree, path: Path, layout: Layout, size: int) -> tuple[Pixels, str]:
    """All pictures in the order train, hold-out, test, and the cache's note."""
    names = [p.name for split in ORDER for p in layout.pictures.get(split, [])]
    shape = (len(names), size, size, 3)
    fingerprint = _fingerprint(tree, names, size)
    return cached_array(fingerprint, shape, lambda: _rows(tree, path, names, size))


def _rows(tree: Tree, path: Path, names: Sequence[str], size: int) -> Iterator[Pixels]:
    """The decoded pictures; after the last one, an error that counts those that were none."""
    results = each_picture(tree, names, lambda data, name: decode_quietly(data, size, name=name))
    bad: list[PictureError] = []
    for result in with_progress(results, len(names)):
        if isinstance(result, PictureError):
            bad.append(result)
        elif not bad:
            yield result
    if bad:
        shown = "; ".join(f"{error.name}: {error.reason}" for error in bad[:5])
        more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise DataError(
            f"{path}: {len(bad)} of {len(names)} pictures cannot be read ({shown}{more}). "
            f"Repair or remove them; `longtail data inspect {path}` lists them all."
        )


def _fingerprint(tree: Tree, names: Sequence[str], size: int) -> str:
    files = [(name, *tree.files[name]) for name in names]
    content = json.dumps([DECODER_VERSION, PIL.__version__, size, files])
    return hashlib.sha256(content.encode()).hexdigest()


def _slices(pixels: Pixels, layout: Layout) -> dict[str, Split]:
    splits, start = {}, 0
    for name in ORDER:
        pictures = layout.pictures.get(name)
        if pictures:
            stop = start + len(pictures)
            labels = np.array([p.label for p in pictures], np.int64)
            index = np.array([p.index for p in pictures], np.int64)
            splits[name] = Split(pixels[start:stop], labels, index)
            start = stop
    return splits
