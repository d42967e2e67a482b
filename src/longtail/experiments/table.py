"""Tables of an experiment's records, with what the number of seeds can and cannot show."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from longtail.experiments.ledger import Entry
from longtail.metrics.comparison import Comparison, compare_all, sensitivity
from longtail.metrics.paired import Paired, spread, verdict
from longtail.record import Record, SplitMetrics

COLUMNS = {
    "balanced": "balanced_accuracy",
    "harmonic": "harmonic_mean_accuracy",
    "many": "many",
    "medium": "medium",
    "few": "few",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A row: its runs by seed, and how it compares with the baseline.

    Attributes:
        label: its name.
        records: by seed.
        paired: balanced accuracy less the baseline's over shared seeds, points; None for the
            baseline itself and where no seed is shared.
        adjusted: the p-value of `paired` after Holm's correction over the table's rows.
    """

    label: str
    records: Mapping[int, Record]
    paired: Paired | None = None
    adjusted: float | None = None

    def values(self, name: str) -> dict[int, float]:
        """A metric on test in per cent by seed, of the seeds that have it."""
        found = {seed: getattr(tested(r), name) for seed, r in self.records.items()}
        return {seed: 100 * value for seed, value in found.items() if value is not None}


def tested(record: Record) -> SplitMetrics:
    """The metrics that a table shows: on test, or on the hold-out where there is no test split."""
    assert record.metrics.shown is not None
    return record.metrics.shown


def tables_of(entries: Sequence[Entry], baseline: str) -> dict[str, list[Row]]:
    """Rows by table, in the order of the entries; every row is compared with the baseline."""
    tables: dict[str, dict[str, dict[int, Record]]] = {}
    for entry in entries:
        if entry.record is not None:
            job = entry.task.job
            rows = tables.setdefault(job.group, {}).setdefault(job.row, {})
            rows[job.request.seed] = entry.record
    return {
        group: compared([Row(label, records) for label, records in rows.items()], baseline)
        for group, rows in tables.items()
    }


def compared(rows: Sequence[Row], baseline: str, metric: str = "balanced_accuracy") -> list[Row]:
    """The rows with their paired differences from the baseline's and Holm's p-values."""
    base = next((row.values(metric) for row in rows if row.label == baseline), {})
    found = compare_all(
        [(row.values(metric), {} if row.label == baseline else base) for row in rows]
    )
    return [
        dataclasses.replace(row, paired=each.paired, adjusted=each.adjusted)
        for row, each in zip(rows, found, strict=True)
    ]


def markdown_tables(entries: Sequence[Entry], baseline: str) -> Iterator[str]:
    """Every table with its captions, as Markdown that also reads well in a terminal."""
    for group, rows in tables_of(entries, baseline).items():
        yield from section(group, rows, baseline)


def section(title: str, rows: Sequence[Row], baseline: str) -> Iterator[str]:
    """One table with its title, what was trained, and how to read it."""
    yield f"## {title}"
    yield ""
    yield from facts(rows)
    yield ""
    yield from markdown(rows, baseline)
    yield ""
    yield from footnotes(rows, baseline)
    yield ""


def markdown(rows: Sequence[Row], baseline: str) -> Iterator[str]:
    """One table."""
    head = [
        "row",
        "n",
        *COLUMNS,
        "classes at 0",
        f"balanced less {baseline} [95 %]",
        "p (Holm)",
        "",
        "best on test",
        "minutes",
    ]
    cells = [head, ["---"] + ["---:"] * (len(head) - 1), *(cells_of(row) for row in rows)]
    yield from (f"| {' | '.join(line)} |" for line in cells)


def cells_of(row: Row) -> list[str]:
    """A row as text."""
    first = list(row.records.values())
    best = [100 * r.best_on_test.balanced_accuracy for r in first if r.best_on_test]
    zero = [tested(r).zero_classes for r in first]
    return [
        row.label,
        str(len(first)),
        *(shown(list(row.values(name).values())) for name in COLUMNS.values()),
        ", ".join(map(str, zero)),
        compared_text(row),
        "–" if row.adjusted is None else f"{row.adjusted:.2g}",
        "–" if row.paired is None else verdict(row.paired, row.adjusted),
        shown(best),
        f"{sum(r.provenance.seconds for r in first) / len(first) / 60:.1f}",
    ]


