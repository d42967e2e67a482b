"""Frozen dataclasses to canonical JSON and back, checked field by field."""

import dataclasses
import json
import math
import types
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")


ADDED = "added"
"""Key in a field's metadata: files from before it was added lack it and get its default."""


def to_json(value: Any) -> bytes:
    """Canonical JSON: equal values give equal bytes; what is not a finite number becomes null."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    # A file name that is no UTF-8 arrives as lone surrogates; a backslash escape is JSON for them.
    return (text + "\n").encode("utf-8", "backslashreplace")


def parse_json(content: bytes) -> Any:
    """Strict JSON: neither NaN nor Infinity, which `to_json` never writes.

    Raises:
        ValueError: half-written or other text.
    """
    return json.loads(content, parse_constant=_refuse_constant)


def from_plain(kind: type[T], value: Any, where: str) -> T:
    """JSON values as the dataclass `kind`; null in the place of a float comes back as NaN.

    Args:
        kind: a dataclass whose fields are scalars, `X | None`, tuple[X, ...], dict, Literal, Any
            or such dataclasses.
        value: what `parse_json` returned.
        where: what messages call the value.

    Raises:
        ValueError: a key is missing or unknown, or a value of another type; the message names it.
    """
    return cast(T, _parse(kind, value, where))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _plain(value: Any) -> Any:
    """JSON values only: fields in their order, free keys sorted."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parse(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint` says, or a ValueError naming the place that does not fit."""
    origin, options = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _parse_fields(cast(type, hint), value, where)
    if origin is types.UnionType:  # always `X | None`
        return None if value is None else _parse(options[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_parse(options[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        keys, values = options
        return {_parse(keys, k, where): _parse(values, v, f"{where}.{k}") for k, v in value.items()}
    return _parse_scalar(hint, value, where)


def _parse_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and (value is None or type(value) in (int, float)):
        return math.nan if value is None else float(value)
    literal = get_origin(hint) is Literal and value in get_args(hint)
    if hint is Any or literal or type(value) is hint:
        return value
    raise ValueError(f"{where} is {repr(value)[:40]}, expected {getattr(hint, '__name__', hint)}")


def _parse_fields(kind: type, value: dict[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    added = {field.name for field in dataclasses.fields(kind) if field.metadata.get(ADDED)}
    if missing := sorted(hints.keys() - value.keys() - added):
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(value.keys() - hints.keys()):
        raise ValueError(f"{where} has unknown {', '.join(unknown)}")
    return kind(**{k: _parse(hints[k], v, f"{where}.{k}") for k, v in value.items()})
