"""The confusion matrix from head to tail as an image."""

from typing import TYPE_CHECKING

import numpy as np

from longtail.report.arrays import Floats
from longtail.report.figures.style import (
    GROUP_COLOUR,
    LINE,
    MUTED,
    in_style,
    new_figure,
    shortened,
)
from longtail.report.words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from longtail.report.confusion import Matrix

NAMED_UP_TO = 20
"""Rows; of more, neither names nor numbers have room."""
_SIZE = (4.8, 4.2)
_LETTERS = 16
_NUMBER_SIZE = 7.2
# The image's shades are the same in every theme, so the numbers on them are too: the one of black
# and white that contrasts more, at least 4.5 to 1. Ink, paper and "black" would follow the theme.
_BLACK, _WHITE, _DARK_FROM = "#010101", "#fefefe", 0.8


@in_style
def confusion(matrix: "Matrix") -> "Figure":
    """Shares of each row as shades, by their square root; numbers in per cent where they fit.

    Args:
        matrix: as `matrix_of` gives it.
    """
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    figure, axes = new_figure(_SIZE, xlabel="predicted", ylabel="true")
    shares = matrix.shares
    heat = LinearSegmentedColormap.from_list("heat", ["white", GROUP_COLOUR["many"]])
    image = axes.imshow(100 * shares, cmap=heat, norm=PowerNorm(0.5, 0, 100))
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class, %")
    bar.outline.set_edgecolor(LINE)
    bar.set_ticks([0, 1, 5, 20, 50, 100])
    for _, _, last in matrix.bounds[:-1]:
        axes.axhline(last - 0.5, color=MUTED, linewidth=0.8)
        axes.axvline(last - 0.5, color=MUTED, linewidth=0.8)
    if matrix.size == 1 and len(shares) <= NAMED_UP_TO:
        _write_names(axes, matrix.names)
        _write_numbers(axes, shares)
    else:
        unit = "class" if matrix.size == 1 else f"block of {matrix.size} classes"
        axes.set(xlabel=f"predicted, {unit} by rank", ylabel=f"true, {unit} by rank")
    return figure


def _write_names(axes: "Axes", names: tuple[str, ...]) -> None:
    shown = [shortened(name, _LETTERS) for name in names]
    axes.set_xticks(range(len(shown)), shown, rotation=90)
    axes.set_yticks(range(len(shown)), shown)


def _write_numbers(axes: "Axes", shares: Floats) -> None:
    for row, column in np.argwhere(shares > 0).tolist():
        share = shares[row, column]
        axes.text(
            column,
            row,
            "<1" if share < 0.005 else percent(share, 0),
            color=_WHITE if share > _DARK_FROM else _BLACK,
            fontsize=_NUMBER_SIZE,
            ha="center",
            va="center",
        )
