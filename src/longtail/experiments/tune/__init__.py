"""Searching a method's knobs on a hold-out, with Optuna; the test split is never there."""

from longtail.experiments.tune.result import Trial, Tuned
from longtail.experiments.tune.run import tune

__all__ = ["Trial", "Tuned", "tune"]
