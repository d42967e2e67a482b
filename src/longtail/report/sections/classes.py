"""Every class in a line: its samples, how well it is recognised, what it is taken for."""

from collections.abc import Iterator, Sequence

import numpy as np

from longtail.metrics import class_auroc, precision, wilson_interval
from longtail.report.arrays import Floats, Ints
from longtail.report.page import Section, render
from longtail.report.tables import Cell, Column, Table, group_cell, number, share
from longtail.report.view import RunView
from longtail.report.words import ONLY_LARGEST

_MISSING = Cell("–", np.nan)


def classes(view: RunView) -> Section:
    """The table of all classes, and what its columns mean."""
    html = render(
        "sections/classes.html.j2", view=view, table=class_table(view), only_largest=ONLY_LARGEST
    )
    return Section("classes", "Class by class", html)


def class_table(view: RunView) -> Table:
    """A line for each class, head first; of a run without predictions the recorded recall alone."""
    columns, cells = zip(*_columns(view), strict=True)
    lines = list(zip(*cells, strict=True))
    return Table("per-class", "Every class", columns, [lines[c] for c in view.order.tolist()])


def most_taken_for(confusion: Ints, order: Ints) -> tuple[Ints, Floats]:
    """The other class that each class is most often taken for, and the share of its samples.

    Args:
        confusion: int64 [c, c], row = true class.
        order: int64 [c], class ids; of equally frequent ones the first in it is named.

    Returns:
        Class ids int64 [c], and fractions float64 [c] in (0, 1], NaN for a class never mistaken,
        whose class id means nothing.
    """
    wrong = confusion - np.diag(np.diagonal(confusion))
    most = wrong.max(axis=1)
    shares = np.where(most > 0, most / np.maximum(confusion.sum(axis=1), 1), np.nan)
    return order[wrong[:, order].argmax(axis=1)], shares


def _columns(view: RunView) -> Iterator[tuple[Column, Sequence[Cell]]]:
    """Each column with its cells by class id."""
    yield Column("class", number=False, wide=True), list(map(Cell, view.class_names))
    yield Column("group", number=False), list(map(group_cell, view.groups))
    yield Column("train"), _counts(view.counts)
    if view.confusion is None:
        yield Column("recall, %"), _shares(view.per_class)
    else:
        yield from _measured(view, view.confusion)


def _measured(view: RunView, confusion: Ints) -> Iterator[tuple[Column, Sequence[Cell]]]:
    totals = confusion.sum(axis=1)
    low, high = wilson_interval(np.diagonal(confusion), totals)
    yield Column(view.split_name), _counts(totals)
    yield Column("recall, %"), _shares(view.per_class)
    yield Column("low"), _shares(np.where(totals > 0, low, np.nan))
    yield Column("high"), _shares(np.where(totals > 0, high, np.nan))
    yield Column("precision, %"), _shares(precision(confusion))
    yield Column("AUROC"), [number(area, _three_digits(area)) for area in _auroc(view).tolist()]
    others, shares = most_taken_for(confusion, view.order)
    names = [Cell(view.class_names[c]) for c in others.tolist()]
    named = [_MISSING if np.isnan(s) else cell for cell, s in zip(names, shares, strict=True)]
    yield Column("most often taken for", number=False, wide=True), named
    yield Column("share, %"), _shares(shares)


def _auroc(view: RunView) -> Floats:
    if view.probabilities is None or view.predictions is None:
        return np.full(len(view.class_names), np.nan)
    return class_auroc(view.probabilities, view.predictions.labels)


def _three_digits(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _counts(values: Ints) -> list[Cell]:
    return [number(value) for value in values.tolist()]


def _shares(values: Floats) -> list[Cell]:
    return [share(value) for value in values.tolist()]
