"""Five methods on the real CIFAR-10-LT and CIFAR-100-LT under one small budget, on two cores.

    python benchmarks/small_budget.py tune  --out runs/small-tune    # the rate, on a hold-out
    python benchmarks/small_budget.py table --out runs/small         # the runs; resumable
    python benchmarks/small_budget.py write --out runs/small --tuned runs/small-tune

The last one writes docs/results/small-budget.md; the records and logs it was written from are in
docs/results/small-budget and docs/results/small-budget-tuning. Each run is a `longtail train`
command; two run at a time, on a core each. Seeds are the outer loop, so that a table that was
stopped is a fair one.
"""

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from longtail.experiments.paper.cells import knobs_in_paper
from longtail.methods import METHODS as ALL_METHODS
from longtail.prior import GROUPS
from longtail.record import Record, SplitMetrics, read_record

METHODS = ("ce", "logit-adjustment", "bcl", "rcl", "bcl-rcl")
TUNED_ON = ("ce", "logit-adjustment")  # no contrastive row is looked at while tuning
DATASETS = ("cifar10-lt", "cifar100-lt")
SEEDS = (0, 1)
EPOCHS = 16
RATES = (0.05, 0.1, 0.2)
# Chosen by `tune`, by the balanced accuracy of the last epoch on the hold-out.
RATE = 0.2
PAGE = Path(__file__).parents[1] / "docs" / "results" / "small-budget.md"


def job(
    data: str, method: str, rate: float, seed: int, out: Path, *more: str, epochs: int = EPOCHS
) -> list[str]:
    """The words after `longtail train`."""
    budget = ["--backbone", "resnet8", "--epochs", str(epochs), "--batch-size", "64"]
    rates = ["--set", f"lr={rate}", "--set", "schedule=cosine"]
    machine = ["--device", "cpu", "--threads", "1", "--eval-every", "2"]
    which = ["--method", method, "--seed", str(seed)]
    prior = [w for k, v in knobs_in_paper(method).items() for w in ("--set", f"{k}={v}")]
    return [data, *which, *budget, *rates, *prior, *machine, *more, "--out", str(out)]


def tuning_jobs(out: Path) -> list[list[str]]:
    """CE and logit adjustment on CIFAR-10-LT at each rate, judged on discarded pictures."""
    return [
        job("cifar10-lt", method, rate, 100, tuned(out, method, rate), "--holdout", "discarded:20")
        for rate, method in itertools.product(RATES, TUNED_ON)
    ]


def table_jobs(out: Path) -> list[list[str]]:
    return [
        job(data, method, RATE, seed, out / f"{data}-{method}-s{seed}")
        for seed, data, method in itertools.product(SEEDS, DATASETS, METHODS)
    ]


def tuned(out: Path, method: str, rate: float) -> Path:
    return out / f"cifar10-lt-{method}-lr{rate}"


def run(words: list[str]) -> int:
    """Run a job unless it is done; what it prints goes to a file beside its folder."""
    out = Path(words[-1])
    if (out / "record.json").exists():
        return 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.with_suffix(".txt").open("a", encoding="utf-8") as text:
        command = [sys.executable, "-m", "longtail", "train", *words, "--resume"]
        return subprocess.run(command, stdout=text, stderr=text, check=False).returncode


def run_all(jobs: Sequence[list[str]], at_once: int) -> None:
    with ThreadPoolExecutor(at_once) as pool:
        for words, code in zip(jobs, pool.map(run, jobs), strict=True):
            print("failed" if code else "done", *words, flush=True)


def page(out: Path, tuned_out: Path) -> Iterator[str]:
    """The results as Markdown."""
    records = [
        (Path(words[-1]), read_record(Path(words[-1]) / "record.json"))
        for words in table_jobs(out)
        if (Path(words[-1]) / "record.json").exists()
    ]
    first = records[0][1]
    hardware, versions = first.provenance.hardware, first.provenance.versions
    revisions = ", ".join(sorted({str(r.provenance.revision)[:12] for _, r in records}))
    yield "# Five methods under a small budget"
    yield ""
    yield (
        f"ResNet-8, {EPOCHS} epochs of batches of 64, SGD with a cosine from {RATE:g}, everything "
        "else the common recipe: strong views (AutoAugment, Cutout) for the classifier, SimAugment "
        "for the contrastive views, la_tau 1.3, loss weights 2 and 1. This is no attempt at the "
        "papers' numbers, which take ResNet-32 and 200 epochs of batches of 256."
    )
    yield ""
    yield (
        f"{hardware.cpu}, {hardware.cores} cores, one a run; torch {versions['torch']}, Python "
        f"{versions['python']}; {first.decisions.precision}; revision {revisions}. The last epoch "
        "counts, the test split is read for no choice. Per cent; mean ± standard deviation over "
        "the seeds, each seed in brackets. With two seeds nothing is ranked: the difference of two "
        "means has no interval worth the name."
    )
    for data in DATASETS:
        rows = [(folder, r) for folder, r in records if r.data.name.startswith(data)]
        if rows:
            yield from dataset_section(data, rows)
    yield from reading(records)
    yield from tuning_section(tuned_out)
    yield "## Commands"
    yield ""
    yield "    python benchmarks/small_budget.py tune --out runs/small-tune"
    yield "    python benchmarks/small_budget.py table --out runs/small"
    yield "    python benchmarks/small_budget.py write --out runs/small --tuned runs/small-tune"
    yield ""
    yield (
        "The records and logs behind this page are in `small-budget/` and `small-budget-tuning/` "
        "beside it; `write` with these folders writes it again."
    )
    yield ""
    yield "A single cell, for example RCL with seed 0:"
    yield ""
    example = job("cifar10-lt", "rcl", RATE, 0, Path("runs/rcl-s0"))
    yield f"    longtail train {' '.join(example)}"


