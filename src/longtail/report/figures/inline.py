"""A figure as a page shows it."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from markupsafe import Markup


class InlineFigure(NamedTuple):
    """What the macro `figure` of `templates/macros.html.j2` sets.

    Attributes:
        svg: from `figures.svg.inline`.
        caption: how to read it, in a sentence or two.
        tips: id of the section's data that has a text for each mark; "" without.
    """

    svg: "Markup"
    caption: str
    tips: str = ""
