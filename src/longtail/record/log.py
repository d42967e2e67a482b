"""`log.jsonl` as everything after training reads it: one line an epoch."""

import json
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All complete lines; a last line that a kill cut off is left out."""
    lines: list[dict[str, Any]] = []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for text in texts:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
