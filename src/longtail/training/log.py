"""`log.jsonl`: one line an epoch, and its continuation after a resumption."""

import json
import os
from pathlib import Path
from typing import Any

from longtail.errors import CheckpointError
from longtail.record import read_lines, write_atomically


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Add one epoch, durably: the checkpoint after it will not log it again.

    Raises:
        CheckpointError: it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror or error}). Free some space and run the "
            "same command with --resume."
        ) from error


def truncate(path: Path, step: int) -> None:
    """Drop what was logged after `step`: a resumed run will log it again."""
    kept = [line for line in read_lines(path) if line["step"] <= step]
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
