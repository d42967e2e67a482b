"""Which knobs are searched, and over what: what a method declares, or what is typed instead."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from longtail.errors import UsageError, did_you_mean
from longtail.methods.resolve import (
    RecipeKind,
    Resolved,
    find_method,
    knobs_of,
    resolve,
    shared_knobs,
)
from longtail.recipe import DataInfo, Range

SHARED_SEARCH = {
    "lr": Range(0.01, 1, log=True),
    "weight_decay": Range(1e-5, 1e-2, log=True),
}
"""Knobs of every method that are searched when they are asked for."""

_FORM = "--search takes KNOB, KNOB=LOW:HIGH or KNOB=LOW:HIGH:log"


def search_space(
    method: str,
    data: DataInfo,
    *,
    knobs: Mapping[str, object] | None = None,
    recipe: RecipeKind = "common",
    words: Sequence[str] = (),
) -> dict[str, Range]:
    """The knobs to search, with their ranges.

    Args:
        method: its name.
        data: class counts.
        knobs: those that are set, and so not searched.
        recipe: "common" or "paper".
        words: KNOB (its declared range), KNOB=LOW:HIGH or KNOB=LOW:HIGH:log; none searches all that
            the method declares and that has an effect.

    Raises:
        UsageError: an unknown knob, one that is set or without effect, a range that is none or
            whose ends the method does not take, or nothing to search.
    """
    fixed = dict(knobs or {})
    resolved = resolve(method, data, knobs=fixed, recipe=recipe)
    declared = find_method(method).search
    if words:
        known = SHARED_SEARCH | dict(declared)
        ranges = dict(_asked(method, word, known) for word in words)
        if len(ranges) < len(words):
            raise UsageError("--search names a knob twice; keep one of them.")
        _refuse_useless(ranges, fixed, resolved)
    else:
        ranges = {
            name: values
            for name, values in declared.items()
            if name not in fixed and _has_effect(values, resolved)
        }
    if not ranges:
        raise UsageError(
            f"Method {method} declares nothing more to search; name knobs, e.g. --search lr. "
            f"Type: longtail methods {method}"
        )
    for name, values in ranges.items():
        for end in (values.low, values.high):
            resolve(method, data, knobs={**fixed, name: as_typed(method, name, end)}, recipe=recipe)
    return ranges


def is_whole(method: str, name: str) -> bool:
    """Whether a knob takes integers alone."""
    known = shared_knobs() | knobs_of(find_method(method))
    return known[name].type is int


def as_typed(method: str, name: str, value: float) -> float | int:
    """A number as the knob takes it."""
    return int(value) if is_whole(method, name) and value == int(value) else value


def _asked(method: str, word: str, known: Mapping[str, Range]) -> tuple[str, Range]:
    """A word of --search as a knob and its range."""
    name, equals, text = word.partition("=")
    every = shared_knobs() | knobs_of(find_method(method))
    if name not in every:
        raise UsageError(
            f"Method {method} has no knob {name!r}. {did_you_mean(name, every)} "
            f"Type: longtail methods {method}"
        )
    if not equals:
        if name not in known:
            raise UsageError(f"--search {word}: no range is declared; {_FORM}.")
        return name, known[name]
    needs = known[name].needs if name in known else None
    return name, dataclasses.replace(_parsed(word, text), needs=needs)


def _parsed(word: str, text: str) -> Range:
    parts = text.split(":")
    try:
        low, high = float(parts[0]), float(parts[1])
    except (ValueError, IndexError):
        raise UsageError(f"--search {word}: {_FORM}.") from None
    if parts[2:] not in ([], ["log"]):
        raise UsageError(f"--search {word}: {_FORM}.")
    log = parts[2:] == ["log"]
    if not (-float("inf") < low < high < float("inf")):
        raise UsageError(f"--search {word}: LOW must be below HIGH, and both finite.")
    if log and low <= 0:
        raise UsageError(f"--search {word}: LOW must be above 0 on a logarithmic scale.")
    return Range(low, high, log)


def _refuse_useless(
    ranges: Mapping[str, Range], fixed: Mapping[str, object], resolved: Resolved
) -> None:
    for name, values in ranges.items():
        if name in fixed:
            raise UsageError(f"{name} is both set and searched; leave out --set or --search.")
        if not _has_effect(values, resolved):
            raise UsageError(
                f"{name} has no effect without {values.needs}; "
                f"choose one, e.g. --set {values.needs}=VALUE."
            )


def _has_effect(values: Range, resolved: Resolved) -> bool:
    needed: Any = resolved.knobs[values.needs] if values.needs else True
    return bool(needed) and needed != "off"
