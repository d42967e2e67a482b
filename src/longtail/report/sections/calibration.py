"""Whether the model's confidence is its accuracy, over all samples and by group."""

from collections.abc import Mapping

import numpy as np

from longtail.metrics import Reliability, group_reliability, reliability
from longtail.metrics.calibration import BINS
from longtail.prior import Group
from longtail.report.figures.calibration import ENOUGH
from longtail.report.figures.calibration import calibration as drawn
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.svg import inline
from longtail.report.page import Section, render
from longtail.report.tables import Cell, Column, Table, group_cell, number, share
from longtail.report.view import RunView
from longtail.report.words import ONLY_LARGEST, percent

_ID, _TITLE = "calibration", "Calibration"
_COLUMNS = (
    Column("classes", number=False),
    *map(Column, ("samples", "confidence", "accuracy", "error")),
)


def calibration(view: RunView) -> Section | None:
    """Reliability by group and the errors; None without predictions."""
    if view.predictions is None:
        return None
    if view.probabilities is None:
        why = f"{ONLY_LARGEST}, and a probability takes all of them: confidence cannot be told."
        return Section(_ID, _TITLE, render("sections/nothing.html.j2", why=why))
    overall = reliability(view.probabilities, view.predictions.labels)
    groups = group_reliability(view.probabilities, view.predictions.labels, view.counts)
    html = render(
        "sections/calibration.html.j2",
        view=view,
        figure=_figure(overall, groups),
        table=_table(overall, groups),
        bins=BINS,
    )
    return Section(_ID, _TITLE, html)


def _table(overall: Reliability, groups: Mapping[Group, Reliability]) -> Table:
    lines = [_line(Cell("all"), overall)]
    lines += [_line(group_cell(group), found) for group, found in groups.items()]
    return Table("calibration-table", "Calibration by group", _COLUMNS, lines)


def _line(classes: Cell, found: Reliability) -> list[Cell]:
    shares = [share(value) for value in (*_means(found), found.error)]
    return [classes, number(int(found.number.sum())), *shares]


def _means(found: Reliability) -> tuple[float, float]:
    """Mean confidence and accuracy over all samples."""
    confidence, accuracy = np.average(found[:2], axis=1, weights=found.number)
    return float(confidence), float(accuracy)


def _figure(overall: Reliability, groups: Mapping[Group, Reliability]) -> InlineFigure:
    told = [_told("all", overall), *(_told(*each) for each in groups.items())]
    label = f"Accuracy by confidence, a line a group; on average {', '.join(told)}"
    caption = (
        "Below the dashed line the model is surer than it is right, above it less. A mark is a "
        f"bin of confidence, the larger the more samples; lines leave out bins with fewer than "
        f"{ENOUGH}."
    )
    return InlineFigure(inline(drawn(groups), "calibration", label), caption)


def _told(name: str, found: Reliability) -> str:
    confidence, accuracy = _means(found)
    return f"{name} {percent(confidence)} % sure and {percent(accuracy)} % right"
