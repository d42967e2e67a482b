"""A run before it starts: what will be trained, how, on which machine, all of it decided."""

import dataclasses
import hashlib
import os
from typing import Any, Literal

import torch

from longtail.data.batches import Normalisation, input_statistics
from longtail.data.dataset import Dataset
from longtail.data.hashing import pictures_hash
from longtail.errors import DataError, UsageError
from longtail.methods.resolve import Resolved
from longtail.record import Decisions, versions

Switch = Literal["auto", "on", "off"]

_EVALUATIONS = 20  # live accuracies a run, unless --eval-every says otherwise


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run's configuration.

    Attributes:
        resolved: method, knobs, recipe and settings.
        backbone: name of the encoder.
        seed: keys every draw and the initial weights.
        eval_every: epochs between two live accuracies.
        statistics: for normalising inputs.
        decisions: precision, threads, compile and device.
    """

    resolved: Resolved
    backbone: str
    seed: int
    eval_every: int
    statistics: Normalisation
    decisions: Decisions

    @property
    def device(self) -> torch.device:
        """Where the model is trained."""
        return torch.device(self.decisions.device)


def make_plan(
    dataset: Dataset,
    resolved: Resolved,
    *,
    backbone: str,
    seed: int,
    eval_every: int | None,
    decisions: Decisions,
) -> Plan:
    """Check that method, data and settings fit, before anything is trained.

    Raises:
        DataError: a method that needs a hold-out without one, or too few pictures for a batch.
        UsageError: an `eval_every` below 1.
    """
    settings, recipe = resolved.settings, resolved.recipe
    if eval_every is not None and eval_every < 1:
        raise UsageError(f"--eval-every {eval_every}: it counts epochs and must be at least 1.")
    if len(dataset.train) < 2:
        raise DataError(f"{dataset.name}: batch norm needs at least 2 training samples.")
    if recipe.compression and dataset.holdout is None:
        raise DataError(
            "Compression chooses its weak classes by their accuracy on a hold-out, and there is "
            "none. Add --holdout 0.1 (or discarded:20 for a cut dataset)."
        )
    # A batch larger than the data is all of them; batch norm wants more than one sample.
    batch = min(settings.batch_size, len(dataset.train))
    if batch < 2:
        raise UsageError("--batch-size 1: batch norm and contrast need at least 2 samples.")
    resolved = dataclasses.replace(
        resolved, settings=dataclasses.replace(settings, batch_size=batch)
    )
    every = eval_every or max(1, settings.epochs // _EVALUATIONS)
    return Plan(resolved, backbone, seed, every, input_statistics(dataset), decisions)


def decide(device: str, precision: str, threads: int | None, compile_model: Switch) -> Decisions:
    """Fill in what was left to "auto".

    bf16 where the device computes in it natively, else fp32; every core of this process; no
    compilation unless asked for.

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
    if precision == "auto":
        precision = "bf16" if _has_bf16(torch.device(device)) else "fp32"
    if precision not in ("bf16", "fp32"):
        raise UsageError(f"--precision {precision}: it is auto, bf16 or fp32.")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads}: it must be at least 1.")
    return Decisions(
        precision=precision,
        threads=threads or usable_cores(),
        compile=compile_model == "on",
        device=device,
    )


def configuration(plan: Plan, dataset: Dataset, holdout: str | None) -> dict[str, Any]:
    """What must be equal for a checkpoint to be continued, and the versions, which should be."""
    resolved = plan.resolved
    return {
        "method": resolved.method,
        "recipe": resolved.recipe_kind,
        "knobs": resolved.knobs,
        "settings": dataclasses.asdict(resolved.settings),
        "backbone": plan.backbone,
        "seed": plan.seed,
        "eval_every": plan.eval_every,
        "data_hash": dataset.data_hash,
        "labels_and_test": _labels_and_test(dataset),
        "train_counts": dataset.counts.tolist(),
        "holdout": holdout,
        "decisions": dataclasses.asdict(plan.decisions),
        "versions": versions(("longtail", "torch")),
    }


def _labels_and_test(dataset: Dataset) -> str:
    """What the data hash, which is of the training pictures alone, does not cover."""
    digest = hashlib.sha256(dataset.train.labels.tobytes())
    for split in (dataset.holdout, dataset.test):
        if split is not None:
            digest.update(split.labels.tobytes() + pictures_hash(split.inputs).encode())
    return digest.hexdigest()


def usable_cores() -> int:
    """Cores this process may run on."""
    usable = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(usable(0)) if usable else os.cpu_count() or 1


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    capability = torch.backends.cpu.get_cpu_capability()
    return capability.startswith("AVX512") and _cpu_flag("avx512_bf16")


def _cpu_flag(flag: str) -> bool:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return any(line.startswith("flags") and flag in line.split() for line in lines)
    except OSError:
        return False
