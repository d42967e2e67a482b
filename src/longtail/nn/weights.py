"""A model's weights in a file that knows its own checksum.

safetensors checks shapes and lengths but no content: a flipped bit would load as another model.
"""

import hashlib
import json
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from longtail.errors import CheckpointError
from longtail.record import read_bytes, write_atomically

_CHECKSUM = "sha256"


def write_weights(path: Path, model: nn.Module) -> None:
    """Write a model's parameters and buffers atomically, with their checksum in the header.

    Raises:
        CheckpointError: the file cannot be written; an older one is left as it was.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    write_atomically(path, safetensors.torch.save(tensors, {_CHECKSUM: _checksum(tensors)}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """What `write_weights` wrote.

    Raises:
        CheckpointError: missing, or not bit for bit what was written.
    """
    content = read_bytes(path)
    try:
        tensors = safetensors.torch.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        intact = header["__metadata__"][_CHECKSUM] == _checksum(tensors)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    if not intact:
        raise _damaged(path, "its content differs from its checksum")
    return tensors


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}{tensors[name].dtype}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: the weights are damaged ({reason}). The run's checkpoint may still be intact: "
        "run its train command with --resume."
    )
