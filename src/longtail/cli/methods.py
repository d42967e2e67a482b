"""`longtail methods`."""

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

if TYPE_CHECKING:
    from longtail.methods.resolve import Knob
    from longtail.recipe import Method, Range


def methods(
    name: Annotated[
        str | None, typer.Argument(help="One method's page; all when left out.")
    ] = None,
) -> None:
    """List the methods, or show one with its stages, knobs, needs and numbers."""
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
    from longtail.data.samplers import PARAMETERS, SAMPLERS
    from longtail.methods.resolve import knobs_of, shared_knobs
    from longtail.methods.search import SHARED_SEARCH

    yield f"{name}: {method.title} ({method.reference}, {method.year})"
    yield ""
    yield inspect.getdoc(method.build) or ""
    yield ""
    yield from _recipe(name)
    own = knobs_of(method)
    if own:
        yield ""
        yield "Knobs (--set KNOB=VALUE), with their defaults:"
        yield from (f"  {_knob(knob, method.search.get(key))}" for key, knob in own.items())
    yield ""
    yield from _paper(name, method)
    yield ""
    yield "Knobs of every method (a stage with a schedule of its own keeps that):"
    shared = {key: knob for key, knob in shared_knobs().items() if key not in own}
    yield from (f"  {_knob(knob, SHARED_SEARCH.get(key))}" for key, knob in shared.items())
    named = (PARAMETERS[key].example if key in PARAMETERS else key for key in SAMPLERS)
    yield f"Samplers: {', '.join(named)}."
    yield ""
    yield from _numbers(name, method)


def _paper(name: str, method: "Method") -> Iterator[str]:
    """What --recipe paper changes; on CIFAR-100-LT where it depends on the data."""
    if method.paper is None:
        yield "--recipe paper is the common recipe: nothing else is known of the paper's."
        return
    from longtail.data.cut import long_tail_counts
    from longtail.methods.resolve import resolve
    from longtail.recipe import DataInfo

    resolved = resolve(name, DataInfo(long_tail_counts(500, 100, 100.0)), recipe="paper")
    settings = resolved.settings
    knobs = "".join(f", {k}={_shown(v)}" for k, v in method.paper.knobs.items())
    yield (
        f"With --recipe paper (CIFAR-100-LT): {settings.epochs} epochs of batches of "
        f"{settings.batch_size}, {settings.schedule} schedule from {settings.lr:g}, weight decay "
        f"{settings.weight_decay:g}, {resolved.recipe.views[0]} views for the classifier{knobs}."
    )


def _recipe(name: str) -> Iterator[str]:
    """What the method needs and its stages, under the common recipe."""
    import numpy as np

    from longtail.methods.describe import needs, stages
    from longtail.methods.resolve import resolve
    from longtail.recipe import DataInfo

    # Any long tail will do: neither needs nor stages depend on it.
    recipe = resolve(name, DataInfo(np.array([500, 200, 60, 20, 7, 5]))).recipe
    yield "Needs:"
    yield from (f"  {line}" for line in needs(recipe))
    yield "Stages:"
    yield from (f"  {line}" for line in stages(recipe))


def _numbers(name: str, method: "Method") -> Iterator[str]:
    from longtail.methods.measured import measured

    if method.published:
        yield "Published top-1 accuracy, per cent (others' training, never ours):"
        yield from (f"  {data}: {value:g}" for data, value in method.published.items())
    else:
        yield "No published number is listed."
    yield "Ours, balanced accuracy on test, per cent:"
    own = measured(name)
    for row in own:
        spread = "" if row.std is None else f" ± {row.std:.1f}"
        yield (
            f"  {row.data}: {row.mean:.1f}{spread} ({len(row.seeds)} seeds; {row.budget}; "
            f"{row.hardware}; revision {row.revision}; {row.page})"
        )
    if not own:
        yield "  not measured yet"


def _knob(knob: "Knob", searched: "Range | None" = None) -> str:
    """`name=default`, the choices where there are some, and what `longtail tune` searches."""
    choices = get_args(knob.type) if get_origin(knob.type) is Literal else ()
    others = [str(choice) for choice in choices if choice != knob.default]
    line = f"{knob.name}={_shown(knob.default)}" + (f"  (or {', '.join(others)})" if others else "")
    return line + (f"  (tune: {_range(searched)})" if searched else "")


def _range(searched: "Range") -> str:
    """As `--search` takes it."""
    scale = ":log" if searched.log else ""
    needs = f", with {searched.needs}" if searched.needs else ""
    return f"{searched.low:g}:{searched.high:g}{scale}{needs}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_shown, value))
    short = f"{value:.4g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)
