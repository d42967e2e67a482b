"""From what people type (a name, KNOB=VALUE words, a recipe) to a recipe and its settings."""

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from longtail.errors import UsageError, did_you_mean
from longtail.methods import METHODS
from longtail.methods.modifiers import Modifiers, modified
from longtail.optim.settings import Settings
from longtail.recipe import DataInfo, Method, Recipe

RecipeKind = Literal["common", "paper"]

_FLAGS = ("epochs", "batch_size")  # have flags of their own
_MODIFIERS = tuple(field.name for field in dataclasses.fields(Modifiers))


@dataclasses.dataclass(frozen=True)
class Knob:
    """One named number or choice of a method.

    Attributes:
        name: as typed after --set.
        type: what its values are.
        default: under the common recipe.
    """

    name: str
    type: Any
    default: object


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A method ready to train.

    Attributes:
        method: its name.
        recipe_kind: "common" or "paper".
        knobs: every knob of the method with its value, and the modifiers that were given.
        recipe: what the loop reads.
        settings: how long and how fast.
    """

    method: str
    recipe_kind: RecipeKind
    knobs: dict[str, Any]
    recipe: Recipe
    settings: Settings


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    if name not in METHODS:
        raise UsageError(f"Unknown method {name!r}. {did_you_mean(name, METHODS)}")
    return METHODS[name]


def knobs_of(method: Method) -> dict[str, Knob]:
    """The method's own knobs: the keyword arguments of its function."""
    hints = typing.get_type_hints(method.build)
    return {
        p.name: Knob(p.name, hints[p.name], p.default)
        for p in inspect.signature(method.build).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }


def shared_knobs() -> dict[str, Knob]:
    """The knobs that every method has: of the optimiser, and those that change any recipe."""
    known = _fields(Settings()) | _fields(Modifiers())
    return {name: knob for name, knob in known.items() if name not in _FLAGS}


def _fields(defaults: Settings | Modifiers) -> dict[str, Knob]:
    hints = typing.get_type_hints(type(defaults))
    return {name: Knob(name, hint, getattr(defaults, name)) for name, hint in hints.items()}


def parse_assignments(words: list[str]) -> dict[str, str]:
    """KNOB=VALUE words as a dict.

    Raises:
        UsageError: a word of another form, or a knob set twice.

    >>> parse_assignments(["la_tau=1.0"])
    {'la_tau': '1.0'}
    """
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"--set takes KNOB=VALUE, not {word!r}; type e.g. --set la_tau=1.0")
        if name in values:
            raise UsageError(f"--set {name} is given twice; keep one of them.")
        values[name] = value
    return values


def resolve(
    name: str,
    data: DataInfo,
    *,
    knobs: Mapping[str, object] | None = None,
    recipe: RecipeKind = "common",
    epochs: int | None = None,
    batch_size: int | None = None,
) -> Resolved:
    """A method with its knobs checked, under the common recipe or its paper's.

    Args:
        name: of the method.
        data: class counts of what will be trained on.
        knobs: values of the method's and the optimiser's knobs, as text or as what they are.
        recipe: "common" (the same views, batch, schedule and epochs for every method) or "paper".
        epochs: overrides the recipe's.
        batch_size: overrides the recipe's.

    Raises:
        UsageError: an unknown method, knob or recipe, or a value of the wrong kind.
    """
    method = find_method(name)
    if recipe not in ("common", "paper"):
        raise UsageError(f"Unknown recipe {recipe!r}; it is 'common' or 'paper'.")
    own, shared = knobs_of(method), shared_knobs()
    given = _checked(name, dict(knobs or {}), own, shared)
    paper = method.paper if recipe == "paper" else None

    values = {knob.name: knob.default for knob in own.values()}
    values |= dict(paper.knobs) if paper else {}
    values |= {key: value for key, value in given.items() if key in own}
    modifiers = {k: v for k, v in given.items() if k in _MODIFIERS and k not in own}
    built = modified(method.build(data, **values), data, Modifiers(**modifiers))
    settings = paper.settings(data) if paper else Settings()
    if paper:
        built = dataclasses.replace(built, views=(paper.first_view, *built.views[1:]))

    changes = {key: value for key, value in given.items() if key not in values | modifiers}
    changes |= {"epochs": epochs} if epochs is not None else {}
    changes |= {"batch_size": batch_size} if batch_size is not None else {}
    return Resolved(
        name, recipe, values | modifiers, built, _check(dataclasses.replace(settings, **changes))
    )


def _checked(
    method: str, given: dict[str, object], own: dict[str, Knob], shared: dict[str, Knob]
) -> dict[str, Any]:
    known = shared | own  # a method's own knob goes before one of everyone's
    for name in given:
        if name not in known:
            raise UsageError(
                f"Method {method} has no knob {name!r}. {did_you_mean(name, known)} "
                f"Type: longtail methods {method}"
            )
    return {name: _parse(known[name], value) for name, value in given.items()}


def _parse(knob: Knob, value: object) -> Any:
    import pydantic

    words = value.split(",") if isinstance(value, str) and _is_tuple(knob) else value
    try:
        adapter = pydantic.TypeAdapter[Any](knob.type, config={"allow_inf_nan": False})
        return adapter.validate_python(words)
    except pydantic.ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UsageError(
            f"--set {knob.name}={value}: {reason}. Its default is {knob.default!r}."
        ) from error


def _is_tuple(knob: Knob) -> bool:
    return typing.get_origin(knob.type) is tuple


def _check(settings: Settings) -> Settings:
    """Raise `UsageError` for values that no optimiser or schedule has a meaning for."""
    for name in ("epochs", "batch_size", "lr"):
        if not getattr(settings, name) > 0:
            raise UsageError(f"{name} is {getattr(settings, name)}; it must be above 0.")
    for name in ("momentum", "warmup", "milestones"):
        value = getattr(settings, name)
        if not all(0 <= number <= 1 for number in np.atleast_1d(value)):
            raise UsageError(f"{name} is {value}; it must be between 0 and 1.")
    for name in ("weight_decay", "decay"):
        if getattr(settings, name) < 0:
            raise UsageError(f"{name} is {getattr(settings, name)}; it must be at least 0.")
    if settings.nesterov and not settings.momentum:
        raise UsageError("nesterov is a form of momentum, and momentum is 0.")
    return settings
