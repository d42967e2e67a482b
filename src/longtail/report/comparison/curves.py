"""Rows as lines over each other: training, accuracy by class size, other test distributions."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from longtail.report.comparison.compared import Compared
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.long_tail import long_tail_trends
from longtail.report.figures.svg import inline
from longtail.report.figures.test_priors import under_test_priors
from longtail.report.figures.training import Lines, live_accuracy, losses
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.view import RunView

SHOWN = 8
"""Rows in a figure; more lines hide each other."""


def long_tail(comparison: Compared) -> Section | None:
    """Accuracy against class size; None where there is nothing to compare."""
    rows = comparison.alike[:SHOWN]
    if len(rows) < 2:
        return None
    figure = long_tail_trends({row.short: (row.first.counts, row.recall) for row in rows})
    svg = inline(figure, "long-tail", "Accuracy by training samples of the class, a line a row")
    shown = InlineFigure(
        svg, "Class accuracy against training samples, the mean over a row's seeds."
    )
    note = "A line is a running mean over classes of similar size; few classes are marks."
    return _section("long-tail", "Accuracy by class size", [shown], note, comparison.alike)


def test_priors(comparison: Compared) -> Section | None:
    """Accuracy under other test distributions; None where a class has no test sample."""
    rows = comparison.alike[:SHOWN]
    base = comparison.base.recall
    if len(rows) < 2 or len(base) < 2 or np.isnan(base).any():
        return None
    counts = comparison.base.first.counts
    figure = under_test_priors(counts, {row.short: row.recall for row in rows})
    svg = inline(figure, "test-priors", "Accuracy by imbalance of the test data, a line a row")
    shown = InlineFigure(
        svg, "Accuracy where classes are as frequent in the test as in training, to the reverse."
    )
    note = (
        "From the class accuracies, exactly and without drawing test sets; the middle is balanced "
        "accuracy. No row's predictions are corrected for the other distribution."
    )
    return _section("test-priors", "Other test distributions", [shown], note, comparison.alike)


def curves(comparison: Compared) -> Section | None:
    """Training of one run of each row; None where nothing was logged."""
    seed = comparison.base.first.record.seed
    shown = {row.short: _of_seed(row, seed) for row in comparison.rows[:SHOWN]}
    figures = list(_training_figures({name: v.log for name, v in shown.items() if v.log}))
    if not figures:
        return None
    seeds = {name: view.record.seed for name, view in shown.items()}
    others = ", ".join(f"{name} with seed {s}" for name, s in seeds.items() if s != seed)
    note = f"One run of each row, with seed {seed}{f' ({others})' if others else ''}."
    return _section("training", "Training", figures, note, comparison.rows)


def _training_figures(logs: Mapping[str, Lines]) -> Iterator[InlineFigure]:
    """Live accuracy and loss over epochs, a line a row; of what was not logged none."""
    watched = {
        label: lines for label, lines in logs.items() if any("accuracy" in line for line in lines)
    }
    if watched:
        svg = inline(live_accuracy(watched), "live-accuracy", "Accuracy during training by epoch")
        yield InlineFigure(svg, "Accuracy on the split that the run was watched on.")
    if logs:
        svg = inline(losses(logs), "losses", "Loss during training by epoch")
        yield InlineFigure(svg, "Loss; those of different methods do not measure the same.")


def _of_seed(row: Row, seed: int) -> RunView:
    return row.views.get(seed, row.first)


def _section(
    name: str, title: str, figures: Sequence[InlineFigure], note: str, rows: Sequence[Row]
) -> Section:
    hidden = max(0, len(rows) - SHOWN)
    html = render("comparison/curves.html.j2", figures=figures, note=note, hidden=hidden)
    return Section(name, title, html)
