"""The paper's tables beside ours, as a Markdown page that is written from records alone.

A page has a section for each table under each budget; writing one leaves the others as they are.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from longtail.experiments.ledger import Entry
from longtail.experiments.paper.budgets import BUDGETS, PAPER, Budget, refusal
from longtail.experiments.paper.cells import TABLES, Cell, PaperTable, by_dataset
from longtail.experiments.paper.curves import Curve, curves_of, draw_curves, last_slope
from longtail.experiments.paper.tables import CellRow, answers, interval_of, rows_for
from longtail.experiments.table import (
    compared_text,
    difference,
    facts,
    footnotes,
    short_revision,
    shown,
    tested,
)
from longtail.metrics.paired import verdict
from longtail.record import Record, write_atomically

HEAD = (
    "# The paper's tables, and ours",
    "",
    "De Alvis, Denipitiyage and Seneviratne, Long-Tail Learning with Rebalanced Contrastive Loss, "
    "arXiv 2312.01753, and the same experiments by this library. Every number of ours is read from "
    "the records of runs, by the command named in each section; the paper's are as it prints them. "
    "Nothing was chosen on a test split.",
    "",
)
_NAMES = {"balanced_accuracy": "balanced", "harmonic_mean_accuracy": "harmonic"}
_SECTION = re.compile(r"<!-- section (\S+) -->\n(.*?)<!-- end -->\n", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a section was asked for, so that it can say how to have it again.

    Attributes:
        table: of the paper.
        budget: of the runs.
        cells: of the table.
        seeds: how many, from 0.
        recipe: "common", or "paper" for each method's own.
        precision: of the runs; "auto" is what the machine computes in natively.
    """

    table: PaperTable
    budget: Budget
    cells: Sequence[Cell]
    seeds: int
    recipe: str = "common"
    precision: str = "auto"

    @property
    def key(self) -> str:
        """Names the section within its page."""
        own = ["own-recipes"] if self.recipe != "common" else []
        return "-".join([self.table.name, self.budget.name, *own])

    def command(self, *more: str) -> str:
        """What to type for it."""
        words = ["longtail", "paper", self.table.name, "--budget", self.budget.name]
        words += ["--seeds", str(self.seeds)]
        words += ["--recipe", self.recipe] if self.recipe != "common" else []
        words += ["--precision", self.precision] if self.precision != "auto" else []
        return " ".join([*words, *more])


def write_page(path: Path, asked: Asked, entries: Sequence[Entry]) -> None:
    """Write one section into the page at `path`, with its pictures beside it.

    Args:
        path: of the page, made if missing; its other sections are kept.
        asked: what the section is of.
        entries: of its tasks.
    """
    rows = {data: rows_for(asked.table, own, entries) for data, own in by_dataset(asked.cells)}
    curves = {data: curves_of(own) for data, own in rows.items()}
    pictures = {
        data: f"{path.stem}-{asked.key}-{data}.svg" for data, found in curves.items() if found
    }
    for data, name in pictures.items():
        title = f"{data}, budget {asked.budget.name}"
        write_atomically(path.with_name(name), draw_curves(curves[data], title))
    lines = section(asked, rows, entries, curves, pictures)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    write_atomically(path, with_section(before, asked.key, lines).encode())


def with_section(page: str, key: str, lines: Iterable[str]) -> str:
    """The page with one section put in or replaced; sections come in a fixed order."""
    sections = {**dict(_SECTION.findall(page)), key: "".join(f"{line}\n" for line in lines)}
    known = [f"{table}-{budget}" for budget in BUDGETS for table in TABLES]
    place = {name: number for number, name in enumerate(known)}
    ordered = sorted(sections, key=lambda name: (place.get(name, len(place)), name))
    parts = [f"<!-- section {name} -->\n{sections[name]}<!-- end -->\n" for name in ordered]
    return "\n".join(HEAD) + "\n" + "\n".join(parts)


