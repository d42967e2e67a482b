"""Memory that one training step frees and the next one uses again.

A step frees and asks for the same few dozen large blocks every time. The C library of Linux gives
blocks above 32 MB back to the system and its heap's end too, so that every step would have its
pages cleared and mapped anew: a third of a ResNet-32 step in float32 on two cores.
"""

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEEP = 1 << 30  # also the largest block that is kept, in bytes
_USUAL_MMAP, _USUAL_TRIM = 32 << 20, 64 << 20  # where glibc's own adaptation ends

_LOCK = threading.Lock()
_inside: list[None] = []  # one entry a run that lasts: the last to end hands the memory back


@contextmanager
def reused_memory() -> Iterator[None]:
    """Run the block with freed memory kept by this process, and hand it back afterwards.

    It changes how memory is held and no number. Without glibc nothing happens.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    with _LOCK:
        _inside.append(None)
        _keep_freed(libc)
    try:
        yield
    finally:
        with _LOCK:
            _inside.pop()
            if not _inside:
                _give_back(libc)


def _keep_freed(libc: ctypes.CDLL) -> None:
    # Older versions refuse so much; setting nothing would freeze what they had come to.
    if not libc.mallopt(_MMAP_THRESHOLD, _KEEP):
        libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
    libc.mallopt(_TRIM_THRESHOLD, _KEEP)


def _give_back(libc: ctypes.CDLL) -> None:
    libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
    libc.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM)
    libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  # other C libraries lack it, and know other numbers
    except (OSError, AttributeError):
        return None
    return libc
