"""A figure as SVG for a page, or as a file for a paper."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.report.figures import style

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

# A figure's colours are the light theme's; in a page each becomes a variable that the theme sets.
_TOKENS = {
    style.INK: "--ink",
    style.MUTED: "--muted",
    style.LINE: "--line",
    **{colour: f"--{group}" for group, colour in style.GROUP_COLOUR.items()},
    **{
        colour: f"--series-{number}"
        for number, colour in enumerate(style.SERIES, 1)
        if colour not in (style.MUTED, *style.GROUP_COLOUR.values())
    },
}
_PNG_DPI = 200


def inline(figure: "Figure", name: str, label: str) -> "Markup":
    """The SVG element: themed, scaled to its place, named for those who cannot see it.

    Args:
        figure: drawn in the colours of `style`.
        name: of the figure; makes its ids unlike those of the page's other figures.
        label: what it shows, in a sentence.
    """
    from markupsafe import Markup, escape

    text = svg_of(figure, name)
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    # Ids are the page's: of two figures none may be alike.
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    for colour, token in _TOKENS.items():
        body = body.replace(colour, f"var({token})")
    head = f'<svg role="img" aria-label="{escape(label)}" '
    box = re.search(r'viewBox="[^"]*"', body)
    assert box is not None
    body = body[body.index(">") + 1 :]
    return Markup(f'{head}{box[0]} xmlns:xlink="http://www.w3.org/1999/xlink">{body}')


def svg_of(figure: "Figure", name: str) -> str:
    """The figure as an SVG file; equal figures give equal text."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({**style.rules(), "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write NAME.svg and NAME.png (on white) into a folder."""
    import matplotlib

    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    svg.write_text(svg_of(figure, name), encoding="utf-8")
    with matplotlib.rc_context(style.rules()):
        figure.savefig(png, dpi=_PNG_DPI, transparent=False, facecolor="white")
    return [svg, png]
