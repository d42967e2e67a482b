"""Metrics for the tail: pure functions on numpy arrays, all fractions in [0, 1]."""

from longtail.metrics.confusion import (
    absent_classes,
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    group_accuracy,
    harmonic_mean_accuracy,
    per_class_accuracy,
    zero_classes,
)
from longtail.metrics.intervals import wilson_interval
from longtail.metrics.summary import METRICS, summarise, summarise_confusion
from longtail.record import SplitMetrics

__all__ = [
    "METRICS",
    "SplitMetrics",
    "absent_classes",
    "accuracy",
    "balanced_accuracy",
    "confusion_matrix",
    "group_accuracy",
    "harmonic_mean_accuracy",
    "per_class_accuracy",
    "summarise",
    "summarise_confusion",
    "wilson_interval",
    "zero_classes",
]
