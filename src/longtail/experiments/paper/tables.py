"""From cells to jobs, and from what is done of them to the rows beside the paper's numbers."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from longtail.errors import DataError
from longtail.experiments.job import Job, Task, plan_tasks
from longtail.experiments.ledger import Entry
from longtail.experiments.paper.budgets import Budget, refusal
from longtail.experiments.paper.cells import Cell, PaperTable, by_dataset, knobs_in_paper
from longtail.experiments.table import Row, compared
from longtail.metrics.paired import RANKED_FROM, Paired, holm, paired_difference
from longtail.metrics.pictures import PictureInterval, picture_interval
from longtail.record import read_outcomes
from longtail.request import Request

# The interval's ends then vary by some hundredths of a point from one set of redraws to another.
_REDRAWS = 500


class Planned(NamedTuple):
    """What can be trained of some cells here, and why the others cannot.

    Attributes:
        tasks: seeds outermost.
        refused: cells, each with the reason.
    """

    tasks: list[Task]
    refused: list[tuple[Cell, str]]


@dataclasses.dataclass(frozen=True)
class CellRow:
    """A cell with what was measured of it.

    Attributes:
        cell: of the paper.
        row: its runs; None where none is done.
        folders: of the runs, by seed.
    """

    cell: Cell
    row: Row | None
    folders: Mapping[int, Path]

    def less_printed(self, metric: str) -> float | None:
        """Mean of ours less the paper's number, points; None where one of them is missing."""
        printed = self.cell.printed
        number = printed.harmonic if metric == "harmonic_mean_accuracy" else printed.accuracy
        values = list(self.row.values(metric).values()) if self.row else []
        return sum(values) / len(values) - number if values and number is not None else None


class Answer(NamedTuple):
    """What was found of a difference that the paper claims, in points.

    Attributes:
        first, second: labels of the rows.
        metric: name of a `SplitMetrics` field.
        paired: first less second over the shared seeds.
        adjusted: its p-value after Holm's correction over all answers of the table.
        nothing: whether the metric is 0 in every run of both rows.
    """

    first: str
    second: str
    metric: str
    paired: Paired
    adjusted: float | None
    nothing: bool = False


def jobs_for(
    cells: Sequence[Cell], budget: Budget, seeds: Sequence[int], how: Mapping[str, Any]
) -> list[Job]:
    """The runs of some cells, seeds outermost, so that whatever part is done makes a fair table.

    Args:
        cells: of one table.
        budget: of every run.
        seeds: of every cell.
        how: further arguments of every `Request`, such as its device.
    """
    return [
        Job(cell.data, cell.label, _request(cell, budget, seed, how))
        for seed in seeds
        for cell in cells
    ]


def _request(cell: Cell, budget: Budget, seed: int, how: Mapping[str, Any]) -> Request:
    asked = {**budget.asks(cell.data), **how}
    # Each paper's own recipe has that paper's strength of the prior, BCL's among them.
    of_table = {} if asked.get("recipe") == "paper" else knobs_in_paper(cell.method)
    asked["knobs"] = {**asked.get("knobs", {}), **of_table}
    return Request(data=cell.data, method=cell.method, seed=seed, **asked)


def plan_cells(
    cells: Sequence[Cell],
    budget: Budget,
    seeds: Sequence[int],
    out: Path,
    how: Mapping[str, Any],
) -> Planned:
    """The tasks of the cells whose data are here; the others with what to do about it.

    Args:
        cells: of one table.
        budget: of every run.
        seeds: of every cell.
        out: folder of the runs.
        how: further arguments of every `Request`.
    """
    tasks: list[Task] = []
    refused = [(cell, why) for cell in cells if (why := refusal(cell, budget))]
    trainable = [cell for cell in cells if not refusal(cell, budget)]
    for _, own in by_dataset(trainable):
        try:
            tasks += plan_tasks(jobs_for(own, budget, seeds, how), out)
        except DataError as error:  # the data are not here, for any of these
            refused += [(cell, str(error)) for cell in own]
    return Planned(sorted(tasks, key=lambda task: task.job.request.seed), refused)


def rows_for(table: PaperTable, cells: Sequence[Cell], entries: Sequence[Entry]) -> list[CellRow]:
    """Every cell of one dataset with its done runs, compared with the table's baseline."""
    done = [entry for entry in entries if entry.record is not None]
    runs: dict[str, dict[int, Entry]] = {cell.label: {} for cell in cells}
    for entry in done:
        job = entry.task.job
        if job.group == cells[0].data and job.row in runs:
            runs[job.row][job.request.seed] = entry
    rows = [
        Row(label, {seed: entry.record for seed, entry in sorted(own.items()) if entry.record})
        for label, own in runs.items()
        if own
    ]
    by_label = {row.label: row for row in compared(rows, table.baseline)}
    return [
        CellRow(cell, by_label.get(cell.label), {s: e.folder for s, e in runs[cell.label].items()})
        for cell in cells
    ]


def answers(table: PaperTable, rows: Sequence[CellRow]) -> Iterator[Answer]:
    """The differences that the paper's text is about, over the seeds that both rows have."""
    by_label = {row.cell.label: row.row for row in rows if row.row}
    found = []
    for first, second in table.questions:
        if first in by_label and second in by_label:
            for metric in ("balanced_accuracy", "harmonic_mean_accuracy"):
                ours, base = by_label[first].values(metric), by_label[second].values(metric)
                if ours.keys() & base.keys():
                    nothing = not any([*ours.values(), *base.values()])
                    pair = paired_difference(ours, base)
                    found.append((first, second, metric, pair, nothing))
    adjusted = holm([pair.p if pair.n >= RANKED_FROM else None for *_, pair, _ in found])
    for (first, second, metric, pair, nothing), p in zip(found, adjusted, strict=True):
        yield Answer(first, second, metric, pair, p, nothing)


def interval_of(folder: Path, num_classes: int) -> PictureInterval:
    """Balanced accuracy of one run, a fraction, with the interval over other test pictures.

    Raises:
        CheckpointError: the run's predictions are missing or corrupt.
    """
    outcomes = read_outcomes(folder / "predictions-test.npz")
    return picture_interval(outcomes.labels, outcomes.predicted, num_classes, samples=_REDRAWS)
