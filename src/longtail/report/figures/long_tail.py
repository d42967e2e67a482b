"""Accuracy against class size: of each class of one run, or the trends of several runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from longtail.metrics import wilson_interval
from longtail.prior import group_of
from longtail.report.arrays import Floats, Ints
from longtail.report.figures.marks import draw_marks
from longtail.report.figures.scales import count_scale, limits, placed
from longtail.report.figures.style import (
    GROUP_COLOUR,
    INK,
    MUTED,
    in_style,
    line_style,
    new_figure,
    put_legend,
)
from longtail.report.figures.trend import trend
from longtail.report.words import percent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INTERVALS_UP_TO = 100
"""Classes; more intervals than that hide each other and the marks."""


@in_style
def long_tail(counts: Ints, per_class: Floats, tested: Ints | None = None) -> "Figure":
    """One mark a class, the trend over classes, and the balanced accuracy as a line.

    Args:
        counts: int64 [c], training samples a class.
        per_class: float64 [c], accuracies; NaN for a class without a test sample, which has no
            mark. At least one is known.
        tested: int64 [c], test samples a class, for Wilson intervals up to 100 classes.
    """
    figure, axes = new_figure(xlabel="training samples of the class", ylabel="accuracy, %")
    count_scale(axes, "x", counts)
    limits(axes, 0, 100)
    balanced = float(np.nanmean(per_class))
    level = axes.axhline(100 * balanced, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    if tested is not None and len(counts) <= INTERVALS_UP_TO:
        _draw_intervals(axes, counts, per_class, tested)
    entries: list[tuple[str, Artist]] = []
    for group, marks in draw_marks(axes, counts, 100 * per_class).items():
        entries.append((f"{group} ({len(np.asarray(marks.get_offsets()))})", marks))
    if found := trend(counts, per_class):
        (line,) = axes.plot(found.counts, 100 * found.values, color=INK, zorder=4)
        entries.append((f"mean of {found.window} classes", line))
    put_legend(figure, [*entries, (f"balanced {percent(balanced)}", level)])
    return figure


@in_style
def long_tail_trends(runs: Mapping[str, tuple[Ints, Floats]]) -> "Figure":
    """The trend of each run, as a line; the marks themselves where a run has too few classes.

    Args:
        runs: by label, `counts` and `per_class` as in `long_tail`; at least one.
    """
    figure, axes = new_figure(xlabel="training samples of the class", ylabel="accuracy, %")
    count_scale(axes, "x", np.concatenate([counts for counts, _ in runs.values()]))
    limits(axes, 0, 100)
    entries = []
    for number, (label, (counts, per_class)) in enumerate(runs.items()):
        look = line_style(number)
        if found := trend(counts, per_class):
            (line,) = axes.plot(found.counts, 100 * found.values, **(look | {"marker": ""}))
        else:
            (line,) = axes.plot(placed(counts), 100 * per_class, **(look | {"linestyle": ""}))
        entries.append((label, line))
    put_legend(figure, entries)
    return figure


def _draw_intervals(axes: "Axes", counts: Ints, per_class: Floats, tested: Ints) -> None:
    known = np.flatnonzero(tested)
    correct = np.rint(per_class[known] * tested[known])
    low, high = wilson_interval(correct, tested[known])
    colours = [GROUP_COLOUR[group_of(int(count))] for count in counts[known]]
    axes.vlines(placed(counts[known]), 100 * low, 100 * high, colours, linewidth=1.0, alpha=0.45)
