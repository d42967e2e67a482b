"""Metrics for the tail: pure functions on numpy arrays, all fractions in [0, 1]."""

from longtail.metrics.calibration import (
    Reliability,
    expected_calibration_error,
    fit_temperature,
    group_calibration_error,
    group_reliability,
    reliability,
)
from longtail.metrics.comparison import (
    Comparison,
    Sensitivity,
    compare_all,
    first_confidence,
    sensitivity,
)
from longtail.metrics.confusion import (
    absent_classes,
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    group_accuracy,
    harmonic_mean_accuracy,
    per_class_accuracy,
    precision,
    zero_classes,
)
from longtail.metrics.embedding import choose_points, tsne_map
from longtail.metrics.geometry import Geometry, geometry_of, tail_classes
from longtail.metrics.intervals import paired_interval, wilson_interval
from longtail.metrics.label_errors import likely_label_errors
from longtail.metrics.paired import (
    AFTER_HOLM,
    BOOTSTRAP_FROM,
    NO_EVIDENCE,
    RANKED_FROM,
    Paired,
    Spread,
    bootstrap_interval,
    holm,
    is_ranked,
    paired_difference,
    shared_differences,
    spread,
    verdict,
)
from longtail.metrics.pictures import (
    PictureInterval,
    picture_difference,
    picture_interval,
    telling,
)
from longtail.metrics.power import seeds_needed, smallest_difference
from longtail.metrics.prior_shift import (
    EstimatedPrior,
    ShiftedPrior,
    accuracy_under,
    correct_probabilities,
    estimate_prior,
    shifted_priors,
    total_variation,
)
from longtail.metrics.ranking import class_auroc
from longtail.metrics.summary import METRICS, summarise, summarise_confusion
from longtail.record import SplitMetrics

__all__ = [
    "AFTER_HOLM",
    "BOOTSTRAP_FROM",
    "METRICS",
    "NO_EVIDENCE",
    "RANKED_FROM",
    "Comparison",
    "EstimatedPrior",
    "Geometry",
    "Paired",
    "PictureInterval",
    "Reliability",
    "Sensitivity",
    "ShiftedPrior",
    "SplitMetrics",
    "Spread",
    "absent_classes",
    "accuracy",
    "accuracy_under",
    "balanced_accuracy",
    "bootstrap_interval",
    "choose_points",
    "class_auroc",
    "compare_all",
    "confusion_matrix",
    "correct_probabilities",
    "estimate_prior",
    "expected_calibration_error",
    "first_confidence",
    "fit_temperature",
    "geometry_of",
    "group_accuracy",
    "group_calibration_error",
    "group_reliability",
    "harmonic_mean_accuracy",
    "holm",
    "is_ranked",
    "likely_label_errors",
    "paired_difference",
    "paired_interval",
    "per_class_accuracy",
    "picture_difference",
    "picture_interval",
    "precision",
    "reliability",
    "seeds_needed",
    "sensitivity",
    "shared_differences",
    "shifted_priors",
    "smallest_difference",
    "spread",
    "summarise",
    "summarise_confusion",
    "tail_classes",
    "telling",
    "total_variation",
    "tsne_map",
    "verdict",
    "wilson_interval",
    "zero_classes",
]
