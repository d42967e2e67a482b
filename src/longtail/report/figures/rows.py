"""Rows of runs as lines: a point for each seed, a bar at their mean."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from longtail.report.figures.style import INK, SERIES, SIZE, in_style, new_figure, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW, _FRAME = 0.26, 0.75
_LEAST = 5.0
"""Points that the axis spans at least, so that noise does not look like an effect."""


@in_style
def rows(
    labels: Sequence[str], values: Sequence[Sequence[float]], what: str = "balanced accuracy"
) -> "Figure":
    """One horizontal line for each row, the first on top.

    Args:
        labels: of the rows.
        values: of each row, one a seed, fractions; an empty row stays empty.
        what: they are, for the axis.
    """
    figure, axes = new_figure((SIZE[0], _FRAME + _ROW * len(labels)), xlabel=f"{what}, per cent")
    for place, row in enumerate(values):
        points = 100 * np.asarray(row, np.float64)
        axes.plot(points, np.full(len(points), place), "o", color=SERIES[0], alpha=0.65, ms=4.5)
        if points.size:
            axes.plot(points.mean(), place, "|", color=INK, markersize=11, markeredgewidth=1.6)
    known = 100 * np.concatenate([np.asarray(row, np.float64) for row in values])
    if known.size:
        middle = (known.min() + known.max()) / 2
        half = max(_LEAST, 1.1 * np.ptp(known)) / 2
        axes.set_xlim(middle - half, middle + half)
    axes.set_yticks(range(len(labels)), [shortened(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    return figure
