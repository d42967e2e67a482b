"""`log.jsonl`: one line an epoch, and its continuation after a resumption."""

import json
from pathlib import Path
from typing import Any

from longtail.record import write_atomically


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Add one epoch."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All complete lines; a last line that a kill cut off is left out."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def truncate(path: Path, step: int) -> None:
    """Drop what was logged after `step`: a resumed run will log it again."""
    kept = [line for line in read_lines(path) if line["step"] <= step]
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
