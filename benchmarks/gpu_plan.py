"""Everything that only a GPU can show, unattended, in slices of minutes, most valuable first.

    python benchmarks/gpu_plan.py run --data cifar100-lt.npz cifar10-lt.npz --out runs/gpu
    python benchmarks/gpu_plan.py write --out runs/gpu     # docs/results/gpu.md and its files

The data files are what `longtail data cut cifar100-lt --out cifar100-lt.npz` writes. In order: the
tests that need a GPU (kernels equal their references), the loss, the step, a whole run end to end
for each file, what else might make it quicker, then the rows of the paper's first table at its
budget, seeds outermost. A slice ends after --minutes; the same command goes on where it stopped,
within a run too, also on another machine: all of it is in two files of --out, `results.json` and,
of a run that was stopped, `unfinished.tar`; `log.txt` has all that was printed. What failed is kept
with its last words and not tried again without --retry. Peers that are not installed are left out.
"""

import argparse
import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import Report, lines, read_report
from small_budget import on_test, spread

from longtail.errors import Interrupted
from longtail.experiments.paper.cells import knobs_in_paper
from longtail.methods import METHODS
from longtail.methods.resolve import resolve
from longtail.prior import GROUPS
from longtail.recipe import DataInfo
from longtail.record import Record, read_record

BENCHMARKS = Path(__file__).parent
PAGE = BENCHMARKS.parent / "docs" / "results" / "gpu.md"
ROWS = ("ce", "logit-adjustment", "bcl", "rcl", "bcl-rcl")
TESTS = BENCHMARKS.parent / "tests"
# The last one leaves a process that cannot record another graph.
GPU_TESTS = tuple(
    f"test_{name}.py"
    for name in ("keyed", "samplers", "batches", "meta", "losses_contract", "graph")
)
OTHERWISE = (("compiled", "--compile", "on"), ("autotuned", "--autotune"))
TO_SAVE = 20.0
"""Seconds that a run is given to save itself at the end of a slice."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One entry of the plan.

    Attributes:
        name: in `results.json`; unique.
        words: after the Python interpreter.
        writes: file of the result below the working folder; None where what is printed is it.
    """

    name: str
    words: tuple[str, ...]
    writes: str | None = None

    @property
    def resumable(self) -> bool:
        """Whether a task that was stopped goes on where it was."""
        return self.writes is not None and self.writes.endswith("/record.json")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a task's process ended: None as exit code where the time was over."""

    exit_code: int | None
    seconds: float
    printed: str


Execute = Callable[[Sequence[str], float], Outcome]
"""(words, seconds it may take) -> how it ended."""


