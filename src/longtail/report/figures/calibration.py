"""Reliability: of the samples that a model is so sure of, how many are right."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from longtail.metrics import Reliability
from longtail.prior import Group
from longtail.report.figures.scales import limits
from longtail.report.figures.style import (
    GROUP_COLOUR,
    GROUP_MARKER,
    MUTED,
    PAPER,
    in_style,
    new_figure,
    put_legend,
)
from longtail.report.words import percent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENOUGH = 5
"""Samples of a bin that a line goes through; of fewer the accuracy is mostly chance."""
# Square points of a mark: of next to no sample, and what all samples add.
_SMALLEST, _ALL = 8.0, 90.0


@in_style
def calibration(curves: Mapping[Group, Reliability]) -> "Figure":
    """One line a group, against the diagonal on which confidence is accuracy.

    Args:
        curves: by group, at least one.
    """
    figure, axes = new_figure(xlabel="confidence, %", ylabel="accuracy, %")
    limits(axes, 0, 100)
    axes.set_xlim(axes.get_ylim())
    (diagonal,) = axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    entries = [(_entry(*each), _draw(axes, *each)) for each in curves.items()]
    put_legend(figure, [*entries, ("perfect", diagonal)])
    return figure


def _entry(group: Group, curve: Reliability) -> str:
    return f"{group}: ECE {percent(curve.error)} %"


def _draw(axes: "Axes", group: Group, curve: Reliability) -> "Artist":
    """A mark a bin, the larger the more samples, and a line through those with enough."""
    x, y, held = 100 * curve.confidence, 100 * curve.accuracy, curve.number >= ENOUGH
    axes.scatter(
        x,
        y,
        s=_SMALLEST + _ALL * curve.number / curve.number.sum(),
        color=GROUP_COLOUR[group],
        marker=GROUP_MARKER[group],
        edgecolors=PAPER,
        linewidths=0.5,
        zorder=3,
    )
    (line,) = axes.plot(x[held], y[held], color=GROUP_COLOUR[group])
    return line
