"""Tables that a page sorts, filters and saves as CSV; `templates/macros.html.j2` lays them out."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from longtail.prior import GROUPS, Group
from longtail.report.words import percent


class Column(NamedTuple):
    """A heading; `number` sets its cells to the right, `wide` lets them break into lines."""

    title: str
    number: bool = True
    wide: bool = False


class Link(NamedTuple):
    """A word, and the relative address that it leads to; "" where it leads nowhere."""

    text: str
    href: str = ""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell as text.

    Attributes:
        text: what it shows.
        value: what it sorts by; None for its text, NaN for the end whichever way it is sorted.
        group: whose mark stands before the text.
        links: in the place of the text.
    """

    text: str
    value: float | None = None
    group: Group | None = None
    links: Sequence[Link] = ()

    @property
    def key(self) -> str | None:
        """`value` as its attribute; None where the text serves."""
        if self.value is None:
            return None
        return "" if math.isnan(self.value) else f"{self.value:.10g}"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        id: of its element, and the name of its CSV file.
        label: what it is, for those who cannot see it.
        columns: from left to right.
        lines: one cell a column each.
    """

    id: str
    label: str
    columns: Sequence[Column]
    lines: Sequence[Sequence[Cell]]


def group_cell(group: Group) -> Cell:
    """A group with its mark; many sorts first and few last.

    >>> group_cell("few")
    Cell(text='few', value=2, group='few', links=())
    """
    return Cell(group, GROUPS.index(group), group)


def share(fraction: float | None) -> Cell:
    """A fraction in per cent."""
    return Cell(percent(fraction), math.nan if fraction is None else 100 * fraction)


def points(difference: float | None) -> Cell:
    """A difference of fractions in points, with its sign.

    >>> points(0.0123).text, points(None).text
    ('+1.2', '–')
    """
    if difference is None or math.isnan(difference):
        return Cell("–", math.nan)
    return Cell(f"{100 * difference:+.1f}", 100 * difference)


def number(value: float, text: str | None = None) -> Cell:
    """A count, or a number as `text`; a dash for NaN.

    >>> number(1200).text, number(0.5, "50 %").text
    ('1,200', '50 %')
    """
    shown = "–" if math.isnan(value) else f"{value:,.0f}"
    return Cell(shown if text is None else text, value)