def shown(values: Sequence[float]) -> str:
    """Mean ± standard deviation, one decimal; a dash for no value.

    >>> shown([50.0, 52.0]), shown([50.0]), shown([])
    ('51.0 ± 1.4', '50.0', '–')
    """
    if not values:
        return "–"
    numbers = spread(values)
    return f"{numbers.mean:.1f}" + ("" if numbers.std is None else f" ± {numbers.std:.1f}")


def compared_text(row: Row) -> str:
    """A row's difference from the baseline, and over how many seeds where not all of its own."""
    if row.paired is None:
        return "–"
    shared = "" if row.paired.n == len(row.records) else f" (n = {row.paired.n})"
    return difference(row.paired) + shared


def difference(paired: Paired) -> str:
    """A mean difference with its interval, where there is one."""
    if paired.low is None or paired.high is None:
        return f"{paired.mean:+.1f}"
    return f"{paired.mean:+.1f} [{paired.low:+.1f}, {paired.high:+.1f}]"


def facts(rows: Sequence[Row]) -> Iterator[str]:
    """What was trained on what, in sentences; whatever differs between the rows is said."""
    records = [record for row in rows for record in row.records.values()]
    first = records[0]
    data, settings = first.data, first.settings
    yield (
        f"{data.name}: {sum(data.train_counts):,} training samples of {len(data.class_names)} "
        f"classes, {data.test_size:,} test samples, data hash {data.hash[:16]}; "
        f"{first.recipe} recipe, {first.backbone}, {settings['epochs']} epochs of batches of "
        f"{settings['batch_size']}."
    )
    yield f"{_machines(records)}; revision {_revisions(records)}."
    for name, values in _differing(records).items():
        yield f"Rows differ in {name}: {'; '.join(values)}."


def footnotes(rows: Sequence[Row], baseline: str) -> Iterator[str]:
    """How to read the numbers."""
    yield (
        "Per cent on test (on the hold-out where there is no test split) at the last epoch, or the "
        "one that a hold-out chose; mean ± standard "
        f"deviation over seeds. Differences from {baseline} are paired by seed, with Student's 95 "
        "% interval; p-values by Holm over the rows; nothing is ranked below 3 seeds. 'Best on "
        "test' picks its epoch on test, as many papers do, and is compared with nothing here."
    )
    could = sensitivity([Comparison(row.paired, row.adjusted) for row in rows])
    if could is not None:
        yield (
            f"Differences vary by {could.deviation:.1f} points from seed to seed: {could.seeds} "
            f"seeds would show a true difference of {could.least:.1f} points in four cases of five "
            "after Holm's correction, and smaller ones mostly go unseen. A difference of 1 point "
            f"would take about {could.seeds_for(1.0):,} seeds."
        )


def _machines(records: Sequence[Record]) -> str:
    names = {
        ", ".join(
            [
                r.provenance.hardware.gpu or r.provenance.hardware.cpu,
                f"threads: {r.decisions.threads}",
                r.decisions.precision,
                f"torch {r.provenance.versions.get('torch')}",
            ]
        )
        for r in records
    }
    return " / ".join(sorted(names))


def _revisions(records: Sequence[Record]) -> str:
    return ", ".join(sorted({short_revision(r) for r in records}))


def short_revision(record: Record) -> str:
    """Seven digits, and whether the tree was edited."""
    text = str(record.provenance.revision)
    return text[:7] + ("-dirty" if text.endswith("-dirty") else "")


def _differing(records: Sequence[Record]) -> dict[str, list[str]]:
    """Settings that are not the same for all rows."""
    texts: dict[str, list[str]] = {
        "epochs": [str(r.settings["epochs"]) for r in records],
        "batch size": [str(r.settings["batch_size"]) for r in records],
        "backbone": [r.backbone for r in records],
        "recipe": [r.recipe for r in records],
        "precision": [r.decisions.precision for r in records],
        "data": [r.data.hash[:16] for r in records],
        "hold-out": [str(r.data.holdout) for r in records],
        "numeric sources": [str(r.provenance.numeric_hash)[:12] for r in records],
    }
    return {name: sorted(set(values)) for name, values in texts.items() if len(set(values)) > 1}
