"""Reliability: of the samples that a model is so sure of, how many are right."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from longtail.report.figures.scales import limits
from longtail.report.figures.style import (
    GROUP_COLOUR,
    GROUP_MARKER,
    MUTED,
    PAPER,
    in_style,
    line_style,
    new_figure,
    put_legend,
    shortened,
)
from longtail.report.view import Floats, Ints
from longtail.report.words import percent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

BINS = 15
ENOUGH = 5
"""Samples of a bin that a line goes through; of fewer the accuracy is mostly chance."""
# Square points of a mark: of next to no sample, and what all samples add.
_SMALLEST, _ALL = 8.0, 90.0


class Reliability(NamedTuple):
    """What a model's confidence was worth, over the bins that hold a sample.

    Attributes:
        confidence: float64 [b], mean of the bin.
        accuracy: float64 [b], share of the bin's samples that are right.
        number: int64 [b], samples of the bin.
    """

    confidence: Floats
    accuracy: Floats
    number: Ints

    @property
    def error(self) -> float:
        """The expected calibration error, as `longtail.metrics.expected_calibration_error`."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.average(gaps, weights=self.number))


def reliability(
    confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = BINS
) -> Reliability:
    """Confidence and accuracy over bins of equal width, ((m - 1) / bins, m / bins].

    Args:
        confidence: float64 [n], the largest probability of each sample, at least one sample.
        correct: bool [n], whether its class is the true one.
        bins: at least 1.
    """
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    place = np.searchsorted(edges, confidence, side="left")
    number = np.bincount(place, minlength=bins)
    held = number > 0
    sure = np.bincount(place, confidence, minlength=bins)[held] / number[held]
    right = np.bincount(place, correct, minlength=bins)[held] / number[held]
    return Reliability(sure, right, number[held])


@in_style
def calibration(curves: Mapping[str, Reliability]) -> "Figure":
    """One line a group or run, against the diagonal on which confidence is accuracy.

    Args:
        curves: by label; "many", "medium" and "few" have their groups' colours. At least one.
    """
    figure, axes = new_figure(xlabel="confidence, %", ylabel="accuracy, %")
    limits(axes, 0, 100)
    axes.set_xlim(axes.get_ylim())
    (diagonal,) = axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    entries: list[tuple[str, Artist]] = []
    for number, (label, curve) in enumerate(curves.items()):
        look = _look(label, number)
        x, y, held = 100 * curve.confidence, 100 * curve.accuracy, curve.number >= ENOUGH
        areas = _SMALLEST + _ALL * curve.number / curve.number.sum()
        axes.scatter(
            x,
            y,
            s=areas,
            color=look["color"],
            marker=look["marker"],
            edgecolors=PAPER,
            linewidths=0.5,
            zorder=3,
        )
        (line,) = axes.plot(x[held], y[held], color=look["color"], linestyle=look["linestyle"])
        entries.append((f"{shortened(label, 22)}: ECE {percent(curve.error)} %", line))
    put_legend(figure, [*entries, ("perfect", diagonal)])
    return figure


def _look(label: str, number: int) -> dict[str, str]:
    for group, colour in GROUP_COLOUR.items():
        if group == label:
            return {"color": colour, "linestyle": "-", "marker": GROUP_MARKER[group]}
    return line_style(number)
