"""Does the fast path end where the plain path does? The same seeds on both, their test accuracy.

    python benchmarks/accuracy.py --out runs/accuracy [--json accuracy.json]

The fast path is what `longtail train` takes by itself (bf16 where the processor has it, streamed
loss); the plain one is float32 with the loss that holds every score. Each run is a process of its
own with one thread, two at a time; a run that is there already is not run again.
"""

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import torch
from measure import machine, parsed, parser, typed_command
from results import Case, Report, publish
from small_budget import on_test, spread
from torch import Tensor

from longtail.launch import train
from longtail.losses import contrastive, kernels
from longtail.losses.instances import Contrast
from longtail.metrics.paired import paired_difference
from longtail.record import read_record

PATHS = {"fast": "auto", "plain": "fp32"}
"""The precision asked for on each path."""


def one(path: str, seed: int, folder: Path, arguments: argparse.Namespace) -> None:
    """One run, in this process."""
    with contextlib.ExitStack() as held:
        if path == "plain":
            held.enter_context(mock.patch.object(contrastive, "choose_kernel", plain_kernel))
        train(
            arguments.data,
            arguments.method,
            seed=seed,
            backbone=arguments.backbone,
            epochs=arguments.epochs,
            batch_size=64,
            knobs={"lr": 0.2, "schedule": "cosine"},
            precision=PATHS[path],
            threads=1,
            device="cpu",
            out=folder,
            resume=True,
            progress=False,
        )


def plain_kernel(_: str, contrast: Contrast) -> Callable[[Contrast], Tensor]:
    """The kernel that holds every score, whichever was asked for."""
    return kernels.choose_kernel("plain", contrast)


def run_all(arguments: argparse.Namespace) -> None:
    """Every run that is not there yet; seeds outermost, so that a table that stops is fair."""
    jobs = [(path, seed) for seed in range(arguments.seeds) for path in PATHS]
    missing = [job for job in jobs if not (folder_of(arguments.out, *job) / "record.json").exists()]

    def run(job: tuple[str, int]) -> None:
        words = [f"--{name}={getattr(arguments, name)}" for name in ("data", "method", "backbone")]
        words += [f"--epochs={arguments.epochs}", f"--out={arguments.out}"]
        script = [sys.executable, __file__, *words, "--one", job[0], str(job[1])]
        subprocess.run(script, check=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, missing))


def folder_of(out: Path, path: str, seed: int) -> Path:
    return out / f"{path}-s{seed}"


def compare(arguments: argparse.Namespace) -> Case:
    """Both paths' balanced accuracies in per cent, and their paired differences."""
    found = {
        path: [accuracy(folder_of(arguments.out, path, seed)) for seed in range(arguments.seeds)]
        for path in PATHS
    }
    records = [
        read_record(folder_of(arguments.out, path, seed) / "record.json")
        for path in PATHS
        for seed in range(arguments.seeds)
    ]
    revisions = sorted({str(record.provenance.revision)[:12] for record in records})
    differences = [a - b for a, b in zip(*found.values(), strict=True)]
    return Case(
        title=f"{arguments.method} on {arguments.data}, {arguments.backbone}, {arguments.epochs} "
        f"epochs of batches of 64, seeds 0 to {arguments.seeds - 1}: balanced accuracy on test",
        timings=(),
        notes=(
            f"The runs are of revision {', '.join(revisions)}.",
            *(f"{path}: {spread(values, each=True)}" for path, values in found.items()),
            f"fast less plain, seed by seed: {spread(differences, each=True)}; "
            + (verdict(differences) if len(differences) >= 3 else "too few seeds for an interval."),
        ),
    )


def accuracy(folder: Path) -> float:
    """Balanced, on test, of the last epoch."""
    return on_test(read_record(folder / "record.json")).balanced_accuracy


def verdict(differences: Sequence[float]) -> str:
    """Student's 95 % interval of the mean difference, and whether it holds zero."""
    paired = paired_difference(
        dict(enumerate(differences)), dict.fromkeys(range(len(differences)), 0.0)
    )
    assert paired.low is not None
    assert paired.high is not None
    low, high = 100 * paired.low, 100 * paired.high
    return (
        f"95 % interval {low:.2f} to {high:.2f} points, which "
        f"{'holds zero' if low <= 0 <= high else 'does NOT hold zero'}: a difference within it "
        "would go unseen with so few seeds."
    )


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--data", default="cifar10-lt")
    made.add_argument("--method", default="bcl-rcl")
    made.add_argument("--backbone", default="resnet8")
    made.add_argument("--epochs", type=int, default=5)
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--one", nargs=2, metavar=("PATH", "SEED"), help=argparse.SUPPRESS)
    arguments = parsed(made)
    if arguments.one:
        path, seed = arguments.one[0], int(arguments.one[1])
        return one(path, seed, folder_of(arguments.out, path, seed), arguments)
    run_all(arguments)
    torch.set_num_threads(1)
    report = Report(
        benchmark="accuracy",
        title="The accuracy of the fast path",
        command=typed_command(),
        machine=machine(),
        cases=(compare(arguments),),
        notes=("The runs used one thread each, two at a time.",),
    )
    return publish(report, arguments.json)


if __name__ == "__main__":
    main()
