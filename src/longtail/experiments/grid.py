"""A grid of runs in a few lines of YAML: data, methods, knobs and seeds, and the jobs they make."""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from longtail.errors import UsageError, did_you_mean
from longtail.experiments.job import Job
from longtail.methods import METHODS
from longtail.methods.resolve import RecipeKind, find_method
from longtail.request import Request

_BOOLEAN = "tag:yaml.org,2002:bool"
# Read by pydantic, which checks what people write: batch_size: 64 is meant where "64" is.
_STRICT = {"extra": "forbid", "coerce_numbers_to_str": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shared:
    """What a grid may say of every run, and a row of its own alone, as in `longtail.train`.

    A grid that states a precision of bf16 or fp32 is the same experiment on every machine.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = _STRICT

    set: dict[str, Any] = dataclasses.field(default_factory=dict)
    recipe: RecipeKind | None = None
    backbone: str | None = None
    batch_size: int | None = None
    image_size: int | None = None
    eval_every: int | None = None
    holdout: str | None = None
    precision: Literal["auto", "bf16", "fp32"] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row(Shared):
    """A row of the tables: a method with settings of its own.

    Attributes:
        method: its name.
        label: in the table; the method's title when left out.
        epochs: where the row takes others than its table.
    """

    method: str
    label: str | None = None
    epochs: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid(Shared):
    """Tables of runs.

    Attributes:
        data, imbalance, epochs: a value or a list; each combination is a table.
        methods: names, or rows with settings of their own.
        vary: maps knobs to lists of values; each combination is a row of every method.
        seeds: how many, from 0, or a list of them.
        baseline: the row that others are compared with; the first when left out.
    """

    data: str | list[str]
    methods: str | list[str | Row]
    seeds: int | list[int] = 3
    epochs: int | list[int] | None = None
    imbalance: float | list[float] | None = None
    vary: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    baseline: str | None = None


def read_grid(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        UsageError: no such file, or no YAML of keys and values.
    """
    import yaml

    try:
        value = _parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: no grid can be read from it ({error}).") from error
    if not isinstance(value, dict):
        raise UsageError(
            f"{path}: a grid is keys and values, such as data: cifar10-lt and methods: [ce, rcl]."
        )
    return value


def _parsed(text: str) -> Any:
    """YAML without version 1.1's further booleans, so that `compression: off` is a word."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in known if tag != _BOOLEAN]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(
        _BOOLEAN, re.compile("(?:true|false)$", re.IGNORECASE), list("tTfF")
    )
    return Loader(text).get_single_data()


def as_grid(values: Mapping[str, Any]) -> Grid:
    """Keys and values as a grid.

    Raises:
        UsageError: a key that is unknown or missing, or a value of the wrong kind.
    """
    import pydantic

    try:
        return pydantic.TypeAdapter(Grid).validate_python(dict(values))
    except pydantic.ValidationError as error:
        # Of the kinds that a value could have been, the one that came furthest is what was meant.
        raise UsageError(_explained(max(error.errors(), key=lambda e: len(e["loc"])))) from error


def jobs_of(grid: Grid, how: Mapping[str, Any] | None = None) -> list[Job]:
    """The jobs of a grid, seeds outermost, so that whatever part is done makes a fair table.

    Args:
        grid: what to run.
        how: further arguments of every `Request`, such as its device.

    Raises:
        UsageError: an unknown method, two rows or tables of one name, or seeds that are none.
    """
    tables, rows = list(_tables(grid)), list(_rows(grid))
    titles = [title for title, _ in tables]
    for title in titles:
        if titles.count(title) > 1:
            raise UsageError(
                f"Two tables would be called {title!r}: data of one name, or a value given twice. "
                "Rename a file, or run them to different --out folders."
            )
    return [
        Job(title, label, Request(**{**(how or {}), **table, **row, "seed": seed}))
        for seed in seeds_of(grid)
        for title, table in tables
        for label, row in rows
    ]


def baseline_of(grid: Grid) -> str:
    """The label of the row that the others are compared with.

    Raises:
        UsageError: no row has the name.
    """
    labels = [label for label, _ in _rows(grid)]
    name = grid.baseline or labels[0]
    title = METHODS[name].title if name in METHODS else name
    if title not in labels:
        raise UsageError(f"baseline {name!r} is no row. {did_you_mean(name, labels)}")
    return title


def seeds_of(grid: Grid) -> list[int]:
    """The seeds of a grid.

    Raises:
        UsageError: none, or one twice.
    """
    seeds = list(range(grid.seeds)) if isinstance(grid.seeds, int) else grid.seeds
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds is {grid.seeds}; give their number, or a list such as [0, 1, 2].")
    return seeds


def _tables(grid: Grid) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each table's title and what it asks of its runs."""
    axes = {name: _listed(getattr(grid, name)) for name in ("data", "imbalance", "epochs")}
    several = {name for name, values in axes.items() if len(values) > 1}
    for data, imbalance, epochs in itertools.product(*axes.values()):
        parts = [Path(data).stem]
        parts += [f"imbalance {imbalance:g}"] if imbalance is not None else []
        parts += [f"{epochs} epochs"] if "epochs" in several else []
        yield ", ".join(parts), {"data": data, "imbalance": imbalance, "epochs": epochs}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _rows(grid: Grid) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row's label and what it asks for."""
    found: set[str] = set()
    for entry in _listed(grid.methods):
        row = Row(method=entry) if isinstance(entry, str) else entry
        for values in itertools.product(*grid.vary.values()):
            varied = dict(zip(grid.vary, values, strict=True))
            title = row.label or find_method(row.method).title
            label = " ".join([title, *(f"{name}={value}" for name, value in varied.items())])
            if label in found:
                raise UsageError(f"Two rows are called {label!r}; give one a label of its own.")
            found.add(label)
            knobs = {**grid.set, **row.set, **varied}
            yield label, {**_given(grid), **_given(row), "method": row.method, "knobs": knobs}


def _given(settings: Shared) -> dict[str, Any]:
    """What a grid or a row says of its runs; a table has its own epochs."""
    names = [field.name for field in dataclasses.fields(Shared) if field.name != "set"]
    names += ["epochs"] if isinstance(settings, Row) else []
    values = {name: getattr(settings, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _explained(error: Any) -> str:
    """The first thing that is wrong with a grid, and where."""
    place = [str(part) for part in error["loc"] if not _is_kind(part)]
    name = place[-1] if place else "grid"
    where = f"Grid, {'.'.join(place)}: "
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        kind = Row if len(place) > 1 else Grid
        known = [field.name for field in dataclasses.fields(kind)]
        return f"{where}no such key. {did_you_mean(name, known)}"
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{where}it is missing; for example data: cifar10-lt and methods: [bcl, rcl]."
    return f"{where}{error['msg']}, not {str(error['input'])[:60]!r}."


def _is_kind(part: str | int) -> bool:
    """Whether a step on pydantic's way to an error is one of the kinds it tried, not a key."""
    return str(part) in ("str", "int", "float", "Row") or "[" in str(part)
