"""How figures look: one size, one font, and colours that a page can replace by its theme's."""

from typing import TYPE_CHECKING, Any

from longtail.prior import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE = "#1c1d1f", "#5a5f66", "#d9d9d5"
GROUP_COLOUR: dict[Group, str] = {"many": "#3f66ad", "medium": "#12806f", "few": "#c9421c"}
GROUP_MARKER: dict[Group, str] = {"many": "o", "medium": "s", "few": "^"}
SERIES = ("#3f66ad", "#c9421c", "#12806f", "#8a4fa3", "#8a6a00", "#5a5f66")
SIZE = (4.8, 3.4)
"""Inches: a card of a page, or a column of a paper."""

_RULES: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 9.5,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "grid.alpha": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "text.parse_math": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "savefig.transparent": True,
}


def new_figure(size: tuple[float, float] = SIZE, **axes: Any) -> tuple["Figure", "Axes"]:
    """An empty figure and its axes in the house style; nothing global is touched.

    Args:
        size: inches.
        axes: what `Figure.add_subplot` takes, such as xlabel and ylabel.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_RULES):
        figure = Figure(figsize=size, layout="constrained")
        return figure, figure.add_subplot(**axes)


def rules() -> dict[Any, Any]:
    """The style as matplotlib's settings, for `rc_context` while something is added or written."""
    return dict(_RULES)
