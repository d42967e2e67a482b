"""Checkpoints that survive a kill at any moment and notice a single flipped bit.

A checkpoint is a folder `step-N` with its tensors, its state as JSON, and a manifest of their
sha256: neither safetensors nor torch check content. It is written beside, synced and renamed, so
that the newest `step-N` is complete by being there. There is no pickle anywhere.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from longtail.errors import CheckpointError
from longtail.record import write_atomically

_KEPT = 2  # the newest and the one before it, in case the newest turns out corrupt
_DRAFT = ".draft"  # one name, so that the next save clears away what a kill has left
_TENSORS, _STATE, _MANIFEST = "tensors.safetensors", "state.json", "manifest.json"


class Checkpoint(NamedTuple):
    """What was saved at a step.

    Attributes:
        tensors: by name.
        state: JSON values.
        notes: sentences about newer checkpoints that could not be used.
    """

    tensors: dict[str, Tensor]
    state: dict[str, Any]
    notes: list[str]


def save_checkpoint(
    folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]
) -> None:
    """Write `folder/step-N` atomically and drop older ones.

    Raises:
        CheckpointError: it cannot be written; the checkpoints before it are left as they were.
    """
    draft, final = folder / _DRAFT, folder / f"step-{step}"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        contents = {
            _TENSORS: safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}),
            _STATE: json.dumps(state).encode(),
        }
        for name, content in contents.items():
            write_atomically(draft / name, content)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        write_atomically(draft / _MANIFEST, json.dumps(hashes).encode())
        _sync(draft)
        # The same step saved again after a resumption holds the same bits.
        shutil.rmtree(final, ignore_errors=True)
        os.replace(draft, final)
        _sync(folder)
    except (OSError, CheckpointError) as error:
        cause = error.__cause__ or error  # of `write_atomically`, whose file is no one's business
        raise CheckpointError(
            f"{final}: the checkpoint cannot be written ({getattr(cause, 'strerror', cause)}). The "
            "one before it is intact: free some space and run the same command with --resume."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    # Those of later steps were found corrupt, or this step would not be taken again.
    kept = [path for path in _steps(folder) if _step_of(path) <= step][:_KEPT]
    for path in _steps(folder):
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint whose content is what was written; None where there is none.

    Raises:
        CheckpointError: there are checkpoints, but not one is intact.
    """
    notes: list[str] = []
    steps = _steps(folder)
    for path in steps:
        try:
            tensors, state = _read(path)
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            notes.append(f"{path.name} is corrupt ({error}); using the checkpoint before it.")
        else:
            return Checkpoint(tensors, state, notes)
    if not steps:
        return None
    raise CheckpointError(
        f"{folder}: no checkpoint is intact ({'; '.join(p.name for p in steps)}). "
        "Remove the run folder to start anew."
    )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    hashes = json.loads((path / _MANIFEST).read_bytes())
    contents = {name: (path / name).read_bytes() for name in (_TENSORS, _STATE)}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != hashes[name]:
            raise ValueError(f"{name} differs from its checksum")
    return safetensors.torch.load(contents[_TENSORS]), json.loads(contents[_STATE])


def _steps(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first; drafts left by a kill do not count."""
    found = [p for p in folder.glob("step-*") if p.name.removeprefix("step-").isdecimal()]
    return sorted(found, key=_step_of, reverse=True)


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _sync(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