def tasks(
    data: Sequence[Path], *, device: str, epochs: int, seeds: int, work: Path
) -> Iterator[Task]:
    """The plan, most valuable first."""
    # Other versions of torch warn of other things.
    pytest = ("-m", "pytest", "-q", "-n0", "--tb=short", "-W", "default")
    # All tests of the Triton kernel run on CUDA where there is one, and not on its interpreter.
    yield Task("kernel-parity", (*pytest, str(TESTS / "test_losses_fused.py")))
    yield Task("gpu-tests", (*pytest, "-m", "gpu", *(str(TESTS / name) for name in GPU_TESTS)))
    for dtype in ("fp32", "bf16"):
        yield benchmark(f"loss-{dtype}", "loss", work, "--device", device, "--dtype", dtype)
    yield benchmark("step", "step", work, "--device", device, "--no-compile")
    for file in data:
        yield whole_run(file, "", epochs, work, "--device", device)
    yield benchmark("step-compiled", "step", work, "--device", device)
    # What else might be quicker, in runs that are long enough to tell.
    for file, (name, *options) in itertools.product(data[:1], OTHERWISE):
        yield whole_run(file, name, max(1, epochs // 5), work, "--device", device, *options)
    for seed in range(seeds):
        for file in data:
            for method in ROWS:
                yield row(file, method, seed, device=device, epochs=epochs, work=work)


def benchmark(name: str, script: str, work: Path, *options: str) -> Task:
    """A benchmark that writes its report."""
    file = f"{name}.json"
    words = (str(BENCHMARKS / f"{script}.py"), *options, "--json", str(work / file))
    return Task(name, words, file)


def whole_run(file: Path, how: str, epochs: int, work: Path, *options: str) -> Task:
    """The end-to-end benchmark's whole run on a file, and on nothing else."""
    name = "-".join(part for part in ("end-to-end", how, file.stem) if part)
    length = ("--data", str(file), "--epochs", str(epochs), "--pairs", "0")
    return benchmark(name, "end_to_end", work, *length, *options)


def row(file: Path, method: str, seed: int, *, device: str, epochs: int, work: Path) -> Task:
    """A run at the paper's budget under the common recipe, whose settings are RCL's."""
    name = f"{file.stem}-{method}-s{seed}"
    words = ("-m", "longtail", "train", str(file), "--method", method, "--seed", str(seed))
    length = ("--epochs", str(epochs), "--device", device)
    knobs = tuple(f"--set={name}={value}" for name, value in knobs_in_paper(method).items())
    end = ("--out", str(work / name), "--resume")
    return Task(name, (*words, *length, *knobs, *end), f"{name}/record.json")


def carry_out(
    plan: Sequence[Task],
    out: Path,
    *,
    work: Path,
    seconds: float,
    execute: Execute,
    clock: Callable[[], float] = time.monotonic,
    retry: bool = False,
) -> bool:
    """Do what is not done yet until the time is over.

    Args:
        plan: in the order of doing.
        out: holds `results.json` and perhaps `unfinished.tar`.
        work: folder of the runs and reports being made.
        seconds: of this slice.
        execute: how a task is run.
        clock: seconds.
        retry: whether what failed before is tried again.

    Returns:
        Whether everything is done.
    """
    began = clock()
    work.mkdir(parents=True, exist_ok=True)
    unpack(out / "unfinished.tar", work)
    found = results_of(out)
    for task in plan:
        known = found.get(task.name)
        if known is not None and not (retry and "failed" in known):
            continue
        left = seconds - (clock() - began)
        if left <= TO_SAVE:
            return False
        print(f"{task.name}: begins with {left:.0f} s left", flush=True)
        outcome = execute(task.words, left - TO_SAVE)
        note(task, outcome, out / "log.txt")
        # A task that a whole slice was not enough for would stop every slice again.
        hopeless = left > 0.9 * seconds and not task.resumable
        if stopped(outcome) and not hopeless:
            pack(work / task.name, out / "unfinished.tar")
            return False
        found[task.name] = result(task, outcome, work)
        keep(found, out)
        shutil.rmtree(work / task.name, ignore_errors=True)
        (out / "unfinished.tar").unlink(missing_ok=True)
    return True


def note(task: Task, outcome: Outcome, log: Path) -> None:
    """Append all that a task has printed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"\n== {task.name}: exit {outcome.exit_code}, {outcome.seconds:.0f} s\n")
        file.write(outcome.printed)


def stopped(outcome: Outcome) -> bool:
    """Whether it was the time that ended a task, and not the task itself."""
    return outcome.exit_code is None or outcome.exit_code == Interrupted.exit_code


def execute(words: Sequence[str], seconds: float) -> Outcome:
    """Run Python with these words; ask it to stop when the time is over, and then make it."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=seconds)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        printed, code = ended(process), None
    except BaseException:
        ended(process)  # which no longer hears of it from the terminal
        raise
    return Outcome(code, time.monotonic() - began, printed)


def ended(process: subprocess.Popen[str]) -> str:
    """What a process has printed that is asked to stop, and then made to."""
    process.terminate()
    try:
        printed, _ = process.communicate(timeout=0.75 * TO_SAVE)
    except subprocess.TimeoutExpired:
        # Its children too: they hold the pipe, which would be waited for.
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
    return printed


def result(task: Task, outcome: Outcome, work: Path) -> dict[str, Any]:
    """What is kept of a task that has ended."""
    kept: dict[str, Any] = {"seconds": round(outcome.seconds, 1)}
    if outcome.exit_code != 0:
        why = (
            "no end in a whole slice" if outcome.exit_code is None else f"exit {outcome.exit_code}"
        )
        return {**kept, "failed": why, "printed": last_lines(outcome.printed, 40)}
    if task.writes is None:
        return {**kept, "printed": last_lines(outcome.printed, 10)}
    return {**kept, "result": json.loads((work / task.writes).read_text(encoding="utf-8"))}


def last_lines(text: str, number: int) -> str:
    return "\n".join(text.strip().splitlines()[-number:])


def results_of(out: Path) -> dict[str, Any]:
    """What is done so far, by task."""
    file = out / "results.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def keep(found: Mapping[str, Any], out: Path) -> None:
    """Write the results so that a kill leaves the former file or the new one."""
    out.mkdir(parents=True, exist_ok=True)
    draft = out / "results.json.draft"
    draft.write_text(json.dumps(found, indent=1), encoding="utf-8")
    draft.replace(out / "results.json")


def pack(folder: Path, file: Path) -> None:
    """Put an unfinished run into one file; nothing where there is no run."""
    if not folder.is_dir():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    with tarfile.open(draft, "w") as tar:
        tar.add(folder, arcname=folder.name)
    draft.replace(file)


def unpack(file: Path, work: Path) -> None:
    """Bring an unfinished run back, unless it is there already."""
    if not file.exists():
        return
    with tarfile.open(file) as tar:
        name = tar.getnames()[0].split("/")[0]
        if not (work / name).exists():
            tar.extractall(work, filter="data")


def write(out: Path, page: Path = PAGE) -> None:
    """The page, and beside it a file for each result that it was written from."""
    found = results_of(out)
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for name, entry in found.items():
        text = json.dumps(entry.get("result", entry), indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    page.write_text("\n".join(page_lines(found, folder)) + "\n", encoding="utf-8")


def page_lines(found: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """All results as Markdown."""
    yield "# On a GPU"
    yield ""
    yield "Written by `python benchmarks/gpu_plan.py write` from the files in `gpu/`."
    reports, records = [], []
    for name, entry in found.items():
        if "failed" in entry:
            yield from ("", f"**{name} failed** ({entry['failed']}):", "", "```")
            yield from (entry["printed"], "```")
        elif "result" not in entry:
            yield from ("", f"## {name}", "", "```", entry["printed"], "```")
        elif "benchmark" in entry["result"]:
            reports.append(read_report(folder / f"{name}.json"))
        else:
            records.append(read_record(folder / f"{name}.json"))
    yield from rows_section(records)
    yield from (line for report in reports for line in report_section(report))


def report_section(report: Report) -> list[str]:
    return ["", f"## {report.title}", "", "```", *lines(report), "```"]


def rows_section(records: Sequence[Record]) -> Iterator[str]:
    """A table for each dataset, ours beside what the paper prints."""
    for name in dict.fromkeys(record.data.name for record in records):
        here = [record for record in records if record.data.name == name]
        yield from ("", f"## {name}", "", conditions(here), "")
        titles = [
            "method",
            "seeds",
            "balanced",
            "harmonic mean",
            *GROUPS,
            "best on test",
            "minutes",
        ]
        yield f"| {' | '.join([*titles, 'printed'])} |"
        yield "|---|" + "---:|" * len(titles)
        for method in ROWS:
            runs = [record for record in here if record.method == method]
            if runs:
                yield f"| {' | '.join(row_cells(method, runs))} |"


def conditions(runs: Sequence[Record]) -> str:
    """Under what the numbers of a table were measured, and how to read them."""
    first = runs[0]
    provenance, settings = first.provenance, first.settings
    revisions = sorted({str(run.provenance.revision)[:12] for run in runs})
    hardware = sorted({run.provenance.hardware.gpu or run.provenance.hardware.cpu for run in runs})
    return (
        f"{first.backbone}, {settings['epochs']} epochs of batches of {settings['batch_size']}, "
        f"the {first.recipe} recipe; {sum(first.data.train_counts):,} training pictures, data hash "
        f"{first.data.hash[:16]}; {', '.join(hardware)}, torch {provenance.versions['torch']}, "
        f"revision {', '.join(revisions)}. Per cent, mean ± standard deviation over the seeds. The "
        "last epoch counts; the column 'best on test' picks the epoch by the test pictures, as "
        "most papers do, and decides nothing. 'Printed' is the paper's own number, not ours."
    )


def row_cells(method: str, runs: Sequence[Record]) -> list[str]:
    tests = [on_test(record) for record in runs]
    best = [record.best_on_test for record in runs]
    printed = METHODS[method].published.get(runs[0].data.name)
    return [
        METHODS[method].title,
        ", ".join(str(record.seed) for record in runs),
        spread([m.balanced_accuracy for m in tests]),
        spread([m.harmonic_mean_accuracy for m in tests]),
        *(spread([getattr(m, group) for m in tests]) for group in GROUPS),
        spread([b.balanced_accuracy for b in best if b is not None]),
        f"{np.mean([record.provenance.seconds for record in runs]) / 60:.1f}",
        "–" if printed is None else f"{printed:.1f}",
    ]


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("what", choices=("run", "write"))
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--data", type=Path, nargs="+", default=[])
    made.add_argument("--work", type=Path, help="OUT/work when left out")
    made.add_argument("--minutes", type=float, default=8.5, help="of this slice")
    made.add_argument("--epochs", type=int, default=200)
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--device", default="cuda")
    made.add_argument("--retry", action="store_true", help="try again what failed")
    made.add_argument("--only", default="", help="tasks whose name has this in it")
    arguments = made.parse_args()
    if arguments.what == "write":
        return write(arguments.out)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("There is no CUDA device; --device cpu is for trying the plan out.")
    # What is missing on a bare machine is noticed before a row has been waited for.
    resolve("rcl", DataInfo(np.array([5, 4])), knobs=knobs_in_paper("rcl"))
    work = arguments.work or arguments.out / "work"
    plan = tasks(
        arguments.data,
        device=arguments.device,
        epochs=arguments.epochs,
        seeds=arguments.seeds,
        work=work,
    )
    done = carry_out(
        [task for task in plan if arguments.only in task.name],
        arguments.out,
        work=work,
        seconds=60 * arguments.minutes,
        execute=execute,
        retry=arguments.retry,
    )
    print("Everything is done." if done else "The time is over; the same command goes on.")
    return None


if __name__ == "__main__":
    main()
