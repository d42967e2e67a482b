"""Axes that several figures share: training counts on a logarithmic scale, shares in per cent."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from longtail.report.arrays import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NO_SAMPLE = 0.5
"""Where a class without a training sample stands on a logarithmic scale; its tick says 0."""


def placed(counts: Ints) -> Floats:
    """Where counts stand on a logarithmic scale."""
    return np.maximum(counts, NO_SAMPLE).astype(np.float64)


def count_scale(axes: "Axes", which: Literal["x", "y"], counts: Ints) -> None:
    """A logarithmic axis of counts, with room at both ends and plain numbers at its ticks."""
    from matplotlib.ticker import NullLocator

    low, high = placed(counts).min(), placed(counts).max()
    room = max(1.08, (high / low) ** 0.03)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low / room, high * room)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    ticks = count_ticks(counts)
    axis.set_ticks(placed(ticks), [f"{tick:,}" for tick in ticks])
    axis.set_minor_locator(NullLocator())


def count_ticks(counts: Ints) -> Ints:
    """Round numbers among the counts, or the least and the largest where there are none.

    >>> count_ticks(np.array([5, 500])).tolist(), count_ticks(np.array([12, 18])).tolist()
    ([5, 10, 20, 50, 100, 200, 500], [12, 18])
    """
    low, high = max(1, int(counts.min())), max(1, int(counts.max()))
    steps = [1, 2, 5] if high <= 1000 * low else [1]
    powers = 10 ** np.arange(len(str(high)), dtype=np.int64)
    round_ones = np.multiply.outer(powers, steps).ravel()
    ticks = round_ones[(round_ones >= low) & (round_ones <= high)]
    if len(ticks) < 2:
        ticks = np.unique([low, high])
    return np.concatenate([[0], ticks]) if counts.min() == 0 else ticks


def limits(axes: "Axes", low: float, high: float) -> None:
    """The y axis from `low` to `high`, with room for a mark on either."""
    room = 0.03 * (high - low)
    axes.set_ylim(low - room, high + room)
