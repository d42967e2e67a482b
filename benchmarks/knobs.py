"""What does the order of the five rows depend on, and does RCL pay once all are tuned alike?

    python benchmarks/knobs.py data --out runs/knobs        # CIFAR-LT at 16 x 16 pixels
    longtail bench benchmarks/grids/knobs.yaml --out runs/knobs/trials --threads 1
    python benchmarks/knobs.py choose --out runs/knobs      # writes grids/tuned-DATA.yaml
    longtail bench benchmarks/grids/tuned-cifar10-lt.yaml --out runs/knobs/tuned --threads 1
    longtail bench benchmarks/grids/tuned-cifar100-lt.yaml --out runs/knobs/tuned --threads 1
    longtail bench benchmarks/grids/la_tau.yaml --out runs/knobs/la_tau --threads 1
    python benchmarks/knobs.py page --out runs/knobs        # docs/results/knobs.md

A quarter of the pixels is a third of the time, and pays for seeds. Every row has the same number of
settings, one knob off the paper's value at a time, with a seed that no table has, judged on
pictures that the cut threw away. What is best there is trained again on other seeds, and so is the
one knob that turned out to matter. Test decides nothing. `page` without --out writes the page again
from the records that are kept.
"""

import argparse
import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from when import MEASURES, answers, cell

from longtail.data.archive import write_archive
from longtail.data.dataset import Dataset, Split
from longtail.data.hashing import pictures_hash
from longtail.data.load import load_dataset
from longtail.experiments.grid import as_grid, jobs_of, read_grid
from longtail.experiments.job import plan_tasks
from longtail.experiments.kept import keep
from longtail.experiments.ledger import find_runs, survey, verified
from longtail.experiments.table import Row, short_revision
from longtail.methods import METHODS
from longtail.methods.contrastive import RCL_PAPER
from longtail.methods.resolve import knobs_of
from longtail.record import Record

HOLDOUTS = {"cifar10-lt": "discarded:200", "cifar100-lt": "discarded:20"}
ROWS = ("logit-adjustment", "scl", "bcl", "rcl", "bcl-rcl")
START = "as in RCL's paper"
VARIED = ("la_tau", "temperature", "contrastive_weight")
GRIDS = Path(__file__).with_name("grids")
TRIALS = GRIDS / "knobs.yaml"
LA_TAU = GRIDS / "la_tau.yaml"
PAGE = Path(__file__).parents[1] / "docs" / "results" / "knobs.md"
KEPT = PAGE.with_suffix("")


def write_data(out: Path) -> None:
    """Write each dataset at half its side as an archive that brings its own hold-out."""
    out.mkdir(parents=True, exist_ok=True)
    for name, holdout in HOLDOUTS.items():
        small = half_size(load_dataset(name, holdout=holdout), f"{name}-16px")
        write_archive(small, out / f"{small.name}.npz")


def half_size(dataset: Dataset, name: str) -> Dataset:
    """The dataset with every 2 x 2 pixels averaged, under a name of its own."""
    assert dataset.test is not None
    assert dataset.holdout is not None
    train = halved(dataset.train)
    return dataclasses.replace(
        dataset,
        name=name,
        train=train,
        test=halved(dataset.test),
        holdout=halved(dataset.holdout),
        discarded=None,
        notes=(*dataset.notes, "Every 2 x 2 pixels were then averaged to one."),
        data_hash=pictures_hash(train.inputs),
    )


