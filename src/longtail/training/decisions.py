"""Where and how a run computes: device, precision, threads and compilation, decided once.

What is decided is printed, recorded, and the same when the run is resumed.
"""

import os
import shutil
from typing import Literal

import torch

from longtail.data.dataset import Dataset
from longtail.errors import UsageError
from longtail.losses.kernels import triton_builds
from longtail.methods.resolve import Resolved
from longtail.record import Decisions

Switch = Literal["auto", "on", "off"]

# Compilation took about 45 s for a ResNet-32 on two cores and saved 2.5 % of its step of 1.2 s and
# 0.8 million pixels: 1.2e9 pixels later it is even, and twice as many leave something. On CUDA it
# is a guess (a minute against a quarter of a step of 4 ms) until one has been measured.
_PIXELS_TO_PAY = {"cpu": 2.5e9, "cuda": 1e11}


def decide(
    device: str,
    precision: str,
    threads: int | None,
    compile_model: Switch,
    *,
    pixels: float = 0.0,
) -> Decisions:
    """Fill in what was left to "auto".

    bf16 where the device computes in it natively, else fp32; every core of this process; compiled
    where the run is long enough for that to pay.

    Args:
        device: "auto", "cpu", "cuda", ...
        precision: "auto", "bf16" or "fp32".
        threads: of the CPU, at least 1; None is every core.
        compile_model: "auto", "on" or "off".
        pixels: that the network will see in the whole run; see `pixels_seen`.

    Raises:
        UsageError: a device that is not there, an unknown precision, or less than one thread.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"--device {device} is not usable here ({str(error).splitlines()[0]}). "
            "Type --device cpu, or leave it out."
        ) from error
    kind = torch.device(device).type
    if precision == "auto":
        precision = "bf16" if _has_bf16(kind) else "fp32"
    if precision not in ("bf16", "fp32"):
        raise UsageError(f"--precision {precision}: it is auto, bf16 or fp32.")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads}: it must be at least 1.")
    if compile_model == "auto":
        compile_model = "on" if _compiling_pays(torch.device(device), pixels) else "off"
    return Decisions(
        precision=precision,
        threads=threads or usable_cores(),
        compile=compile_model == "on",
        device=device,
    )


def pixels_seen(dataset: Dataset, resolved: Resolved) -> float:
    """Pixels of all views of all epochs, the measure of a run's work; 0 for vectors."""
    if dataset.kind == "vector":
        return 0.0
    height, width = dataset.input_shape[:2]
    views = resolved.settings.epochs * len(dataset.train) * len(resolved.recipe.views)
    return float(views * height * width)


def decisions_line(decisions: Decisions) -> str:
    """What was decided, in words."""
    threads = f"{decisions.threads} thread{'s' if decisions.threads > 1 else ''}"
    compiled = "compiled" if decisions.compile else "not compiled"
    return f"On {decisions.device} in {decisions.precision}, {threads}, {compiled}."


def usable_cores() -> int:
    """Cores this process may run on."""
    usable = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(usable(0)) if usable else os.cpu_count() or 1


def _compiling_pays(device: torch.device, pixels: float) -> bool:
    if pixels < _PIXELS_TO_PAY.get(device.type, float("inf")):
        return False
    # Without a compiler torch would fail at the first step.
    if device.type == "cuda":
        return triton_builds(device)
    return any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++")))


def _has_bf16(kind: str) -> bool:
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind != "cpu":
        return False
    capability = torch.backends.cpu.get_cpu_capability()
    return capability.startswith("AVX512") and _cpu_flag("avx512_bf16")


def _cpu_flag(flag: str) -> bool:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return any(line.startswith("flags") and flag in line.split() for line in lines)
    except OSError:
        return False
