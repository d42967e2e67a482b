"""Whether the model's confidence is its accuracy, over all samples and by group."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from longtail.prior import GROUPS, Group
from longtail.record.predictions import ALL_LOGITS_UP_TO
from longtail.report.figures.calibration import BINS, ENOUGH, Reliability
from longtail.report.figures.of_run import calibration_of, overall_reliability, reliability_by_group
from longtail.report.figures.shown import Shown
from longtail.report.figures.svg import inline
from longtail.report.page import Section, render
from longtail.report.view import RunView
from longtail.report.words import percent


class Line(NamedTuple):
    """A line of the table; fractions.

    Attributes:
        name: "all" or the group.
        group: whose mark stands before the name; None for all.
        samples: of the split.
        confidence: their mean.
        accuracy: share that is right.
        error: the expected calibration error.
    """

    name: str
    group: Group | None
    samples: int
    confidence: float
    accuracy: float
    error: float


def calibration(view: RunView) -> Section | None:
    """Reliability by group and the errors; None without predictions."""
    if view.predictions is None:
        return None
    lines = list(_lines(view))
    html = render(
        "sections/calibration.html.j2",
        view=view,
        figure=_figure(view, lines) if lines else None,
        lines=lines,
        bins=BINS,
        kept_up_to=ALL_LOGITS_UP_TO,
    )
    return Section("calibration", "Calibration", html)


def _lines(view: RunView) -> Iterator[Line]:
    """All samples, then each group that has one; none where the probabilities are not all kept."""
    overall, groups = overall_reliability(view), reliability_by_group(view)
    if overall is None or groups is None:
        return
    yield _line("all", overall)
    yield from (_line(group, groups[group], group) for group in GROUPS if group in groups)


def _line(name: str, found: Reliability, group: Group | None = None) -> Line:
    return Line(
        name,
        group,
        int(found.number.sum()),
        float(np.average(found.confidence, weights=found.number)),
        float(np.average(found.accuracy, weights=found.number)),
        found.error,
    )


def _figure(view: RunView, lines: list[Line]) -> Shown:
    figure = calibration_of(view)
    assert figure is not None
    told = [
        f"{line.name} {percent(line.confidence)} % sure and {percent(line.accuracy)} % right"
        for line in lines
    ]
    label = f"Accuracy by confidence, a line a group; on average {', '.join(told)}"
    caption = (
        "Below the dashed line the model is surer than it is right, above it less. A mark is a "
        f"bin of confidence, the larger the more samples; lines leave out bins with fewer than "
        f"{ENOUGH}."
    )
    return Shown(inline(figure, "calibration", label), caption)
