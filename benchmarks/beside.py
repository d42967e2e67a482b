"""Training beside other busy programs: what a run takes when the cores are not its own.

    python benchmarks/beside.py [--busy 2] [--json FILE]

`longtail train` as it is typed, whose threads wait for each other asleep, and with the default of
Linux's OpenMP, whose threads spin; alone, and beside processes that only count. A fresh process
each time, in turns. The time is that of the steps, as the run's log has it, without start-up.
"""

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from end_to_end import photographs
from measure import machine, parsed, parser, typed_command
from results import Case, Report, Timing, publish, ratio

from longtail.data.archive import write_archive
from longtail.data.load import prepare
from longtail.record import read_lines
from longtail.training.decisions import usable_cores

# About seven steps of 64 an epoch.
COUNTS = (200, 120, 72, 43, 26, 16, 9, 6, 3, 2)
EPOCHS, BATCH_SIZE = 2, 64
WAITING = {"asleep": {}, "spinning": {"GOMP_SPINCOUNT": "300000"}}
"""How threads wait, and what brings it about; longtail's own way needs nothing."""
OURS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """Run the block beside so many processes that never rest."""
    counting = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(counting) for _ in range(number)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def train(data: Path, out: Path, waiting: str, threads: int) -> float:
    """Seconds that the steps of a run take, in a process of its own."""
    words = ["train", str(data), "--method", "rcl", "--backbone", "resnet8", "--out", str(out)]
    words += ["--epochs", str(EPOCHS), "--batch-size", str(BATCH_SIZE), "--threads", str(threads)]
    known = {name: value for name, value in os.environ.items() if name not in OURS}
    subprocess.run(
        [sys.executable, "-m", "longtail", *words, "--device", "cpu", "--no-report"],
        env=known | WAITING[waiting],
        check=True,
        capture_output=True,
    )
    seconds: float = read_lines(out / "log.jsonl")[-1]["seconds"]
    return seconds


def compare(arguments: argparse.Namespace) -> Case:
    """Both ways, alone and beside others, in turns."""
    found: dict[str, list[float]] = {}
    threads = arguments.threads or usable_cores()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        write_archive(prepare(photographs(COUNTS)), data)
        others = (0, arguments.busy)
        for turn, number, waiting in itertools.product(range(arguments.turns), others, WAITING):
            out = Path(folder) / f"{turn}-{number}-{waiting}"
            with busy(number):
                seconds = train(data, out, waiting, threads)
            found.setdefault(title(waiting, number), []).append(seconds)
    work = float(EPOCHS * (sum(COUNTS) // BATCH_SIZE) * BATCH_SIZE)
    timings = [Timing(name, tuple(seconds), work) for name, seconds in found.items()]
    return Case(
        title=f"rcl, resnet8, {EPOCHS} epochs of {sum(COUNTS) // BATCH_SIZE} steps of "
        f"{BATCH_SIZE} pictures in three views, {threads} threads",
        timings=tuple(timings),
        ratios=tuple(
            ratio(timings, title("spinning", number), title("asleep", number)) for number in others
        ),
        counts="pictures",
    )


def title(waiting: str, others: int) -> str:
    return f"{waiting}, beside {others} busy" if others else f"{waiting}, alone"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--busy", type=int, default=usable_cores(), help="processes beside the run")
    made.add_argument("--turns", type=int, default=3)
    arguments = parsed(made)
    report = Report(
        benchmark="beside",
        title="Training beside other busy programs",
        command=typed_command(),
        machine=machine(arguments.device),
        cases=(compare(arguments),),
        notes=(f"libgomp is torch {torch.__version__.partition('+')[0]}'s own.",),
    )
    publish(report, arguments.json)


if __name__ == "__main__":
    main()
