"""What each class gains or loses from one run to another, against its training count."""

from typing import TYPE_CHECKING

import numpy as np

from longtail.report.arrays import Floats, Ints
from longtail.report.figures.marks import draw_marks
from longtail.report.figures.scales import count_scale, limits
from longtail.report.figures.style import INK, MUTED, in_style, new_figure, put_legend
from longtail.report.figures.trend import trend

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

_LEAST = 5.0
"""Points that the axis spans on either side at least: noise should not look like an effect."""


@in_style
def differences(counts: Ints, difference: Floats) -> "Figure":
    """One mark a class over a line at zero, with the mean of each group in the legend.

    Args:
        counts: int64 [c], training samples a class.
        difference: float64 [c], accuracies of one run less those of another, in [-1, 1]; NaN where
            either does not exist. At least one is known.
    """
    points = 100 * difference
    figure, axes = new_figure(xlabel="training samples of the class", ylabel="difference, points")
    count_scale(axes, "x", counts)
    limits(axes, min(-_LEAST, np.nanmin(points)), max(_LEAST, np.nanmax(points)))
    axes.axhline(0, color=MUTED, linewidth=1)
    entries: list[tuple[str, Artist]] = []
    for group, marks in draw_marks(axes, counts, points).items():
        heights = np.asarray(marks.get_offsets())[:, 1]
        entries.append((f"{group} {heights.mean():+.1f}", marks))
    if found := trend(counts, points):
        (line,) = axes.plot(found.counts, found.values, color=INK, zorder=4)
        entries.append((f"mean of {found.window} classes", line))
    put_legend(figure, entries)
    return figure
