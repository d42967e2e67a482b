"""Does the fast path end where other paths do? The same seeds on each, their test accuracy.

    python benchmarks/accuracy.py --out runs/accuracy [--json accuracy.json]
    python benchmarks/accuracy.py --paths fast ordinary --out runs/accuracy [--json ordinary.json]

The fast path is what `longtail train` takes by itself (bf16 where the processor has it, streamed
loss); the plain one is float32 with the loss that holds every score; the ordinary one has nothing
of longtail's but the data, the encoder and the rates: `ordinary.py`, with views and draws of its
own. Each run is a process of its own with one thread, two at a time; a run that is there already is
not run again.
"""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import ordinary
import torch
from measure import machine, parsed, parser, typed_command
from results import Case, Report, publish
from small_budget import on_test, spread
from torch import Tensor

from longtail.data.batches import input_statistics
from longtail.data.load import load_dataset
from longtail.launch import train
from longtail.losses import contrastive, kernels
from longtail.losses.instances import Contrast
from longtail.metrics import balanced_accuracy, confusion_matrix
from longtail.metrics.paired import paired_difference
from longtail.optim import learning_rate
from longtail.optim.settings import Settings
from longtail.record import read_record, revision

PATHS = ("fast", "plain", "ordinary")
BATCH_SIZE, LR = 64, 0.2


class Found(NamedTuple):
    """Of one run: its balanced accuracy on test, in [0, 1], and the revision that ran it."""

    accuracy: float
    revision: str


def one(path: str, seed: int, arguments: argparse.Namespace) -> None:
    """One run, in this process."""
    if path == "ordinary":
        return one_ordinary(seed, arguments)
    with contextlib.ExitStack() as held:
        if path == "plain":
            held.enter_context(mock.patch.object(contrastive, "choose_kernel", plain_kernel))
        train(
            arguments.data,
            arguments.method,
            seed=seed,
            backbone=arguments.backbone,
            epochs=arguments.epochs,
            batch_size=BATCH_SIZE,
            knobs={"lr": LR, "schedule": "cosine", "la_tau": ordinary.TAU},
            precision="fp32" if path == "plain" else "auto",
            threads=1,
            device="cpu",
            out=folder_of(path, seed, arguments),
            resume=True,
            progress=False,
        )
    return None


def plain_kernel(_: str, contrast: Contrast) -> Callable[[Contrast], Tensor]:
    """The kernel that holds every score, whichever was asked for."""
    return kernels.choose_kernel("plain", contrast)


def one_ordinary(seed: int, arguments: argparse.Namespace) -> None:
    """One run of the ordinary loop at the same rates, its pictures made in the process itself."""
    dataset = load_dataset(arguments.data)
    assert dataset.test is not None
    task = ordinary.Task(
        pictures=np.asarray(dataset.train.inputs),
        labels=dataset.train.labels,
        statistics=input_statistics(dataset),
        num_classes=dataset.num_classes,
        method=arguments.method,
        steps=0,
        batch_size=BATCH_SIZE,
        threads=1,
        workers=0,
        warm_ups=0,
        device="cpu",
        depth=int(arguments.backbone.removeprefix("resnet")),
        seed=seed,
    )
    settings = Settings(epochs=arguments.epochs, batch_size=BATCH_SIZE, lr=LR, schedule="cosine")
    steps = arguments.epochs * (len(dataset.train) // BATCH_SIZE)
    network = ordinary.train(task, (learning_rate(settings, step, steps) for step in range(steps)))
    predicted = ordinary.predictions(network, np.asarray(dataset.test.inputs), task)
    found = Found(
        balanced_accuracy(confusion_matrix(dataset.test.labels, predicted, dataset.num_classes)),
        str(revision()),
    )
    file = result_of("ordinary", seed, arguments)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found._asdict()), encoding="utf-8")


def run_all(arguments: argparse.Namespace) -> None:
    """Every run that is not there yet; seeds outermost, so that a table that stops is fair."""
    jobs = [(path, seed) for seed in range(arguments.seeds) for path in arguments.paths]
    missing = [job for job in jobs if not result_of(*job, arguments).exists()]

    def run(job: tuple[str, int]) -> None:
        words = [f"--{name}={getattr(arguments, name)}" for name in ("data", "method", "backbone")]
        words += [f"--epochs={arguments.epochs}", f"--out={arguments.out}"]
        script = [sys.executable, __file__, *words, "--one", job[0], str(job[1])]
        subprocess.run(script, check=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, missing))


def folder_of(path: str, seed: int, asked: argparse.Namespace) -> Path:
    """A run's own, named by what was asked, so that no other is taken for it."""
    task = (
        f"{Path(asked.data).name}-{asked.method}-{asked.backbone}-{asked.epochs}-tau{ordinary.TAU}"
    )
    return Path(asked.out) / task / f"{path}-s{seed}"


def result_of(path: str, seed: int, asked: argparse.Namespace) -> Path:
    """The file that a run ends with."""
    return folder_of(path, seed, asked) / ("result.json" if path == "ordinary" else "record.json")


def read(path: str, seed: int, asked: argparse.Namespace) -> Found:
    """How a run ended, after its last epoch."""
    file = result_of(path, seed, asked)
    if path == "ordinary":
        return Found(**json.loads(file.read_text(encoding="utf-8")))
    record = read_record(file)
    return Found(on_test(record).balanced_accuracy, str(record.provenance.revision))


def compare(arguments: argparse.Namespace) -> Case:
    """The paths' balanced accuracies, and the differences of the first from each other one."""
    found = {
        path: [read(path, seed, arguments) for seed in range(arguments.seeds)]
        for path in arguments.paths
    }
    accuracies = {path: [run.accuracy for run in runs] for path, runs in found.items()}
    revisions = sorted({run.revision[:12] for runs in found.values() for run in runs})
    first, *others = arguments.paths
    return Case(
        title=f"{arguments.method} on {arguments.data}, {arguments.backbone}, {arguments.epochs} "
        f"epochs of batches of {BATCH_SIZE}, seeds 0 to {arguments.seeds - 1}: balanced accuracy "
        "on test",
        timings=(),
        notes=(
            f"The runs are of revision {', '.join(revisions)}.",
            *(f"{path}: {spread(values, each=True)}" for path, values in accuracies.items()),
            *(difference(first, other, accuracies[first], accuracies[other]) for other in others),
        ),
    )


def difference(one: str, other: str, values: Sequence[float], others: Sequence[float]) -> str:
    """Seed by seed; of two loops with draws of their own the pairs are by chance, and no worse."""
    differences = [a - b for a, b in zip(values, others, strict=True)]
    enough = len(differences) >= 3
    return f"{one} less {other}, seed by seed: {spread(differences, each=True)}; " + (
        verdict(differences) if enough else "too few seeds for an interval."
    )


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
    made.add_argument("--paths", nargs="+", choices=PATHS, default=("fast", "plain"))
    made.add_argument("--one", nargs=2, metavar=("PATH", "SEED"), help=argparse.SUPPRESS)
    arguments = parsed(made)
    resnet = arguments.backbone.removeprefix("resnet").isdecimal()
    if "ordinary" in arguments.paths and not (resnet and arguments.method in ordinary.KINDS):
        made.error(f"the ordinary loop trains a resnetN by one of {', '.join(ordinary.KINDS)}")
    if arguments.one:
        return one(arguments.one[0], int(arguments.one[1]), arguments)
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
