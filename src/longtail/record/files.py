"""Files that are written whole or not at all."""

import contextlib
import os
from pathlib import Path

from longtail.errors import CheckpointError


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace a file by `content`, so that a crash leaves either the old file or the new one.

    Raises:
        CheckpointError: the file cannot be written; an older one is left as it was.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except OSError as error:
        raise CheckpointError(
            f"{target}: cannot be written ({error.strerror or error}). "
            "Check that the folder exists, is writable and has space."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # moved away by the replace, or never made
            draft.unlink()


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Content of a file of a run.

    Raises:
        CheckpointError: missing or unreadable.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: no such file. A run writes it when it ends; "
            "the same `longtail train` command with --resume finishes one that was stopped."
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}).") from error
