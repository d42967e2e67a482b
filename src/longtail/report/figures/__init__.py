"""Figures: pure functions from numbers to matplotlib figures, one file an idea."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from longtail.report.figures import of_run
from longtail.report.view import RunView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[RunView], "Figure | None"]] = {
    "class-counts": of_run.class_counts_of,
    "long-tail": of_run.long_tail_of,
    "differences": of_run.differences_of,
    "confusion": of_run.confusion_of,
    "embedding-map": of_run.embedding_map_of,
    "calibration": of_run.calibration_of,
    "loss": of_run.losses_of,
    "live-accuracy": of_run.live_accuracy_of,
    "test-priors": of_run.test_priors_of,
}
"""Every figure of one run by the name of its files; a function gives None where it has no data."""
