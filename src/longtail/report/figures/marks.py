"""Classes as marks over their training counts, in the colours and shapes of their groups."""

from typing import TYPE_CHECKING

import numpy as np

from longtail.prior import GROUPS, Group, groups
from longtail.report.arrays import Floats, Ints
from longtail.report.figures.scales import placed
from longtail.report.figures.style import GROUP_COLOUR, GROUP_MARKER, PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection


def mark_order(counts: Ints, values: Floats) -> Ints:
    """Ids of the classes that have a value in the order in which `draw_marks` draws them.

    From head to tail, of equal counts the smaller id first; int64 [k].
    """
    order = np.argsort(-counts, kind="stable")
    return order[~np.isnan(values[order])]


def draw_marks(axes: "Axes", counts: Ints, values: Floats) -> dict[Group, "PathCollection"]:
    """One mark a class that has a value, in one collection a group that has a mark.

    The collections' ids end in "-marks" and follow each other from head to tail, so that a page
    finds the marks of a figure in the order of `mark_order`.

    Args:
        axes: to draw on; the x axis is of counts.
        counts: int64 [c], training samples a class.
        values: float64 [c], the heights; NaN for a class without one.
    """
    size, alpha = _look(len(counts))
    order, drawn = mark_order(counts, values), {}
    members = groups(counts)
    for group in GROUPS:
        ids = order[np.isin(order, members[group])]
        if not ids.size:
            continue
        drawn[group] = axes.scatter(
            placed(counts[ids]),
            values[ids],
            s=size,
            alpha=alpha,
            color=GROUP_COLOUR[group],
            marker=GROUP_MARKER[group],
            edgecolors=PAPER,
            linewidths=0.5,
            zorder=3,
            gid=f"{group}-marks",
        )
    return drawn


def _look(classes: int) -> tuple[float, float]:
    """Area in square points, and opacity: a thousand marks lie on each other."""
    if classes <= 20:
        return 34.0, 1.0
    return (20.0, 0.9) if classes <= 200 else (10.0, 0.6)
