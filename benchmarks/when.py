"""When does RCL pay? The five rows of Table 1 over growing budgets, on two cores.

    longtail bench benchmarks/grids/when.yaml --out runs/when --threads 1      # resumable
    python benchmarks/when.py --out runs/when                                  # writes the page

The second writes docs/results/when-rcl-pays.md from what is done, and keeps records, logs and
outcomes in docs/results/when-rcl-pays; without --out it writes the page again from those.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from longtail.experiments.grid import as_grid, jobs_of, read_grid
from longtail.experiments.job import plan_tasks
from longtail.experiments.kept import keep
from longtail.experiments.ledger import Entry, survey
from longtail.experiments.table import Row, difference, short_revision, shown, tables_of
from longtail.metrics import Sensitivity, compare_all, first_confidence, smallest_difference

GRID = Path(__file__).with_name("grids") / "when.yaml"
PAGE = Path(__file__).parents[1] / "docs" / "results" / "when-rcl-pays.md"
PAIRS = (
    ("RCL", "Logit adjustment"),
    ("RCL", "LC+SCL"),
    ("RCL", "BCL"),
    ("BCL+RCL", "BCL"),
    ("BCL", "LC+SCL"),
)
MEASURES = {"balanced": "balanced_accuracy", "harmonic mean": "harmonic_mean_accuracy"}
COULD = ("could be seen", "for 1 point")
READING = PAGE.with_suffix("") / "reading.md"


def entries_of(folders: Sequence[Path]) -> list[Entry]:
    tasks = list(plan_tasks(jobs_of(as_grid(read_grid(GRID))), Path("runs/when")))
    return survey(tasks, Path("runs/when"), also=folders, accept_source=True)


def page(entries: Sequence[Entry]) -> Iterator[str]:
    """The results as Markdown."""
    tables = tables_of(entries, "Logit adjustment")
    records = [e.record for e in entries if e.record]
    first = records[0]
    yield "# When does RCL pay?"
    yield ""
    yield (
        "ResNet-8, batches of 64, SGD with a cosine from 0.2, everything else the common recipe "
        "and every row's knobs as in RCL's paper (la_tau 1.3; RCL's and SCL's weights 2 and 1, as "
        "the other rows'). Imbalance 100. The last epoch counts; test decides nothing. "
        f"{first.provenance.hardware.cpu}, one thread a run; {first.decisions.precision}; torch "
        f"{first.provenance.versions['torch']}; revisions "
        f"{', '.join(sorted({short_revision(r) for r in records}))}, whose runs are mixed: 4ca678f "
        "to 4f99a65 are older than the hash of numeric sources, and the tests' golden runs hold "
        "their arithmetic to today's but for rounding."
    )
    yield ""
    yield from READING.read_text(encoding="utf-8").splitlines()
    yield ""
    for data in ("cifar10-lt", "cifar100-lt"):
        own = {name: rows for name, rows in tables.items() if name.startswith(f"{data},")}
        yield f"## {data}"
        yield ""
        for measure, name in MEASURES.items():
            yield from curves(measure, name, own)
        yield from answers(own)
    yield "## Commands"
    yield ""
    yield from (f"    {line.strip()}" for line in (__doc__ or "").splitlines()[2:4])


def curves(measure: str, name: str, tables: dict[str, list[Row]]) -> Iterator[str]:
    """One measure of every row at every budget."""
    labels = list(dict.fromkeys(row.label for rows in tables.values() for row in rows))
    yield f"| {measure} | {' | '.join(budget_of(title) for title in tables)} |"
    yield f"| --- |{' ---: |' * len(tables)}"
    for label in labels:
        cells = [
            next((cell(row, name) for row in rows if row.label == label), "–")
            for rows in tables.values()
        ]
        yield f"| {label} | {' | '.join(cells)} |"
    yield ""


def cell(row: Row, name: str) -> str:
    """Mean ± deviation, and the number of seeds."""
    values = list(row.values(name).values())
    return f"{shown(values)} ({len(values)})"


def answers(
    tables: Mapping[str, Sequence[Row]],
    pairs: Iterable[tuple[str, str]] = PAIRS,
    axis: str = "budget",
) -> Iterator[str]:
    """Every pair in every table, its interval, and what so many seeds could have shown.

    Args:
        tables: rows by title, which ends in the value that tells the tables apart.
        pairs: labels of rows.
        axis: what that value is.
    """
    asked = [
        (title, first, second, measure, ours, base)
        for title, rows in tables.items()
        for first, second in pairs
        for measure, name in MEASURES.items()
        for ours in [values(rows, first, name)]
        for base in [values(rows, second, name)]
        if len(ours.keys() & base.keys()) > 1
    ]
    head = [axis, "difference", "of", "n", "points [95 %]", "p (Holm)", *COULD, ""]
    yield f"| {' | '.join(head)} |"
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
    found = compare_all([(ours, base) for *_, ours, base in asked])
    level = first_confidence(found)
    for (title, first, second, measure, *_), each in zip(asked, found, strict=True):
        paired, p = each.paired, each.adjusted
        assert paired is not None
        could = ["–", "–"]
        if p is not None and paired.std:
            least = smallest_difference(paired.std, paired.n, confidence=level)
            found_by = Sensitivity(paired.std, paired.n, least, level)
            could = [f"{least:.1f}", f"{found_by.seeds_for(1.0):,}"]
        cells = [
            budget_of(title),
            f"{first} less {second}",
            measure,
            str(paired.n),
            difference(paired),
            "–" if p is None else f"{p:.2g}",
            *could,
            each.words,
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield (
        "Paired by seed, Student's interval; Holm over this table, whose runs other tables may "
        "share. 'Could be seen': the smallest true difference, in points, that so many seeds would "
        "show in four cases of five, given how these differences vary and how many lines Holm "
        "corrects for. 'For 1 point': the seeds that a true difference of one point would take to "
        "be seen as often. Both trust a deviation that few seeds know only within several times."
    )
    yield ""


def values(rows: Sequence[Row], label: str, name: str) -> dict[int, float]:
    return next((row.values(name) for row in rows if row.label == label), {})


def budget_of(title: str) -> str:
    return title.rpartition(", ")[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, action="append", default=[])
    kept = PAGE.with_suffix("")
    entries = entries_of([*parser.parse_args().out, kept])
    for problem in keep(entries, kept):
        print(problem)
    PAGE.write_text("\n".join(page(entries_of([kept]))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
