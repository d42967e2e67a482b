"""A run in a few lines of Markdown, for a pull request or a terminal."""

from collections.abc import Iterator, Sequence

import numpy as np

from longtail.report.key_figures import KeyFigure, key_figures
from longtail.report.sentences import sentences
from longtail.report.view import RunView
from longtail.report.words import interval, percent, signed

_WORST = 5
# What Markdown or a table would take for markup; a name may hold any of it.
_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]<>()#+-.!|~$@&:"})


def summary(view: RunView) -> str:
    """The verdict, the key figures and the worst classes as Markdown."""
    return "\n".join(_lines(view)) + "\n"


def escaped(text: str) -> str:
    r"""Text that Markdown shows as it is.

    >>> escaped("<b>|x_1|</b>")
    '\\<b\\>\\|x\\_1\\|\\</b\\>'
    """
    return text.translate(_SPECIAL)


def _lines(view: RunView) -> Iterator[str]:
    figures = key_figures(view)
    yield f"### {escaped(view.name)}"
    yield ""
    for problem in view.problems:
        yield f"**{escaped(problem)}**"
        yield ""
    yield " ".join(map(escaped, sentences(view, figures)))
    yield ""
    yield from _figure_table(view, figures)
    yield ""
    yield from _worst_table(view)


def _figure_table(view: RunView, figures: Sequence[KeyFigure]) -> Iterator[str]:
    against = view.baseline is not None and any(figure.against for figure in figures)
    extra = f" less {escaped(view.baseline.record.method)} |" if against and view.baseline else ""
    yield f"| per cent on {view.split_name} | | 95 %, samples redrawn |{extra}"
    yield f"| --- | ---: | ---: |{' ---: |' if extra else ''}"
    for figure in figures:
        cells = [figure.name, percent(figure.value)]
        cells.append(
            interval(figure.interval.low, figure.interval.high) if figure.interval else "–"
        )
        if extra:
            cells.append(_difference(figure))
        yield f"| {' | '.join(cells)} |"


def _difference(figure: KeyFigure) -> str:
    if figure.against is None:
        return "–"
    return signed(figure.against.value, figure.against.low, figure.against.high)


def _worst_table(view: RunView) -> Iterator[str]:
    yield "| lowest classes | train samples | recall |"
    yield "| --- | ---: | ---: |"
    for label in np.argsort(view.per_class, kind="stable")[:_WORST]:
        name = escaped(view.class_names[label])
        yield f"| {name} | {view.counts[label]:,} | {percent(view.per_class[label])} |"
