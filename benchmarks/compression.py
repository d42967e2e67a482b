"""Does a reading of RCL's compression earn its place? CIFAR-100-LT, two cores.

    python benchmarks/compression.py search --out runs/compression    # resumable, two at a time
    python benchmarks/compression.py grid --out runs/compression      # grids/compression.yaml
    longtail bench benchmarks/grids/compression.yaml --out runs/compression/bench --threads 1
    longtail bench benchmarks/grids/compression-16px.yaml --out runs/compression/bench --threads 1
    python benchmarks/compression.py page --out runs/compression      # docs/results/compression.md

Every reading gets the same number of trials of its threshold and its start, on pictures that the
cut threw away, with a seed that no table has; the first trial has the defaults. The grid then
trains the chosen values and plain RCL on new seeds, all with the same hold-out, which decides the
weak classes and the epoch. Test decides nothing. The second grid has the same rows at half the
side, on the archive that `python benchmarks/knobs.py data --out runs/knobs` writes. `page` without
--out writes the page again from what is kept.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from knobs import by_seed, read_kept

from longtail.experiments.grid import as_grid, jobs_of, read_grid
from longtail.experiments.job import plan_tasks
from longtail.experiments.kept import keep
from longtail.experiments.ledger import survey
from longtail.experiments.table import Row, compared, section
from longtail.record import Record

GRID = Path(__file__).with_name("grids") / "compression.yaml"
HALF_SIZE = GRID.with_name("compression-16px.yaml")
PAGE = Path(__file__).parents[1] / "docs" / "results" / "compression.md"
KEPT = PAGE.with_suffix("")
READINGS = ("both", "anchors", "keys", "before-head")
DATASETS = ("cifar100-lt-if100", "cifar100-lt-16px")
SEARCHED = ("compression_threshold", "compression_start")
TRIALS, SEED = 3, 100
FIXED = {"lr": 0.2, "schedule": "cosine", "la_tau": 1.3}
SIZES = {"backbone": "resnet8", "epochs": 8, "batch_size": 64}


def search(reading: str, out: Path) -> int:
    """Run a study, or go on with it; what it prints goes to a file beside its folder."""
    words = ["cifar100-lt", "--method", "rcl", "--set", f"compression={reading}"]
    words += [w for name in SEARCHED for w in ("--search", name)]
    words += [w for name, value in FIXED.items() for w in ("--set", f"{name}={value}")]
    words += [w for k, v in SIZES.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    words += ["--trials", str(TRIALS), "--no-prune", "--holdout", "discarded:20"]
    words += ["--seed", str(SEED), "--threads", "1", "--device", "cpu", "--precision", "bf16"]
    folder = out / "search" / reading
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".txt").open("a", encoding="utf-8") as text:
        command = [sys.executable, "-m", "longtail", "tune", *words, "--out", str(folder)]
        return subprocess.run(command, stdout=text, stderr=text, check=False).returncode


def trials_of(studies: Path, reading: str) -> list[dict[str, Any]]:
    """A reading's complete trials, the best on the hold-out first."""
    found = json.loads((studies / f"{reading}.json").read_text(encoding="utf-8"))
    complete = [trial for trial in found["trials"] if trial["state"] == "complete"]
    return sorted(complete, key=lambda trial: -trial["value"])


def grid(studies: Path) -> dict[str, Any]:
    """Plain RCL and every reading at its best values."""
    rows: list[dict[str, Any]] = [{"method": "rcl", "label": "off"}]
    for reading in READINGS:
        knobs = {name: trials_of(studies, reading)[0]["knobs"][name] for name in SEARCHED}
        chosen = {"compression": reading, **knobs}
        rows.append({"method": "rcl", "label": named(reading), "set": chosen})
    shared = {"seeds": 3, "eval_every": 2, "holdout": "discarded:20", "set": FIXED, **SIZES}
    shared["precision"] = "bf16"
    return {"data": "cifar100-lt", "methods": rows, "baseline": "off", **shared}


def page() -> Iterator[str]:
    """The results as Markdown, from the records that are kept."""
    yield "# Does RCL's compression pay?"
    yield ""
    yield from (KEPT / "reading.md").read_text(encoding="utf-8").splitlines()
    yield ""
    records = read_kept(KEPT)
    for data in DATASETS:
        if rows := rows_of(records, data):
            yield from section(data, compared(rows, "off"), "off")
    yield "## What the hold-out chose"
    yield ""
    yield "| reading | threshold | start | balanced on the hold-out, per cent | of trials |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for reading in READINGS:
        trials = trials_of(KEPT / "search", reading)
        best, values = trials[0], [100 * trial["value"] for trial in trials]
        threshold, start = (best["knobs"][name] for name in SEARCHED)
        yield (
            f"| {reading} | {threshold:.3f} | {start:.3f} | {values[0]:.1f} | "
            f"{len(trials)}, from {values[-1]:.1f} |"
        )
    yield ""
    yield "## Commands"
    yield ""
    yield from (__doc__ or "").splitlines()[2:7]


def rows_of(records: Sequence[Record], data: str) -> list[Row]:
    """A row for every reading that was trained, by the knob that says which it is."""
    return [
        Row(named(reading), by_seed(own))
        for reading in ("off", *READINGS)
        for own in [
            [r for r in records if r.data.name == data and r.knobs["compression"] == reading]
        ]
        if own
    ]


def named(reading: str) -> str:
    return reading.replace("-", " the ")


def keep_runs(out: Path) -> None:
    """Copy what the page needs of the grids' runs beside it, and say what cannot be."""
    jobs = [job for grid in (GRID, HALF_SIZE) for job in jobs_of(as_grid(read_grid(grid)))]
    tasks = list(plan_tasks(jobs, Path("runs/compression/bench")))
    for problem in keep(survey(tasks, out / "bench", also=[KEPT], accept_source=True), KEPT):
        print(problem)


def keep_studies(out: Path) -> None:
    """Copy what the searches found beside the page."""
    (KEPT / "search").mkdir(parents=True, exist_ok=True)
    for reading in READINGS:
        study = out / "search" / reading / "tune.json"
        if study.exists():
            shutil.copy(study, KEPT / "search" / f"{reading}.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("search", "grid", "page"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out: Path | None = arguments.out
    if arguments.what == "search":
        if out is None:
            parser.error("search needs --out")
        with ThreadPoolExecutor(2) as pool:
            codes = list(pool.map(lambda reading: search(reading, out), READINGS))
        sys.exit(max(codes))
    if out is not None:
        keep_studies(out)
    if arguments.what == "grid":
        GRID.write_text(yaml.safe_dump(grid(KEPT / "search"), sort_keys=False), encoding="utf-8")
    else:
        if out is not None:
            keep_runs(out)
        PAGE.write_text("\n".join(page()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
