"""Runs that differ in nothing but the seed make a row: what tables of several runs are made of."""

import dataclasses
import functools
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from longtail.errors import printable
from longtail.metrics.paired import spread
from longtail.record import Record
from longtail.report.arrays import Floats
from longtail.report.tables import Cell
from longtail.report.view import RunView

_SHORT = 36


@dataclasses.dataclass(frozen=True)
class Row:
    """Runs of one configuration.

    Attributes:
        label: the method, and what tells this row from the others.
        short: the same for a figure's legend, at most 36 letters; unlike that of the other rows.
        views: the runs by seed, at least one.
    """

    label: str
    short: str
    views: Mapping[int, RunView]

    @property
    def first(self) -> RunView:
        """The run of the smallest seed."""
        return self.views[min(self.views)]

    def values(self, name: str) -> dict[int, float]:
        """A metric's fraction, or number of classes, by seed; seeds that have none are left out."""
        found = {seed: getattr(view.metrics, name) for seed, view in self.views.items()}
        return {seed: float(v) for seed, v in found.items() if v is not None and math.isfinite(v)}

    @functools.cached_property
    def recall(self) -> Floats:
        """Accuracy of each class, the mean over seeds, float64 [c]; NaN without a test sample."""
        return np.asarray(np.mean([v.per_class for v in self.views.values()], axis=0), np.float64)


def rows_of(views: Sequence[RunView]) -> list[Row]:
    """The rows of some runs, in the order of their first runs, those of one configuration together.

    A run that repeats both configuration and seed of an earlier one, made by other sources perhaps,
    begins a row of its own, so that it counts as no other seed; a copy of an earlier run counts
    nowhere.
    """
    configurations: dict[str, list[dict[int, RunView]]] = {}
    for view in views:
        rows, seed = configurations.setdefault(_configuration(view), []), view.record.seed
        if any(is_copy(view, row[seed]) for row in rows if seed in row):
            continue
        row = next((row for row in rows if seed not in row), None)
        if row is None:
            rows.append(row := {})
        row[seed] = view
    members = [row for rows in configurations.values() for row in rows]
    firsts = [next(iter(runs.values())) for runs in members]
    labels = _labels(firsts)
    shorts = _shortened([view.record.method for view in firsts], labels)
    return [Row(*row) for row in zip(labels, shorts, members, strict=True)]


def is_copy(view: RunView, other: RunView) -> bool:
    """Whether two folders hold the same run: a record has the moment and the cost of its run."""
    return view.record == other.record


def means(values: Mapping[int, float], scale: float = 100) -> Cell:
    """Mean ± standard deviation of values by seed, sorted by the mean; a dash for no value.

    >>> means({0: 0.5, 1: 0.52}).text, means({0: 0.5}).text, means({}).text
    ('51.0 ± 1.4', '50.0', '–')
    """
    if not values:
        return Cell("–", math.nan)
    found = spread([scale * value for value in values.values()])
    around = "" if found.std is None else f" ± {found.std:.1f}"
    return Cell(f"{found.mean:.1f}{around}", found.mean)


def _configuration(view: RunView) -> str:
    """Everything that decides a run but its seed, as text."""
    record, data = view.record, view.record.data
    contents = (
        *(record.method, record.recipe, record.backbone, record.knobs, record.settings),
        *(data.hash, data.train_counts, data.class_names, data.holdout, data.test_size),
        view.split,
    )
    return json.dumps(contents, sort_keys=True)


def _labels(views: Sequence[RunView]) -> list[str]:
    """What tells the runs apart, by name; by folder where all else is equal."""
    shared = _differing([_settings(view.record) for view in views])
    of_method = {
        method: _differing([v.record.knobs for v in views if v.record.method == method])
        for method in {view.record.method for view in views}
    }
    labels = []
    for view in views:
        record = view.record
        told = dict(_named(record.knobs, of_method[record.method]))
        told |= dict(_named(_settings(record), shared))
        pairs = ", ".join(f"{name}={value}" for name, value in told.items())
        labels.append(printable(f"{record.method} {pairs}".strip()))
    return _unlike(labels, views)


def _unlike(labels: Sequence[str], views: Sequence[RunView]) -> list[str]:
    """Labels of which no two are alike."""
    seen = Counter(labels)
    named = [
        label if seen[label] == 1 else f"{label} ({view.name})"
        for label, view in zip(labels, views, strict=True)
    ]
    again = Counter(named)
    return [
        label if again[label] == 1 else f"{label} #{number}"
        for number, label in enumerate(named, 1)
    ]


def _settings(record: Record) -> dict[str, Any]:
    """What a run was trained with besides its method's knobs."""
    return record.settings | {
        "recipe": record.recipe,
        "backbone": record.backbone,
        "holdout": record.data.holdout,
        "data": f"{record.data.name} {record.data.hash[:8]}",
    }


def _differing(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names that do not have one value in all, in their first order."""
    names = dict.fromkeys(name for each in values for name in each)
    return [name for name in names if len({repr(each.get(name)) for each in values}) > 1]


def _named(values: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    yield from ((name, values[name]) for name in names if name in values)


def _shortened(methods: Sequence[str], labels: Sequence[str]) -> list[str]:
    """The method where it names one row alone, its label where that fits, a number else."""
    names = [printable(method)[: _SHORT - 6] for method in methods]
    seen = Counter(names)
    return [
        name if seen[name] == 1 else label if len(label) <= _SHORT else f"{name} #{number}"
        for number, (name, label) in enumerate(zip(names, labels, strict=True), 1)
    ]
