"""The shape of the training data: samples a class, from head to tail."""

from typing import TYPE_CHECKING

import numpy as np

from longtail.prior import GROUPS, groups
from longtail.report.arrays import Ints
from longtail.report.figures.scales import count_scale
from longtail.report.figures.style import GROUP_COLOUR, in_style, new_figure, put_legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FLOOR = 0.7
"""Below one sample, so that a class with one can be seen; a class without any has no height."""


@in_style
def class_counts(counts: Ints) -> "Figure":
    """One column a class, in its group's colour, the most frequent class first.

    Args:
        counts: int64 [c], training samples a class.
    """
    figure, axes = new_figure(
        xlabel="class, by rank of its training samples", ylabel="training samples"
    )
    heights = np.maximum(-np.sort(-counts), _FLOOR)
    count_scale(axes, "y", np.array([1, counts.max()]))
    axes.set(xlim=(0.5, len(counts) + 0.5), ylim=(_FLOOR, heights[0] * 1.2))
    ranks = rank_ticks(len(counts))
    axes.set_xticks(ranks, [f"{rank:,}" for rank in ranks])
    axes.grid(axis="x", visible=False)
    first, entries = 0, []
    for group in GROUPS:
        size = len(groups(counts)[group])
        if size:
            edges = np.arange(first, first + size + 1) + 0.5
            columns = axes.stairs(
                heights[first : first + size],
                edges,
                baseline=_FLOOR,
                fill=True,
                color=GROUP_COLOUR[group],
            )
            entries.append((f"{group} ({size})", columns))
            first += size
    put_legend(figure, entries)
    return figure


def rank_ticks(classes: int) -> list[int]:
    """The first rank, and round ones after it.

    >>> rank_ticks(3), rank_ticks(100), rank_ticks(1000)
    ([1, 2, 3], [1, 20, 40, 60, 80, 100], [1, 200, 400, 600, 800, 1000])
    """
    from matplotlib.ticker import MaxNLocator

    if classes <= 12:
        return list(range(1, classes + 1))
    found = MaxNLocator(6, integer=True).tick_values(0, classes)
    return [1, *(int(rank) for rank in found if 1 < rank <= classes)]