def reading(records: list[tuple[Path, Record]]) -> Iterator[str]:
    total = sum(r.provenance.seconds for _, r in records) / 60
    yield ""
    yield "## How to read it"
    yield ""
    yield (
        f"The {len(records)} runs took {total:.0f} minutes of one core each in all, two at a time. "
        "The budget is short: accuracy still rises in the last quarter of training, while the rate "
        "goes to zero, and logit adjustment keeps its largest classes far below cross-entropy's. A "
        "harmonic mean is 0 as soon as one class is never recognised, which 5-picture classes "
        "often are at this budget. The order of the contrastive rows differs between seeds and "
        "datasets: there is no evidence here of a difference between BCL, RCL and BCL+RCL."
    )


def dataset_section(data: str, rows: list[tuple[Path, Record]]) -> Iterator[str]:
    known = rows[0][1].data
    counts = np.array(known.train_counts)
    sizes = ", ".join(f"{len(known.groups[group])} {group}" for group in GROUPS)
    largest, smallest = np.argsort(-counts, kind="stable")[:3], np.argsort(counts)[:3]
    yield ""
    yield f"## {data}"
    yield ""
    yield (
        f"{counts.sum():,} training pictures ({sizes} classes), {known.test_size:,} test pictures, "
        f"data hash {known.hash[:16]}; {known.source}."
    )
    yield ""
    yield (
        "| method | seeds | balanced | harmonic mean | classes at 0 | many | medium | few "
        "| 3 largest | 3 smallest | slope | minutes |"
    )
    yield "|---|" + "---:|" * 11
    for method in METHODS:
        runs = [(folder, r) for folder, r in rows if r.method == method]
        if runs:
            yield table_row(method, runs, largest, smallest)
    yield ""
    yield (
        "Slope: change of the balanced accuracy in points an epoch over the last quarter of "
        "training, by least squares. Minutes: of one run, mean, while other work shared the cores."
    )


def table_row(
    method: str,
    runs: list[tuple[Path, Record]],
    largest: npt.NDArray[np.intp],
    smallest: npt.NDArray[np.intp],
) -> str:
    metrics = [on_test(r) for _, r in runs]
    per_class = [np.array(m.per_class, float) for m in metrics]
    cells = [
        ALL_METHODS[method].title,
        ", ".join(str(r.seed) for _, r in runs),
        spread([m.balanced_accuracy for m in metrics], each=True),
        spread([m.harmonic_mean_accuracy for m in metrics], each=True),
        "/".join(str(m.zero_classes) for m in metrics),
        *(spread([getattr(m, group) for m in metrics]) for group in GROUPS),
        spread([shares[largest].mean() for shares in per_class]),
        spread([shares[smallest].mean() for shares in per_class]),
        f"{np.mean([last_quarter_slope(folder) for folder, _ in runs]):+.2f}",
        f"{np.mean([r.provenance.seconds for _, r in runs]) / 60:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def on_test(record: Record) -> SplitMetrics:
    """The test numbers of a run on data that have a test split."""
    assert record.metrics.test is not None
    return record.metrics.test


def spread(fractions: Sequence[float | None], *, each: bool = False) -> str:
    values = [100 * f for f in fractions if f is not None]
    if not values:
        return "–"
    deviation = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    listed = f" ({', '.join(f'{v:.1f}' for v in values)})" if each and len(values) > 1 else ""
    return f"{np.mean(values):.1f}{deviation}{listed}"


def last_quarter_slope(folder: Path) -> float:
    lines = [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]
    points = [
        (line["epoch"], 100 * line["accuracy"]["balanced_accuracy"])
        for line in lines
        if "accuracy" in line and line["epoch"] >= 0.75 * EPOCHS
    ]
    epochs, accuracies = zip(*points, strict=True)
    return float(np.polyfit(epochs, accuracies, 1)[0])


def tuning_section(out: Path) -> Iterator[str]:
    yield ""
    yield "## How the rate was chosen"
    yield ""
    first = read_record(tuned(out, TUNED_ON[0], RATES[0]) / "record.json")
    yield (
        f"Seed {first.seed}, revision {str(first.provenance.revision)[:12]}, the same machine. "
        "On CIFAR-10-LT, with CE and logit adjustment alone, before any contrastive row was run: "
        "balanced accuracy of the last epoch on 20 pictures a class that the cut threw away."
    )
    yield ""
    yield "| rate | " + " | ".join(ALL_METHODS[method].title for method in TUNED_ON) + " |"
    yield "|---:|" + "---:|" * len(TUNED_ON)
    for rate in RATES:
        shown = [last_holdout(tuned(out, method, rate)) for method in TUNED_ON]
        yield f"| {rate:g} | {' | '.join(shown)} |"
    yield ""


def last_holdout(folder: Path) -> str:
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    return f"{100 * last['accuracy']['balanced_accuracy']:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("tune", "table", "write"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tuned", type=Path)
    parser.add_argument("--at-once", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.what == "write":
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text("\n".join(page(arguments.out, arguments.tuned)) + "\n", encoding="utf-8")
        return
    jobs = {"tune": tuning_jobs, "table": table_jobs}[arguments.what](arguments.out)
    run_all(jobs, arguments.at_once)


if __name__ == "__main__":
    main()
