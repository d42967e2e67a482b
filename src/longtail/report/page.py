"""One self-contained HTML file out of sections: style, script, pictures and data are all in it.

No class name, path or other string of the data is ever markup: templates escape what they are
given, JSON has no "<", and the page's policy lets no script run but its own and fetches nothing.
"""

import base64
import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SCRIPTS = (
    "page.js",
    "table.js",
    "tips.js",
    "sprite.js",
    "canvas.js",
    "confusion.js",
    "map.js",
)
"""In this order; each is about one thing and finds nothing to do where a page has not got it."""


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        id: of its element, and the anchor in the page's list of contents.
        title: its heading.
        html: its body, escaped already: the result of `render`.
        data: what its script reads, by id of the JSON block; plain JSON values.
    """

    id: str
    title: str
    html: "Markup"
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def page(
    title: str, subtitle: str, sections: Sequence[Section], problems: Sequence[str] = ()
) -> str:
    """A whole page.

    Args:
        title: plain text.
        subtitle: plain text.
        sections: from top to bottom.
        problems: sentences about what could not be read, shown before everything.
    """
    script = "\n".join(asset(name) for name in SCRIPTS)
    return str(
        render(
            "page.html.j2",
            title=title,
            subtitle=subtitle,
            sections=sections,
            problems=problems,
            style=_trusted(asset("report.css")),
            script=_trusted(script),
            policy=_policy(script),
        )
    )


def render(template: str, **values: Any) -> "Markup":
    """A template of this package with its values escaped."""
    return _trusted(_environment().get_template(template).render(**values))


def asset(name: str) -> str:
    """The text of a file beside this one."""
    return (resources.files("longtail.report") / "assets" / name).read_text(encoding="utf-8")


def _trusted(text: str) -> "Markup":
    from markupsafe import Markup

    return Markup(text)


def _policy(script: str) -> str:
    """Nothing is fetched, and of scripts only this one runs, whatever else got into the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from longtail.report.words import interval, percent, plural

    environment = Environment(
        loader=PackageLoader("longtail.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "interval": interval, "plural": plural}
    return environment