def section(
    asked: Asked,
    rows: dict[str, list[CellRow]],
    entries: Sequence[Entry],
    curves: dict[str, dict[str, Curve]],
    pictures: dict[str, str],
) -> Iterator[str]:
    """One table of the paper under one budget.

    Args:
        asked: what the section is of.
        rows: of each dataset.
        entries: of all tasks.
        curves: of each dataset's rows.
        pictures: file of each dataset's curves.
    """
    yield f"## {title_of(asked)}"
    yield ""
    yield f"Budget `{asked.budget.name}`: {_sentence(asked.budget.means)} {asked.budget.evidence}"
    yield ""
    if asked.recipe != "common":
        yield (
            "Every row has its own paper's views and knobs, and its batch, rate and schedule where "
            "the budget does not set them; the record of a run says what it had. The description "
            "above is of what the budget sets."
        )
        yield ""
    for data, own in rows.items():
        yield f"### {data}"
        yield ""
        if any(row.row for row in own):
            yield from _measured(asked, data, own, curves[data], pictures.get(data))
        else:
            yield from _empty(asked, own)
        yield from commands(asked, own, entries)
    yield "### About the paper's table"
    yield ""
    yield from (f"- {note}" for note in asked.table.notes)
    yield ""
    yield "This section is written by"
    yield ""
    yield f"    {asked.command('--write', 'FILE.md')}"
    yield ""
    yield (
        "with `--also FOLDER --accept-source` for records kept beside it; the data must be there, "
        "for what was run is found by what it was run on."
    )
    yield ""


def title_of(asked: Asked) -> str:
    """The heading of a section."""
    recipe = ", each method's own recipe" if asked.recipe != "common" else ""
    return f"{asked.table.title} (budget `{asked.budget.name}`{recipe})"


def _measured(
    asked: Asked, data: str, rows: Sequence[CellRow], curves: dict[str, Curve], picture: str | None
) -> Iterator[str]:
    found = [row.row for row in rows if row.row]
    yield from comparison(asked, rows)
    yield ""
    yield from (f"{line}\n" for line in footnotes(found, asked.table.baseline))
    if asked.budget.name != PAPER.name:
        yield (
            'The columns "less paper" are no measure of a method here: this budget is far below '
            "the paper's. They say how far."
        )
        yield ""
    if any(tested(r).zero_classes for row in found for r in row.records.values()):
        yield (
            "A harmonic mean is 0 as soon as one class is never recognised, which at a budget as "
            "short as this one happens to classes of few pictures; 'classes at 0' counts them, run "
            "by run."
        )
        yield ""
    yield from claims(asked, rows)
    yield from convergence(curves, data, picture)
    yield from test_pictures(rows)
    yield "How it was measured:"
    yield ""
    yield from (f"- {line}" for line in (*facts(found), *provenance(rows)))
    yield ""


def comparison(asked: Asked, rows: Sequence[CellRow]) -> Iterator[str]:
    """The table itself: the paper's numbers, ours, the difference."""
    harmonic = any(row.cell.printed.harmonic is not None for row in rows)
    head = ["row", "paper", "ours", "ours less paper"]
    head += (
        ["paper, harmonic", "ours, harmonic", "harmonic less paper"] if harmonic else ["harmonic"]
    )
    head += ["many", "medium", "few", "classes at 0", "best on test"]
    head += [f"less {asked.table.baseline} [95 %]", "p (Holm)", "verdict", "n"]
    yield from _table(head, (_compared_cells(row, harmonic) for row in rows))


def _compared_cells(row: CellRow, harmonic: bool) -> list[str]:
    printed, label = row.cell.printed, f"{row.cell.label} (`{row.cell.method}`)"
    cells = [label, *_beside(row, "balanced_accuracy", printed.accuracy)]
    beside = _beside(row, "harmonic_mean_accuracy", printed.harmonic)
    cells += beside if harmonic else beside[1:2]
    if row.row is None:
        return [*cells, *["–"] * 8, "0"]
    own, records = row.row, list(row.row.records.values())
    best = [100 * r.best_on_test.balanced_accuracy for r in records if r.best_on_test]
    return [
        *cells,
        *(shown(list(own.values(group).values())) for group in ("many", "medium", "few")),
        ", ".join(str(tested(record).zero_classes) for record in records),
        shown(best),
        compared_text(own),
        "–" if own.adjusted is None else f"{own.adjusted:.2g}",
        "–" if own.paired is None else verdict(own.paired, own.adjusted),
        str(len(records)),
    ]


def _beside(row: CellRow, metric: str, printed: float | None) -> list[str]:
    """The paper's number, ours, and ours less the paper's."""
    gap = row.less_printed(metric)
    return [
        "–" if printed is None else f"{printed:.1f}",
        shown(list(row.row.values(metric).values())) if row.row else "–",
        "–" if gap is None else f"{gap:+.1f}",
    ]


def claims(asked: Asked, rows: Sequence[CellRow]) -> Iterator[str]:
    """What the paper's text claims of pairs of rows, and what the seeds say of it."""
    found = list(answers(asked.table, rows))
    if not found:
        return
    yield "The differences that the paper's text is about (Holm over the lines of this table):"
    yield ""
    head = ["first", "second", "metric", "first less second [95 %]", "p (Holm)", "verdict", "n"]
    yield from _table(
        head,
        (
            [
                answer.first,
                answer.second,
                _NAMES[answer.metric],
                difference(answer.paired),
                "–" if answer.adjusted is None else f"{answer.adjusted:.2g}",
                "0 in every run" if answer.nothing else verdict(answer.paired, answer.adjusted),
                str(answer.paired.n),
            ]
            for answer in found
        ),
    )
    yield ""


