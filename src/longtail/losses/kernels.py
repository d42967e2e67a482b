"""The kernels of the contrastive softmax by name, and which one fits a batch."""

import functools
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_paths
from typing import Literal, get_args

import torch
from torch import Tensor

from longtail.errors import UsageError
from longtail.losses.instances import Contrast, without_rows
from longtail.losses.plain import plain
from longtail.losses.streaming import streamed

KernelName = Literal["auto", "plain", "streamed", "triton"]

FEW_SCORES = 1 << 22
"""So many are quicker held at once on an accelerator than taken in blocks."""
TRITON_DIM = 256
"""A program of the Triton kernel holds whole rows, and their gradient in float32."""
TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def triton(c: Contrast) -> Tensor:
    """The sum by `longtail.losses.fused`; Triton is imported at the first call.

    Raises:
        UsageError: the batch is not one for it, or Triton is missing.
    """
    reason = _unfit(c.features)
    if reason is not None:
        raise UsageError(f"kernel 'triton' {reason} kernel='auto' takes what fits.")
    from longtail.losses.fused import fused

    return fused(c)


KERNELS: dict[str, Callable[[Contrast], Tensor]] = {
    "plain": plain,
    "streamed": streamed,
    "triton": triton,
}
"""Each gives the same sum; see `longtail.losses.instances`."""


def choose_kernel(name: KernelName, contrast: Contrast) -> Callable[[Contrast], Tensor]:
    """The kernel of that name; for "auto" the fastest on the batch's device that can serve it.

    Raises:
        UsageError: no kernel has that name, or it cannot give a gradient that is asked for.
    """
    if name not in get_args(KernelName):
        raise UsageError(
            f"kernel is {name!r}; it must be one of {', '.join(get_args(KernelName))}."
        )
    if name in ("streamed", "triton") and _learns_more_than_rows(contrast):
        raise UsageError(
            f"kernel {name!r} gives gradients of features and prototypes alone, and a temperature "
            "or class_scale wants one too. Use kernel='plain' or 'auto'."
        )
    return KERNELS[suited(contrast) if name == "auto" else name]


def suited(c: Contrast) -> Literal["plain", "streamed", "triton"]:
    """The name of the fastest kernel for a batch where it lies."""
    # The other kernels take their own gradients, which torch.func cannot look into.
    if _learns_more_than_rows(c) or torch._C._are_functorch_transforms_active():
        return "plain"
    if c.features.device.type != "cuda":
        return "streamed"
    if _unfit(c.features) is None and triton_builds(c.features.device):
        return "triton"
    keys = len(c.features) + (0 if c.prototypes is None else len(c.prototypes))
    return "plain" if len(c.features) * keys <= FEW_SCORES else "streamed"


def _learns_more_than_rows(c: Contrast) -> bool:
    """Whether a tensor besides features and prototypes, such as the temperature, wants a gradient.

    Autograd would not see it inside a kernel that takes its own gradients.
    """
    wanted = (isinstance(x, Tensor) and x.requires_grad for x in without_rows(c))
    return torch.is_grad_enabled() and any(wanted)


def _unfit(features: Tensor) -> str | None:
    """Why the Triton kernel cannot take these features, as the rest of a sentence."""
    if features.dtype not in TRITON_DTYPES:
        return f"takes float32, bfloat16 or float16, not {features.dtype}."
    if features.shape[1] > TRITON_DIM:
        return f"takes rows of at most {TRITON_DIM} numbers, not {features.shape[1]}."
    # Triton's interpreter, for tests, is asked for by this variable and reads the CPU's memory.
    if features.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return f"runs on CUDA, and the features are on {features.device}."
    if not _installed():
        return "needs Triton, which comes with torch on Linux (pip install triton)."
    return None


@functools.cache
def _installed() -> bool:
    return find_spec("triton") is not None


@functools.cache
def triton_builds(device: torch.device) -> bool:
    """Whether Triton can be relied on for a CUDA device: one that it supports, and a C compiler.

    Triton builds its launchers at run time, with Python's headers; images made only to run torch
    may lack either.
    """
    if not _installed() or not (Path(get_paths()["include"]) / "Python.h").exists():
        return False
    if torch.version.cuda is None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    return "CC" in os.environ or any(map(shutil.which, ("gcc", "clang")))
