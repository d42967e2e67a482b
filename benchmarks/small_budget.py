"""Five methods on the real CIFAR-10-LT and CIFAR-100-LT under one small budget, on two cores.

    python benchmarks/small_budget.py tune  --out runs/small-tune    # rates, on a hold-out
    python benchmarks/small_budget.py table --out runs/small         # the runs; resumable
    python benchmarks/small_budget.py write --out runs/small         # docs/results/small-budget.md

Each run is the `longtail train` command that its record holds; two run at a time, on a core each.
Seeds are the outer loop, so that a table that was stopped is still a fair one.
"""

import argparse
import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

METHODS = ("ce", "logit-adjustment", "bcl", "rcl", "bcl-rcl")
TUNED_ON = ("ce", "logit-adjustment")  # no contrastive row is looked at while tuning
DATASETS = ("cifar10-lt", "cifar100-lt")
EPOCHS = {"cifar10-lt": 16, "cifar100-lt": 18}
SEEDS = (0, 1)
RATES = (0.05, 0.1, 0.2)
# Chosen by `tune` on the hold-out "discarded:20", balanced accuracy of the last epoch.
RATE = 0.1
COMMON = "--backbone resnet8 --batch-size 64 --set schedule=cosine --threads 1 --device cpu".split()


def tuning_jobs(out: Path) -> list[list[str]]:
    return [
        [data, "--method", method, "--epochs", str(EPOCHS[data]), "--set", f"lr={rate}", *COMMON]
        + ["--seed", "100", "--holdout", "discarded:20", "--eval-every", "2"]
        + ["--out", str(out / f"{data}-{method}-lr{rate}")]
        for data, rate, method in itertools.product(DATASETS, RATES, TUNED_ON)
    ]


def table_jobs(out: Path) -> list[list[str]]:
    return [
        [data, "--method", method, "--epochs", str(EPOCHS[data]), "--set", f"lr={RATE}", *COMMON]
        + ["--seed", str(seed), "--eval-every", "1", "--out", str(out / f"{data}-{method}-s{seed}")]
        for seed, data, method in itertools.product(SEEDS, DATASETS, METHODS)
    ]


def run(job: list[str]) -> int:
    out = Path(job[job.index("--out") + 1])
    if (out / "record.json").exists():
        return 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with (out.parent / f"{out.name}.txt").open("a", encoding="utf-8") as text:
        command = [sys.executable, "-m", "longtail", "train", *job, "--resume"]
        return subprocess.run(command, stdout=text, stderr=text, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("tune", "table"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--at-once", type=int, default=2)
    arguments = parser.parse_args()
    jobs = {"tune": tuning_jobs, "table": table_jobs}[arguments.what](arguments.out)
    with ThreadPoolExecutor(arguments.at_once) as pool:
        for job, code in zip(jobs, pool.map(run, jobs), strict=True):
            print("failed" if code else "done", *job, flush=True)


if __name__ == "__main__":
    main()
