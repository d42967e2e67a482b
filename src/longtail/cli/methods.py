"""`longtail methods`."""

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from longtail.recipe import Method


def methods(
    name: Annotated[
        str | None, typer.Argument(help="One method's page; all when left out.")
    ] = None,
) -> None:
    """List the methods, or show one with its knobs, sources and published numbers."""
    from longtail.methods import METHODS
    from longtail.methods.resolve import find_method

    lines = _page(name, find_method(name)) if name else _table(METHODS)
    typer.echo("\n".join(lines))


def _table(methods: dict[str, "Method"]) -> Iterator[str]:
    name_width = max(map(len, methods))
    title_width = max(len(method.title) for method in methods.values())
    for name, method in methods.items():
        title = f"{method.title:{title_width}}"
        yield f"{name:{name_width}}  {title}  {method.year}  {method.reference}"
    yield ""
    yield "longtail methods NAME shows a method's knobs and numbers."


def _page(name: str, method: "Method") -> Iterator[str]:
    from longtail.methods.resolve import knobs_of, shared_knobs

    yield f"{name}: {method.title} ({method.reference}, {method.year})"
    yield ""
    yield inspect.getdoc(method.build) or ""
    own = knobs_of(method)
    if own:
        yield ""
        yield "Knobs (--set KNOB=VALUE), with their defaults:"
        yield from (f"  {knob.name}={_shown(knob.default)}" for knob in own.values())
    if method.paper and method.paper.knobs:
        changed = ", ".join(f"{k}={_shown(v)}" for k, v in method.paper.knobs.items())
        yield f"With --recipe paper: {changed}, and the paper's own training."
    yield ""
    yield "Knobs of every method:"
    yield from (f"  {knob.name}={_shown(knob.default)}" for knob in shared_knobs().values())
    yield ""
    yield "Published top-1 accuracy, per cent (not ours; ours are in docs/results):"
    yield from (f"  {data}: {value:g}" for data, value in method.published.items())


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