def convergence(curves: dict[str, Curve], data: str, picture: str | None) -> Iterator[str]:
    """How far from its end each row was, by its curve and its last slope."""
    if not curves:
        return
    if picture:
        yield f"![Learning curves on {data}]({picture})"
        yield ""
    yield (
        "Learning curves, mean over seeds; slope: points an epoch over the last quarter of "
        "training, by least squares. The test split is read for them and decides nothing."
    )
    yield ""
    epochs = sorted(set.union(*map(set, curves.values())))
    epochs = [epoch for epoch in epochs if epoch == epochs[-1] or 4 * epoch % epochs[-1] == 0]
    yield from _table(
        ["row", *(f"epoch {epoch}" for epoch in epochs), "slope"],
        (
            [label, *(_number(values.get(epoch)) for epoch in epochs), _slope(values)]
            for label, values in curves.items()
        ),
    )
    yield ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _slope(values: Curve) -> str:
    slope = last_slope(values)
    return "–" if slope is None else f"{slope:+.2f}"


def test_pictures(rows: Sequence[CellRow]) -> Iterator[str]:
    """Each run's accuracy with its interval over other test pictures, apart from the seeds'."""
    yield (
        "Within one run, over other test pictures of the same classes (bootstrap, 95 %). These "
        "intervals hold nothing of the spread between seeds, and rank nothing:"
    )
    yield ""
    seeds = sorted({seed for row in rows for seed in row.folders})
    yield from _table(
        ["row", *(f"seed {seed}" for seed in seeds)],
        (
            [row.cell.label, *(_interval(row, seed) for seed in seeds)]
            for row in rows
            if row.folders
        ),
    )
    yield ""


def _interval(row: CellRow, seed: int) -> str:
    if row.row is None or seed not in row.folders or row.row.records[seed].metrics.test is None:
        return "–"
    num_classes = len(row.row.records[seed].data.class_names)
    value, low, high = (100 * end for end in interval_of(row.folders[seed], num_classes))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def provenance(rows: Sequence[CellRow]) -> Iterator[str]:
    """Seeds, time, and which code made which run, so that a mixture is seen."""
    runs = [(row.cell.label, s, r) for row in rows if row.row for s, r in row.row.records.items()]
    minutes = sum(record.provenance.seconds for *_, record in runs) / 60
    yield f"{len(runs)} runs of {minutes:,.0f} minutes in all."
    made: dict[str, dict[str, list[int]]] = {}
    for label, seed, record in runs:
        made.setdefault(_code(record), {}).setdefault(label, []).append(seed)
    mixed = "Runs of several versions of the code are mixed. " if len(made) > 1 else ""
    for code, rows_of in made.items():
        which = "; ".join(f"{label} {_seeds(seeds)}" for label, seeds in rows_of.items())
        yield f"{mixed}{code}: {which}."
        mixed = ""


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _code(record: Record) -> str:
    numeric = record.provenance.numeric_hash
    source = f"numeric sources {numeric[:12]}" if numeric else "numeric sources not recorded"
    return f"Revision {short_revision(record)}, {source}"


def _empty(asked: Asked, rows: Sequence[CellRow]) -> Iterator[str]:
    """A dataset of which nothing is measured: the paper's numbers alone, and why."""
    why = {refusal(row.cell, asked.budget) for row in rows} - {""}
    yield _sentence("; ".join(["Not measured", *sorted(why)]))
    yield ""
    yield from _table(
        ["row", "paper"],
        ([row.cell.label, _number(row.cell.printed.accuracy)] for row in rows),
    )
    yield ""


def commands(asked: Asked, rows: Sequence[CellRow], entries: Sequence[Entry]) -> Iterator[str]:
    """What to type for each cell: every seed of it, and its first run spelled out."""
    first = {
        (entry.task.job.group, entry.task.job.row): entry.task.command
        for entry in reversed(entries)
    }
    yield "<details><summary>One command a cell</summary>"
    yield ""
    for row in rows:
        cell = row.cell
        yield f"{cell.label}, every seed, then the first seed spelled out:"
        yield ""
        yield f"    {asked.command('--cell', cell.name)}"
        if (cell.data, cell.label) in first:
            yield f"    {first[cell.data, cell.label]}"
        yield ""
    yield "</details>"
    yield ""


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    yield from (f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
