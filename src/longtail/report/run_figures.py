"""The figures of one run: what each needs, taken from a `RunView`; None where it is not there."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from longtail.metrics import group_reliability
from longtail.report.arrays import Floats
from longtail.report.confusion import matrix_of
from longtail.report.figures import training
from longtail.report.figures.calibration import calibration
from longtail.report.figures.class_counts import class_counts
from longtail.report.figures.confusion import confusion
from longtail.report.figures.differences import differences
from longtail.report.figures.embedding_map import embedding_map
from longtail.report.figures.long_tail import long_tail
from longtail.report.figures.test_priors import under_test_priors
from longtail.report.view import RunView
from longtail.report.words import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def class_counts_of(view: RunView) -> "Figure":
    """Training samples a class."""
    return class_counts(view.counts)


def long_tail_of(view: RunView) -> "Figure":
    """Accuracy of each class against its training samples."""
    return long_tail(view.counts, view.per_class, view.tested)


def differences_of(view: RunView) -> "Figure | None":
    """Accuracy of each class less the baseline's; None without a baseline."""
    found = less_baseline(view)
    return None if found is None else differences(view.counts, found)


def less_baseline(view: RunView) -> Floats | None:
    """Accuracy of each class less the baseline's, float64 [c]; None where no class has both."""
    if view.baseline is None:
        return None
    found = view.per_class - view.baseline.per_class
    return None if np.isnan(found).all() else found


def confusion_of(view: RunView) -> "Figure | None":
    """The confusion matrix from head to tail; None without predictions."""
    matrix = matrix_of(view)
    return None if matrix is None else confusion(matrix)


def embedding_map_of(view: RunView) -> "Figure | None":
    """The embedding map by group; None where `embedding.no_map` says why."""
    if view.map is None or view.predictions is None:
        return None
    return embedding_map(view.map, view.predictions.labels[view.map.points], view.counts)


def calibration_of(view: RunView) -> "Figure | None":
    """Reliability by group; None without all probabilities."""
    if view.predictions is None or view.probabilities is None:
        return None
    labels = view.predictions.labels
    return calibration(group_reliability(view.probabilities, labels, view.counts))


def losses_of(view: RunView) -> "Figure | None":
    """The loss and its terms; None where none was logged."""
    known = any(line["loss"] is not None for line in view.log)
    return training.losses({view.name: view.log}) if known else None


def live_accuracy_of(view: RunView) -> "Figure | None":
    """Accuracy during training; None where none was measured."""
    if not any("accuracy" in line for line in view.log):
        return None
    return training.live_accuracy({view.name: view.log})


def test_priors_of(view: RunView) -> "Figure | None":
    """Accuracy under other test priors; None where `no_test_priors` says why."""
    if no_test_priors(view):
        return None
    runs = {view.record.method: view.per_class}
    if view.baseline is not None and not np.isnan(view.baseline.per_class).any():
        method = view.baseline.record.method
        label = f"{method} ({view.baseline.name})" if method in runs else method
        runs |= {label: view.baseline.per_class}
    return under_test_priors(view.counts, runs)


def no_test_priors(view: RunView) -> str:
    """Why accuracy under other test priors cannot be said, as a sentence, or nothing."""
    if len(view.counts) < 2:
        return "A single class has one test distribution only."
    if np.ptp(view.counts) == 0:
        return "All classes have the same number of training samples: there is no tail to shift to."
    absent = int(np.isnan(view.per_class).sum())
    if absent:
        return (
            f"{plural(absent, 'class')} of {len(view.counts)} "
            f"{'has' if absent == 1 else 'have'} no {view.split_name} sample, so accuracy on data "
            "that hold every class cannot be known."
        )
    return ""


FIGURES: dict[str, Callable[[RunView], "Figure | None"]] = {
    "class-counts": class_counts_of,
    "long-tail": long_tail_of,
    "differences": differences_of,
    "confusion": confusion_of,
    "embedding-map": embedding_map_of,
    "calibration": calibration_of,
    "loss": losses_of,
    "live-accuracy": live_accuracy_of,
    "test-priors": test_priors_of,
}
"""Every figure of one run by the name of its files; a function gives None where it has no data."""
