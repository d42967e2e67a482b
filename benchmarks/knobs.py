"""What does the order of the five rows depend on, and does RCL pay once all are tuned alike?

    python benchmarks/knobs.py data --out runs/knobs        # CIFAR-LT at 16 x 16 pixels
    longtail bench benchmarks/grids/knobs.yaml --out runs/knobs/trials --threads 1
    python benchmarks/knobs.py choose --out runs/knobs      # writes grids/tuned-DATA.yaml
    longtail bench benchmarks/grids/tuned-cifar10-lt.yaml --out runs/knobs/tuned --threads 1
    longtail bench benchmarks/grids/tuned-cifar100-lt.yaml --out runs/knobs/tuned --threads 1
    longtail bench benchmarks/grids/la_tau.yaml --out runs/knobs/la_tau --threads 1
    longtail bench benchmarks/grids/curves.yaml --out runs/knobs/curves --threads 1
    python benchmarks/knobs.py page --out runs/knobs        # docs/results/knobs.md

A quarter of the pixels is a third of the time, and pays for seeds. Every row has the same number of
settings, one knob off the paper's value at a time, with a seed that no table has, judged on
pictures that the cut threw away. What is best there is trained again on other seeds; so is the one
knob that turned out to matter, and every row over a longer budget with it. Test decides nothing.
`page` without --out writes the page again from the records that are kept.
"""

import argparse
import dataclasses
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from when import MEASURES, PAIRS, answers, cell, curves

from longtail.data.archive import write_archive
from longtail.data.dataset import Dataset, Split
from longtail.data.hashing import pictures_hash
from longtail.data.load import load_dataset
from longtail.experiments.grid import as_grid, jobs_of, read_grid
from longtail.experiments.job import plan_tasks
from longtail.experiments.kept import keep
from longtail.experiments.ledger import find_runs, survey, verified
from longtail.experiments.table import Row, short_revision, shown, tested
from longtail.methods import METHODS
from longtail.methods.contrastive import RCL_PAPER
from longtail.methods.resolve import knobs_of
from longtail.record import Record