def halved(split: Split) -> Split:
    pictures = np.asarray(split.inputs[:], np.uint16)
    n, height, width, channels = pictures.shape
    blocks = pictures.reshape(n, height // 2, 2, width // 2, 2, channels)
    averages = (blocks.sum((2, 4), dtype=np.uint16) + 2) // 4
    return dataclasses.replace(split, inputs=averages.astype(np.uint8))


def tuned_grid(data: str, trials: Sequence[Record]) -> dict[str, Any]:
    """The grid of every row at the setting that its trials were best with on the hold-out."""
    rows = [
        {"method": method, "set": dict(setting(max(of(trials, data, method), key=on_holdout)))}
        for method in ROWS
    ]
    return {**read_grid(TRIALS), "data": f"runs/knobs/{data}-16px.npz", "methods": rows, "seeds": 3}


def all_tried(data: str, trials: Sequence[Record]) -> bool:
    """Whether every setting of the grid has been tried: a choice among fewer would be unfair."""
    tried = {
        (record.method, worded(setting(record)))
        for record in trials
        if record.data.name == f"{data}-16px"
    }
    return len(tried) == len(as_grid(read_grid(TRIALS)).methods)


def of(records: Sequence[Record], data: str, method: str) -> list[Record]:
    """A row's runs on some data, the paper's knobs first, so that of equals they win."""
    own = [r for r in records if r.data.name == f"{data}-16px" and r.method == method]
    return sorted(own, key=lambda record: (len(setting(record)), record.seed))


def setting(record: Record) -> Mapping[str, Any]:
    """The knobs of a run that are off the paper's values, which every row starts from."""
    defaults = {name: knob.default for name, knob in knobs_of(METHODS[record.method]).items()}
    start = {**defaults, **RCL_PAPER.knobs}
    return {k: v for k, v in record.knobs.items() if k in VARIED and v != start[k]}


def worded(knobs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in knobs.items()) or START


def on_holdout(record: Record, name: str = "balanced_accuracy") -> float:
    """A metric in per cent."""
    return 100 * float(getattr(record.metrics.holdout, name))


def read_kept(folder: Path) -> list[Record]:
    """The records of the finished runs in a folder, each held against its predictions."""
    done = (run for run in find_runs([folder]) if (run.folder / "record.json").exists())
    return [verified(run) for run in done]


def page(
    trials: Sequence[Record], tuned: Sequence[Record], la_tau: Sequence[Record]
) -> Iterator[str]:
    """The results as Markdown."""
    first = trials[0]
    revisions = sorted({short_revision(record) for record in (*trials, *tuned, *la_tau)})
    yield "# Which knobs decide, and does RCL pay once every row is tuned?"
    yield ""
    yield (
        "CIFAR-LT, imbalance 100, every 2 x 2 pixels averaged to 16 x 16; the largest class gives "
        "4 % of its training pictures to the hold-out, the others what the cut threw away. "
        "ResNet-8, "
        f"{first.settings['epochs']} epochs of batches of {first.settings['batch_size']}, SGD with "
        f"a cosine from {first.settings['lr']}, everything else the common recipe. The last epoch "
        f"counts. {first.provenance.hardware.cpu}, one thread a run; {first.decisions.precision}; "
        f"torch {first.provenance.versions['torch']}; revisions {', '.join(revisions)}."
    )
    yield ""
    yield from (KEPT / "reading.md").read_text(encoding="utf-8").splitlines()
    yield ""
    yield "## One knob at a time, on the hold-out"
    yield ""
    for data in HOLDOUTS:
        if all_tried(data, trials):
            yield from trials_tables(data, trials)
    yield "## Tuned alike, on test"
    yield ""
    for data in HOLDOUTS:
        if any(record.data.name == f"{data}-16px" for record in tuned):
            yield from tuned_tables(data, tuned)
    yield "## la_tau alone, on test"
    yield ""
    yield from la_tau_tables(la_tau)
    yield "## Commands"
    yield ""
    yield from (__doc__ or "").splitlines()[2:9]


def trials_tables(data: str, trials: Sequence[Record]) -> Iterator[str]:
    """Every setting of every row; what balanced accuracy is best with is trained again."""
    rows = {method: of(trials, data, method) for method in ROWS}
    for measure, name in MEASURES.items():
        found = {
            method: {worded(setting(r)): on_holdout(r, name) for r in records}
            for method, records in rows.items()
        }
        yield from trials_table(f"{data}, {measure}", found)
    seeds = ", ".join(str(seed) for seed in sorted({record.seed for record in trials}))
    yield (
        f"Per cent on the hold-out, seed {seeds}; a row's best in bold. The hold-out has 2,000 "
        "pictures, so a balanced accuracy has a standard error of about 1.1 points from these "
        "pictures alone. Last column: the mean change over the contrastive rows."
    )
    yield ""


def trials_table(title: str, found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Values by method and setting."""
    yield f"| {title} | {' | '.join(METHODS[m].title for m in ROWS)} | contrasts gain |"
    yield f"| --- |{' ---: |' * (len(ROWS) + 1)}"
    for name in dict.fromkeys(name for values in found.values() for name in values):
        cells = [value_cell(values, name) for values in found.values()]
        gains = [
            found[method][name] - found[method][START]
            for method in ROWS[1:]
            if name in found[method] and name != START
        ]
        gain = f"{statistics.mean(gains):+.1f}" if gains else "–"
        yield f"| {name} | {' | '.join(cells)} | {gain} |"
    yield ""


def value_cell(values: Mapping[str, float], name: str) -> str:
    if name not in values:
        return "–"
    best = next(key for key, value in values.items() if value == max(values.values()))
    return f"**{values[name]:.1f}**" if name == best else f"{values[name]:.1f}"


def tuned_tables(data: str, tuned: Sequence[Record]) -> Iterator[str]:
    """Every row at its best setting, and every pair of them."""
    rows = [
        Row(METHODS[method].title, by_seed(of(tuned, data, method)))
        for method in ROWS
        if of(tuned, data, method)
    ]
    yield f"| {data} | set | {' | '.join(MEASURES)} |"
    yield f"| --- | --- |{' ---: |' * len(MEASURES)}"
    for row in rows:
        chosen = worded(setting(next(iter(row.records.values()))))
        yield f"| {row.label} | {chosen} | {' | '.join(cell(row, m) for m in MEASURES.values())} |"
    yield ""
    yield from answers({data: rows}, axis="data")


def la_tau_tables(records: Sequence[Record]) -> Iterator[str]:
    """Two strengths of the classifier's prior, and what the difference is worth."""
    tables = {data: strengths(data, records) for data in HOLDOUTS}
    yield f"| data | row | {' | '.join(MEASURES)} |"
    yield f"| --- | --- |{' ---: |' * len(MEASURES)}"
    for data, rows in tables.items():
        for row in rows:
            cells = [cell(row, name) for name in MEASURES.values()]
            yield f"| {data} | {row.label} | {' | '.join(cells)} |"
    yield ""
    titles = dict.fromkeys(row.label.partition(",")[0] for row in tables["cifar10-lt"])
    pairs = [(f"{title}, la_tau=1", f"{title}, la_tau=1.3") for title in titles]
    yield from answers(tables, pairs, "data")


def strengths(data: str, records: Sequence[Record]) -> list[Row]:
    """A row for each method and strength."""
    found: dict[str, list[Record]] = {}
    for method in ROWS:
        for record in of(records, data, method):
            label = f"{METHODS[method].title}, la_tau={record.knobs['la_tau']:g}"
            found.setdefault(label, []).append(record)
    return [Row(label, by_seed(own)) for label, own in found.items()]


def by_seed(records: Sequence[Record]) -> dict[int, Record]:
    """The runs of one row, which differ in their seeds alone.

    Raises:
        ValueError: they do not, as where a folder still has the runs of another choice.
    """
    found = {record.seed: record for record in records}
    if len(found) < len(records) or any(r.knobs != records[0].knobs for r in records):
        names = ", ".join(f"seed {r.seed} with {dict(r.knobs)}" for r in records)
        raise ValueError(f"one row, and several runs of a seed or settings: {names}")
    return found


def keep_runs(out: Path) -> None:
    """Copy what the page needs of the runs, and say what cannot be."""
    tuned = [path for path in map(tuned_path, HOLDOUTS) if path.exists()]
    grids = [(TRIALS, "trials"), *((path, "tuned") for path in tuned), (LA_TAU, "la_tau")]
    for grid, name in grids:
        tasks = list(plan_tasks(jobs_of(as_grid(read_grid(grid))), out / name))
        found = survey(tasks, out / name, also=[out / "tuned"], accept_source=True)
        for problem in keep(found, KEPT / name):
            print(problem)


def tuned_path(data: str) -> Path:
    return GRIDS / f"tuned-{data}.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("data", "choose", "page"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out: Path | None = arguments.out
    if arguments.what != "page" and out is None:
        parser.error(f"{arguments.what} needs --out")
    if arguments.what == "data":
        write_data(arguments.out)
    elif arguments.what == "choose":
        trials = read_kept(arguments.out / "trials")
        for data in filter(lambda data: all_tried(data, trials), HOLDOUTS):
            text = yaml.safe_dump(tuned_grid(data, trials), sort_keys=False)
            tuned_path(data).write_text(text, encoding="utf-8")
    else:
        if out is not None:
            keep_runs(out)
        lines = page(*(read_kept(KEPT / name) for name in ("trials", "tuned", "la_tau")))
        PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
