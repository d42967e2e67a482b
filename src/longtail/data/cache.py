"""Decoded pictures on disk: each picture is decoded once, later runs map the file into memory.

A cache file is an ordinary `.npy` (numpy opens it) followed by the CRC-32 of its pixels, so that
a torn or rotten file is noticed and rebuilt. It is written beside its final name and renamed, so
two processes that build the same one do not disturb each other.
"""

import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Rows = Callable[[], Iterable[Pixels]]

_CHECKSUM = struct.Struct("<I")
_CHUNK_BYTES = 1 << 24


def cache_root() -> Path:
    """Where decoded pictures are kept: $LONGTAIL_CACHE, or ~/.cache/longtail/decoded."""
    chosen = os.environ.get("LONGTAIL_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "longtail" / "decoded"


def cached_array(fingerprint: str, shape: Sequence[int], rows: Rows) -> tuple[Pixels, str]:
    """The array of a fingerprint, from the cache or else built and kept there.

    Memory stays flat while building: one row is held at a time.

    Args:
        fingerprint: a hexadecimal name of everything the content depends on.
        shape: [n, ...] of the array.
        rows: starts an iteration over the n rows, uint8 [...] each; what it raises passes through
            and leaves no file behind.

    Returns:
        uint8 [n, ...], a read-only memory map; and a sentence saying why it is in memory instead
        where the cache folder cannot be written, else "".
    """
    path = cache_root() / f"{fingerprint}.npy"
    kept = _open(path, tuple(shape))
    if kept is not None:
        return kept, ""
    try:
        _build(path, tuple(shape), rows)
        kept = _open(path, tuple(shape))
        trouble = "what was written does not read back"
    except OSError as error:
        trouble = error.strerror or type(error).__name__
    if kept is not None:
        return kept, ""
    note = (
        f"The decoded pictures are kept in memory and decoded again in every run: the cache folder "
        f"cannot be used ({trouble}). Set LONGTAIL_CACHE to a folder with room."
    )
    return _in_memory(tuple(shape), rows), note


def _open(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    """The cache file as a memory map; None if it is missing, torn, rotten or of another shape."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        with path.open("rb") as file:
            file.seek(-_CHECKSUM.size, os.SEEK_END)
            (stored,) = _CHECKSUM.unpack(file.read())
            end = array.offset + array.nbytes + _CHECKSUM.size
            sound = array.shape == shape and array.dtype == np.uint8 and file.tell() == end
    except (OSError, ValueError, EOFError, AttributeError, SyntaxError):
        return None
    return array if sound and _checksum(array) == stored else None


def _checksum(array: Pixels) -> int:
    flat, total = array.reshape(-1), 0
    for start in range(0, flat.size, _CHUNK_BYTES):
        total = zlib.crc32(flat[start : start + _CHUNK_BYTES].data, total)
    return total


def _build(path: Path, shape: tuple[int, ...], rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{path.stem[:16]}-", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _write(file, shape, rows)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _write(file: BinaryIO, shape: tuple[int, ...], rows: Rows) -> None:
    # Plain writes, not a writable memory map: a full disk is then an error and not a SIGBUS.
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    total = 0
    for row in rows():
        data = np.ascontiguousarray(row, np.uint8)
        assert data.shape == shape[1:], f"a row of {data.shape} in an array of {shape}"
        total = zlib.crc32(data.data, total)
        file.write(data.data)
    file.write(_CHECKSUM.pack(total))


def _in_memory(shape: tuple[int, ...], rows: Rows) -> Pixels:
    array = np.empty(shape, np.uint8)
    for position, row in enumerate(rows()):
        array[position] = row
    return array
