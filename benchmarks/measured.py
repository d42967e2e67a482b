"""Collect the results under docs/results into the file that `longtail methods NAME` reads.

    python benchmarks/measured.py

A folder of records there belongs to the page of the same name. Runs of one method on the same data
under the same budget make one row.
"""

import dataclasses
import itertools
import json
import statistics
from pathlib import Path

from every_method import short

from longtail.methods import METHODS
from longtail.methods.measured import Measured
from longtail.methods.resolve import knobs_of
from longtail.record import Record, read_record

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
QUESTIONS = ("compression.md",)
"""Pages whose rows are one method in several settings, which are no rows of a method's own."""
TARGET = ROOT / "src" / "longtail" / "methods" / "measured.json"


def rows() -> list[Measured]:
    found = []
    for page in sorted(page for page in RESULTS.glob("*.md") if page.name not in QUESTIONS):
        records = [read_record(path) for path in sorted(page.with_suffix("").glob("*/record.json"))]
        records.sort(key=key)
        found += [row(list(same), page) for _, same in itertools.groupby(records, key)]
    # Pages share runs: of one method on the same data under the same budget the most seeds stay.
    best = {(r.method, r.data, r.budget): r for r in sorted(found, key=lambda r: len(r.seeds))}
    return sorted(best.values(), key=lambda row: (row.method, row.data, row.page, row.budget))


def key(record: Record) -> tuple[str, str, str]:
    return record.method, record.data.name, budget(record)


def budget(record: Record) -> str:
    settings, own = record.settings, knobs_of(METHODS[record.method])
    changed = [f", {k}={v}" for k, v in record.knobs.items() if k in own and v != own[k].default]
    return (
        f"{record.recipe} recipe, {record.backbone}, {settings['epochs']} epochs of batches of "
        f"{settings['batch_size']}{''.join(changed)}"
    )


def row(records: list[Record], page: Path) -> Measured:
    values = [100 * r.metrics.test.balanced_accuracy for r in records if r.metrics.test]
    first = records[0].provenance
    return Measured(
        method=records[0].method,
        data=records[0].data.name,
        budget=budget(records[0]),
        seeds=tuple(r.seed for r in records),
        mean=round(statistics.mean(values), 2),
        std=round(statistics.stdev(values), 2) if len(values) > 1 else None,
        revision=", ".join(sorted({short(r.provenance.revision) for r in records})),
        hardware=f"{first.hardware.cpu}, {records[0].decisions.threads} thread",
        page=str(page.relative_to(ROOT)),
    )


def main() -> None:
    plain = [dataclasses.asdict(row) for row in rows()]
    TARGET.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    print(f"{len(plain)} rows in {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
