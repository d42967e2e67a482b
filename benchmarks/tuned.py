"""When does RCL pay once every row is tuned alike? The second half of `when.py`.

    python benchmarks/tuned.py search --out runs/tuned     # resumable; a core each, two at a time
    python benchmarks/tuned.py grids --out runs/tuned      # writes benchmarks/grids/tuned-DATA.yaml
    longtail bench benchmarks/grids/tuned-cifar10-lt.yaml --out runs/tuned/bench --threads 1

Each of the five rows of Table 1 has the same number of trials of the knobs its method declares, on
pictures that the cut threw away, at the middle budget of `when.py`, with a seed that no table has.
The first trial has the defaults. The grids train the chosen knobs without a hold-out, on new seeds.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

GRIDS = Path(__file__).with_name("grids")
ROWS = ("logit-adjustment", "scl", "bcl", "rcl", "bcl-rcl")
DATASETS = ("cifar10-lt", "cifar100-lt")
TRIALS = 8
SEED = 100
FIXED = {"lr": 0.2, "schedule": "cosine"}
SIZES = {"backbone": "resnet8", "epochs": 8, "batch_size": 64}
# Compression is a question of its own (grids/compression.yaml), and needs a hold-out.
SEARCHED = ("la_tau", "ce_weight", "contrastive_weight", "temperature")


def search(data: str, method: str, out: Path) -> int:
    """Run a study, or go on with it; what it prints goes to a file beside its folder."""
    knobs = [k for k in SEARCHED if method != "logit-adjustment" or k == "la_tau"]
    words = [data, "--method", method, "--trials", str(TRIALS), "--holdout", "discarded:20"]
    words += [w for name in knobs for w in ("--search", name)]
    words += [w for name, value in FIXED.items() for w in ("--set", f"{name}={value}")]
    words += [w for k, v in SIZES.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    words += ["--seed", str(SEED), "--threads", "1", "--device", "cpu"]
    folder = out / f"{data}-{method}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".txt").open("a", encoding="utf-8") as text:
        command = [sys.executable, "-m", "longtail", "tune", *words, "--out", str(folder)]
        return subprocess.run(command, stdout=text, stderr=text, check=False).returncode


def grid(data: str, out: Path) -> dict[str, object]:
    """A grid of the best knobs of each row."""
    rows = []
    for method in ROWS:
        found = json.loads((out / f"{data}-{method}" / "tune.json").read_text(encoding="utf-8"))
        complete = [trial for trial in found["trials"] if trial["state"] == "complete"]
        best = max(complete, key=lambda trial: trial["value"])
        rows.append({"method": method, "set": best["knobs"]})
    return {"data": data, "methods": rows, "seeds": 3, "set": FIXED, **SIZES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("search", "grids"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--at-once", type=int, default=2)
    arguments = parser.parse_args()
    cells = [(data, method) for data in DATASETS for method in ROWS]
    if arguments.what == "search":
        with ThreadPoolExecutor(arguments.at_once) as pool:
            codes = pool.map(lambda cell: search(*cell, arguments.out), cells)
            for cell, code in zip(cells, codes, strict=True):
                print("failed" if code else "done", *cell, flush=True)
        return
    for data in DATASETS:
        text = yaml.safe_dump(grid(data, arguments.out), sort_keys=False)
        (GRIDS / f"tuned-{data}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
