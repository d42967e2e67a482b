"""How figures look: one size, one font, and colours that a page can replace by its theme's."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from longtail.errors import printable
from longtail.prior import Group

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, PAPER = "#1c1d1f", "#5a5f66", "#d9d9d5", "#ffffff"
GROUP_COLOUR: dict[Group, str] = {"many": "#3f66ad", "medium": "#12806f", "few": "#c9421c"}
GROUP_MARKER: dict[Group, str] = {"many": "o", "medium": "s", "few": "^"}
SERIES = ("#3f66ad", "#c9421c", "#12806f", "#8a4fa3", "#8a6a00", "#5a5f66")
SIZE = (4.4, 3.0)
"""Inches: a card of a page, or a column of a paper."""

_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)))
_MARKERS = "osD^v"
_LONGEST = 36
_SIGN = 22.0
"""Square points of a mark in a legend, however small those of the data are."""
# Of a legend: what an entry's sign and the gap between columns take of a line, in letter sizes; and
# how much wider letters made of pixels can be than the outlines that are measured.
_SIGN_LENGTH, _SIGN_GAP, _COLUMN_GAP, _EDGE = 1.6, 0.5, 1.1, 0.5
_PIXELS_WIDER = 1.065
_LINE_INCHES = 0.2

_RULES: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 10.0,
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
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "savefig.transparent": True,
}

Given = ParamSpec("Given")
Made = TypeVar("Made")


@contextlib.contextmanager
def house_style(**rules: Any) -> Iterator[None]:
    """What matplotlib makes in here has the house style, with `rules` of its own besides.

    Names may be in any script: a letter that matplotlib's font lacks is no news to a reader.
    """
    import matplotlib

    with matplotlib.rc_context(_RULES | rules), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def in_style(draw: Callable[Given, Made]) -> Callable[Given, Made]:
    """Have a function draw in the house style: matplotlib reads its settings artist by artist."""

    @functools.wraps(draw)
    def drawn(*args: Given.args, **named: Given.kwargs) -> Made:
        with house_style():
            return draw(*args, **named)

    return drawn


@in_style
def new_figure(size: tuple[float, float] = SIZE, **axes: Any) -> tuple["Figure", "Axes"]:
    """An empty figure and its axes in the house style; nothing global is touched.

    Args:
        size: inches.
        axes: what `Figure.add_subplot` takes, such as xlabel and ylabel.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot(**axes)


def line_style(number: int) -> dict[str, Any]:
    """Colour, dashes and marker of a figure's line of that number from 0; 120 are told apart."""
    return {
        "color": SERIES[number % len(SERIES)],
        "linestyle": _DASHES[number // len(SERIES) % len(_DASHES)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "markersize": 4.0,
    }


def put_legend(figure: "Figure", entries: Sequence[tuple[str, "Artist"]]) -> None:
    """A legend above the axes, off the data; the figure grows by its lines, the axes keep theirs.

    Args:
        figure: of one axes, drawn but for the legend.
        entries: text and what it names, read line by line; a text too long for a line is cut.
    """
    from matplotlib.collections import PathCollection

    texts = [_fitting(text) for text, _ in entries]
    columns = _columns([text_width(text) for text in texts])
    # Matplotlib fills column by column.
    order = [n for column in range(columns) for n in range(column, len(texts), columns)]
    legend = figure.legend(
        [entries[n][1] for n in order],
        [str(n) for n in order],
        loc="outside upper left",
        ncols=columns,
        handlelength=_SIGN_LENGTH,
        handletextpad=_SIGN_GAP,
        columnspacing=_COLUMN_GAP,
        borderpad=0.0,
        borderaxespad=_EDGE,
    )
    # Set here, since matplotlib takes a label that begins with "_" for one to be left out.
    for n, shown in zip(order, legend.get_texts(), strict=True):
        shown.set_text(texts[n])
    for sign in legend.findobj(PathCollection):
        sign.set(alpha=1.0, sizes=[_SIGN])
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + _LINE_INCHES * -(-len(texts) // columns))


def _columns(widths: Sequence[float]) -> int:
    """The most columns of a legend that fit a line, given the widths of its texts."""
    fitting = (
        columns
        for columns in range(len(widths), 1, -1)
        if _line_width([max(widths[n::columns]) for n in range(columns)]) <= 72 * SIZE[0]
    )
    return next(fitting, 1)


def _fitting(text: str) -> str:
    """A text that fits a line of a legend."""
    most = _LONGEST
    while _line_width([text_width(shortened(text, most))]) > 72 * SIZE[0]:
        most -= 1
    return shortened(text, most)


def _line_width(texts: Sequence[float]) -> float:
    """Width in points of a line of a legend whose texts are so wide."""
    signs = len(texts) * (_SIGN_LENGTH + _SIGN_GAP) + (len(texts) - 1) * _COLUMN_GAP + 2 * _EDGE
    size: float = _RULES["legend.fontsize"]
    return _PIXELS_WIDER * sum(texts) + size * signs


def text_width(text: str) -> float:
    """Width in points of a text in a legend's letters, by their outlines."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    letters = FontProperties(size=_RULES["legend.fontsize"])
    width: float = text_to_path.get_text_width_height_descent(text, letters, ismath=False)[0]
    return width


def shortened(text: str, most: int = _LONGEST) -> str:
    """A printable text of at most so many letters.

    >>> shortened("abcdef", 4)
    'abc…'
    """
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
