"""A figure as SVG for a page, or as a file for a paper."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from longtail.report.figures import style

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from markupsafe import Markup
    from matplotlib.figure import Figure

# A figure's colours are the light theme's; in a page each becomes a variable that the theme sets.
TOKENS = {
    # The other colours of series are those of the groups and of muted text.
    **{style.SERIES[number - 1]: f"--series-{number}" for number in (4, 5)},
    **{colour: f"--{group}" for group, colour in style.GROUP_COLOUR.items()},
    style.INK: "--ink",
    style.MUTED: "--muted",
    style.LINE: "--line",
    style.PAPER: "--paper",
}
_PNG_DPI = 200
_WIDEST = 1.5
"""Pixels a unit, at most: a figure's letters are never much larger than the page's."""


def inline(figure: "Figure", name: str, label: str) -> "Markup":
    """The SVG element: themed, scaled to its place, named for those who cannot see it.

    Args:
        figure: drawn in the colours of `style`.
        name: of the figure, in a-z, 0-9 and hyphens; makes its ids unlike those of the page's
            other figures.
        label: what it shows, in a sentence.
    """
    from markupsafe import Markup

    root = ElementTree.fromstring(svg_of(figure, name))
    for element in list(root.iter()):
        _drop_what_is_for_files(element)
        _settle(element, name)
    for element in root.iter("g"):
        _share_style(element)
    root.attrib = {
        "role": "img",
        "aria-label": label,
        "viewBox": root.attrib["viewBox"],
        "style": f"max-width: {_WIDEST * _width(root):.0f}px; fill: currentColor; "
        "stroke-linejoin: round; stroke-linecap: butt",
    }
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def svg_of(figure: "Figure", name: str) -> str:
    """The figure as an SVG file; equal figures give equal text."""
    file = io.StringIO()
    with style.house_style(**{"svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write NAME.svg and NAME.png (on white) into a folder."""
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    svg.write_text(svg_of(figure, name), encoding="utf-8")
    with style.house_style():
        figure.savefig(png, dpi=_PNG_DPI, transparent=False, facecolor="white")
    return [svg, png]


def _drop_what_is_for_files(element: "Element") -> None:
    """Metadata, indentation, and a style sheet that would hold for the whole page."""
    for child in list(element):
        if _local(child.tag) in ("metadata", "style"):
            element.remove(child)
        child.tail = None
    if _local(element.tag) != "text":
        element.text = None


def _settle(element: "Element", name: str) -> None:
    """Make an element the page's: no namespace, its ids unlike others', its colours the theme's."""
    element.tag = _local(element.tag)
    attributes = {_local(key): value for key, value in element.attrib.items()}
    element.attrib = {key: _settled(key, value, name) for key, value in attributes.items()}


def _share_style(group: "Element") -> None:
    """Hand a style that all marks of a group have to the group: a thousand marks repeat it else."""
    styles = {mark.attrib.get("style") for mark in group}
    if len(group) > 1 and len(styles) == 1 and {mark.tag for mark in group} == {"use"}:
        (shared,) = styles
        if shared is not None and "style" not in group.attrib:
            group.set("style", shared)
            for mark in group:
                del mark.attrib["style"]


def _settled(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return f"#{name}-{value[1:]}" if value.startswith("#") else "".join(value.split())
    value = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", value)
    if key == "style":
        value = re.sub(r"font-family: [^;]*;? ?", "", value)  # the page's
        return re.sub(r"#[0-9a-f]{6}", lambda found: _themed(found[0]), value)
    if key in ("d", "x", "y"):  # a hundredth of a unit cannot be seen
        return re.sub(r"(\.\d\d)\d+", r"\1", " ".join(value.split()))
    return value


def _themed(colour: str) -> str:
    return f"var({TOKENS[colour]})" if colour in TOKENS else colour


def _local(name: str) -> str:
    """A name without its namespace, which HTML has no use for."""
    return name.rpartition("}")[2]


def _width(root: "Element") -> float:
    return float(root.attrib["viewBox"].split()[2])
