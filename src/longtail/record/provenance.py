"""Which code ran, and where."""

import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from longtail.record.canonical import ADDED

_PACKAGE = Path(__file__).parents[1]

NUMERIC_PARTS = (
    "data",
    "evaluation",
    "keyed",
    "launch",
    "losses",
    "methods",
    "nn",
    "optim",
    "prior",
    "recipe",
    "request",
    "training",
)
"""Parts of the package that a run's numbers depend on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """Processor model, usable cores and the GPU's name, None without one."""

    cpu: str
    cores: int
    gpu: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """Which code ran where, and how long it took.

    Attributes:
        source_hash: `source_hash()`.
        numeric_hash: `numeric_hash()`; None in records from before it was kept.
        revision: `revision()`; None outside a checkout.
        versions: `versions(...)`.
        hardware: `hardware(...)`.
        seconds: training time over all resumptions.
        images_per_second: training throughput.
        parameters: number of parameters of the model.
        steps: optimiser steps taken.
    """

    source_hash: str
    revision: str | None
    versions: dict[str, str | None]
    hardware: Hardware
    seconds: float
    images_per_second: float
    parameters: int
    steps: int
    numeric_hash: str | None = dataclasses.field(default=None, metadata={ADDED: True})


class Code(NamedTuple):
    """The code of this process; see the functions of these names."""

    source_hash: str
    numeric_hash: str
    revision: str | None


def running_code() -> Code:
    """The code that runs now, whatever becomes of its files later."""
    return Code(source_hash(), numeric_hash(), revision())


def source_hash(package: Path = _PACKAGE) -> str:
    """sha256 over the names and bytes of the package's .py files: the code that ran, exactly."""
    return _hash_of(package, package.rglob("*.py"))


def numeric_hash(package: Path = _PACKAGE) -> str:
    """As `source_hash`, of the parts alone that decide what is trained and predicted.

    What looks at finished runs (metrics, statistics, tables, reports) and what people type are
    left out: after a change to those, a run made before is the run that would be made now.
    """
    parts = set(NUMERIC_PARTS)
    files = (file for file in package.rglob("*.py") if _part_of(file, package) in parts)
    return _hash_of(package, files)


def _part_of(file: Path, package: Path) -> str:
    """The package's module or folder that a file belongs to."""
    return file.relative_to(package).parts[0].removesuffix(".py")


def _hash_of(package: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for name in sorted(file.relative_to(package).as_posix() for file in files):
        content = (package / name).read_bytes()
        # The length in between keeps moving a byte from one file to the next from going unseen.
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def revision(package: Path = _PACKAGE) -> str | None:
    """Commit of the checkout the package lies in, with "-dirty" if edited; None outside one."""
    # Tracked, not just inside: a .venv often lies in a checkout of something else.
    if _git(package, "ls-files", "--error-unmatch", ".") is None:
        return None
    return _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None where it fails or is not installed."""
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def versions(names: Iterable[str]) -> dict[str, str | None]:
    """Python's version and that of each distribution; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def hardware(gpu: str | None = None) -> Hardware:
    """The processor and the cores this process may use; the caller names the GPU."""
    usable = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(usable(0)) if usable else os.cpu_count() or 1
    return Hardware(cpu=_cpu_model(), cores=cores, gpu=gpu)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