HOLDOUTS = {"cifar10-lt": "discarded:200", "cifar100-lt": "discarded:20"}
# Three were run of each; on CIFAR-100-LT, where they vary little, two more followed of BCL and RCL.
SEEDS = {"cifar10-lt": 3, "cifar100-lt": 5}
ROWS = ("logit-adjustment", "scl", "bcl", "rcl", "bcl-rcl")
START = "as in RCL's paper"
GROUPS = ("many", "medium", "few")
VARIED = ("la_tau", "temperature", "contrastive_weight")
GRIDS = Path(__file__).with_name("grids")
TRIALS = GRIDS / "knobs.yaml"
LA_TAU = GRIDS / "la_tau.yaml"
CURVES = GRIDS / "curves.yaml"
BY_MEAN = "RCL by class mean"
PAGE = Path(__file__).parents[1] / "docs" / "results" / "knobs.md"
KEPT = PAGE.with_suffix("")
FOLDERS = ("trials", "tuned", "la_tau", "curves")


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
    own = {"data": f"runs/knobs/{data}-16px.npz", "methods": rows, "seeds": SEEDS[data]}
    return {**read_grid(TRIALS), **own}


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
    return sorted(own, key=lambda r: (len(setting(r)), worded(setting(r)), reading(r), r.seed))


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
    trials: Sequence[Record],
    tuned: Sequence[Record],
    la_tau: Sequence[Record],
    longer: Sequence[Record],
) -> Iterator[str]:
    """The results as Markdown."""
    records = (*trials, *tuned, *la_tau, *longer)
    yield "# Which knobs decide, and does RCL pay once every row is tuned?"
    yield ""
    yield (
        "CIFAR-LT, imbalance 100, every 2 x 2 pixels averaged to 16 x 16; the largest class gives "
        "4 % of its training pictures to the hold-out, the others what the cut threw away. "
        f"ResNet-8, {either(r.settings['epochs'] for r in records)} epochs of batches of "
        f"{either(r.settings['batch_size'] for r in records)}, SGD with a cosine from "
        f"{either(r.settings['lr'] for r in records)}, everything else the common recipe. The last "
        f"epoch counts. {either(r.provenance.hardware.cpu for r in records)}, "
        f"{either(r.decisions.threads for r in records)} thread a run; "
        f"{either(r.decisions.precision for r in records)}; torch "
        f"{either(r.provenance.versions['torch'] for r in records)}; revisions "
        f"{', '.join(sorted({short_revision(r) for r in records}))}, numeric sources "
        f"{either(str(r.provenance.numeric_hash)[:8] for r in records)}."
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
    yield (
        "Here and below: per cent on test, mean ± standard deviation (seeds). Many: classes of "
        "over 100 training pictures; few: of under 20, of which CIFAR-10-LT has none. Classes at "
        "0: how many are never recognised, run by run."
    )
    yield ""
    for data in HOLDOUTS:
        if any(record.data.name == f"{data}-16px" for record in tuned):
            yield from tuned_tables(data, tuned)
    yield "## la_tau alone, on test"
    yield ""
    yield from la_tau_tables(la_tau)
    yield "## Rows with la_tau 1 over longer training, on test"
    yield ""
    for data in HOLDOUTS:
        if any(record.data.name == f"{data}-16px" for record in longer):
            yield from curve_tables(data, longer)
    yield "## Commands"
    yield ""
    yield from (line for line in (__doc__ or "").splitlines() if line.startswith("    "))


def either(values: Iterable[Any]) -> str:
    """What the runs have in common, or all that they have."""
    return " or ".join(map(str, sorted(set(values))))


def trials_tables(data: str, trials: Sequence[Record]) -> Iterator[str]:
    """Every setting of every row; what balanced accuracy is best with is trained again."""
    rows = {method: of(trials, data, method) for method in ROWS}
    for measure, name in MEASURES.items():
        found = {
            method: {worded(setting(r)): on_holdout(r, name) for r in records}
            for method, records in rows.items()
        }
        if any(value for values in found.values() for value in values.values()):
            yield from trials_table(f"{data}, {measure}", found)
        else:
            yield f"{data}, {measure}: 0 in every run."
            yield ""
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
    yield from heading(data, "set")
    for row in rows:
        chosen = worded(setting(next(iter(row.records.values()))))
        yield f"| {row.label} | {chosen} | {' | '.join(cells_of(row))} |"
    yield ""
    yield from answers({data: rows}, axis="data")


def la_tau_tables(records: Sequence[Record]) -> Iterator[str]:
    """Two strengths of the classifier's prior, and what the difference is worth."""
    tables = {
        f"{data} at {epochs} epochs": rows_of(own, strength)
        for data in HOLDOUTS
        for epochs, own in budgets(data, records).items()
    }
    yield from heading("data", "row")
    for title, rows in tables.items():
        for row in rows:
            yield f"| {title} | {row.label} | {' | '.join(cells_of(row))} |"
    yield ""
    titles = dict.fromkeys(row.label.partition(",")[0] for rows in tables.values() for row in rows)
    pairs = [(f"{title}, la_tau=1", f"{title}, la_tau=1.3") for title in titles]
    yield from answers(tables, pairs, "data")


def heading(*names: str) -> Iterator[str]:
    """The head of a table whose rows end in `cells_of`."""
    columns = [*MEASURES, *GROUPS, "classes at 0"]
    yield f"| {' | '.join([*names, *columns])} |"
    yield f"|{' --- |' * len(names)}{' ---: |' * len(columns)}"


def cells_of(row: Row) -> list[str]:
    """What a row reached, where it did, and in how many classes it never did, run by run."""
    return [
        *(cell(row, name) for name in MEASURES.values()),
        *(shown(list(row.values(group).values())) for group in GROUPS),
        ", ".join(str(tested(record).zero_classes) for record in row.records.values()),
    ]


def curve_tables(data: str, records: Sequence[Record]) -> Iterator[str]:
    """Every row at every budget, and every pair of them."""
    tables = {
        f"{data}, {epochs} epochs": rows_of(own, reading)
        for epochs, own in budgets(data, records).items()
    }
    for measure, name in MEASURES.items():
        yield from curves(f"{data}, {measure}", name, tables)
    yield from answers(tables, [*PAIRS, (BY_MEAN, "RCL")])


def budgets(data: str, records: Sequence[Record]) -> dict[int, list[Record]]:
    """The runs on some data by their length in epochs, in the order of the rows."""
    found: dict[int, list[Record]] = {}
    for method in ROWS:
        for record in of(records, data, method):
            found.setdefault(record.settings["epochs"], []).append(record)
    return dict(sorted(found.items()))


def rows_of(records: Sequence[Record], label: Callable[[Record], str]) -> list[Row]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(label(record), []).append(record)
    return [Row(name, by_seed(own)) for name, own in found.items()]


def strength(record: Record) -> str:
    return f"{METHODS[record.method].title}, la_tau={record.knobs['la_tau']:g}"


def reading(record: Record) -> str:
    """A row's name, which says whether RCL counts a class by its sum or by its mean."""
    by_mean = record.method == "rcl" and record.knobs["class_average"]
    return BY_MEAN if by_mean else METHODS[record.method].title


def by_seed(records: Sequence[Record]) -> dict[int, Record]:
    """The runs of one row, which differ in their seeds alone.

    Raises:
        ValueError: they do not, as where a folder still has the runs of another choice.
    """
    found = {record.seed: record for record in records}
    mixed = any((r.knobs, r.settings) != (records[0].knobs, records[0].settings) for r in records)
    if len(found) < len(records) or mixed:
        names = ", ".join(f"seed {r.seed} with {dict(r.knobs)}, {r.settings}" for r in records)
        raise ValueError(f"one row, and several runs of a seed or settings: {names}")
    return found


def keep_runs(out: Path) -> None:
    """Copy what the page needs of the runs, and say what cannot be."""
    tuned = [path for path in map(tuned_path, HOLDOUTS) if path.exists()]
    grids = [
        (TRIALS, "trials"),
        *((path, "tuned") for path in tuned),
        (LA_TAU, "la_tau"),
        (CURVES, "curves"),
    ]
    for grid, name in grids:
        tasks = list(plan_tasks(jobs_of(as_grid(read_grid(grid))), out / name))
        also = [folder / each for folder in (out, KEPT) for each in FOLDERS]
        found = survey(tasks, out / name, also=also, accept_source=True)
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
        lines = page(*(read_kept(KEPT / name) for name in FOLDERS))
        PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
