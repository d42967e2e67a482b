"""The key figures of a run: each with its interval over test pictures, and against the baseline."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from longtail.metrics import (
    PictureInterval,
    accuracy,
    balanced_accuracy,
    expected_calibration_error,
    group_accuracy,
    harmonic_mean_accuracy,
    per_class_accuracy,
    picture_difference,
    picture_interval,
    telling,
)
from longtail.prior import Group
from longtail.report.arrays import Ints
from longtail.report.view import RunView, same_samples

Metric = Callable[[Ints], float]


class KeyFigure(NamedTuple):
    """One number of a run, fractions in [0, 1].

    Attributes:
        name: what it is.
        value: as recorded; None where it does not exist.
        interval: over test pictures; None without predictions, and where it says nothing: see
            `longtail.metrics.telling`.
        against: this run less the baseline on the same test pictures; None without a baseline, or
            where the interval says nothing.
    """

    name: str
    value: float | None
    interval: PictureInterval | None = None
    against: PictureInterval | None = None


def key_figures(view: RunView) -> tuple[KeyFigure, ...]:
    """Balanced, overall and harmonic mean accuracy, and the mean of each group that there is."""
    return tuple(_measured(view, *each) for each in _metrics(view))


def calibration_error(view: RunView) -> float | None:
    """Expected calibration error in [0, 1]; None where the probabilities are not all kept."""
    if view.probabilities is None or view.predictions is None:
        return None
    return expected_calibration_error(view.probabilities, view.predictions.labels)


def _metrics(view: RunView) -> Iterator[tuple[str, float | None, Metric]]:
    metrics = view.metrics
    yield "balanced accuracy", metrics.balanced_accuracy, balanced_accuracy
    yield "accuracy", metrics.accuracy, accuracy
    yield "harmonic mean", metrics.harmonic_mean_accuracy, harmonic_mean_accuracy
    for group in view.present_groups:
        yield group, getattr(metrics, group), functools.partial(_group_mean, view.counts, group)


def _group_mean(counts: Ints, group: Group, confusion: Ints) -> float:
    mean = group_accuracy(per_class_accuracy(confusion), counts)[group]
    return np.nan if mean is None else mean


def _measured(view: RunView, name: str, value: float | None, metric: Metric) -> KeyFigure:
    predictions = view.predictions
    if predictions is None or value is None:
        return KeyFigure(name, value)
    assert view.tested is not None
    classes = len(view.class_names)
    comparable = view.baseline is not None and same_samples(view, view.baseline)
    found = picture_interval(predictions.labels, predictions.predicted, classes, metric)
    return KeyFigure(
        name,
        value,
        telling(found, view.tested, 0, 1),
        telling(_difference(view, metric), view.tested, -1, 1) if comparable else None,
    )


def _difference(view: RunView, metric: Metric) -> PictureInterval:
    assert view.predictions is not None
    assert view.baseline is not None
    assert view.baseline.predictions is not None
    return picture_difference(
        view.predictions.labels,
        view.predictions.predicted,
        view.baseline.predictions.predicted,
        len(view.class_names),
        metric,
    )
