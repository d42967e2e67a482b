"""Arguments of the metrics that read probabilities: what they must be, said to a person."""

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError

Floats = npt.NDArray[np.float64]

# Rows that a softmax in single precision gave are as good as exact ones.
_SUMS_TO_ONE = 1e-4


def as_rows(values: npt.ArrayLike, what: str) -> Floats:
    """Finite numbers, float64 [n, c] with n and c above 0; DataError for anything else."""
    rows = np.asarray(values, np.float64)
    if rows.ndim != 2 or 0 in rows.shape:
        raise DataError(f"{what} have shape {rows.shape}; expected [n, c], one row a picture.")
    if not np.isfinite(rows).all():
        raise DataError(f"Some {what} are not finite numbers.")
    return rows


def as_probabilities(values: npt.ArrayLike) -> Floats:
    """Rows that sum to 1, float64 [n, c]; DataError for anything else, logits above all."""
    rows = as_rows(values, "probabilities")
    wrong = np.flatnonzero((rows < 0).any(axis=1) | (np.abs(rows.sum(axis=1) - 1) > _SUMS_TO_ONE))
    if wrong.size:
        raise DataError(
            f"{wrong.size} rows of probabilities have a negative number or do not sum to 1, the "
            f"first is row {wrong[0]}; pass probabilities, not logits."
        )
    return rows


def as_prior(values: npt.ArrayLike, what: str, num_classes: int | None = None) -> Floats:
    """Shares that sum to 1, float64 [c]; DataError for anything else."""
    prior = np.asarray(values, np.float64)
    if prior.ndim != 1 or prior.size != (num_classes or prior.size):
        expected = "one share a class" if num_classes is None else f"{num_classes} shares"
        raise DataError(f"{what} has shape {prior.shape}; expected {expected}.")
    if not (prior >= 0).all() or abs(prior.sum() - 1) > _SUMS_TO_ONE:
        raise DataError(f"{what} must be at least 0 everywhere and sum to 1; pass shares.")
    return prior


def as_weights(values: npt.ArrayLike | None, number: int) -> Floats:
    """Weights of pictures scaled to a sum of 1, float64 [n]; None weighs all alike."""
    weights = np.ones(number) if values is None else np.asarray(values, np.float64)
    if weights.shape != (number,):
        raise DataError(f"weights have shape {weights.shape}; {number} pictures need one each.")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise DataError("weights must be finite, at least 0, and not all 0.")
    return np.asarray(weights / weights.sum(), np.float64)


def softmax(logits: Floats) -> Floats:
    """Probabilities float64 [n, c] of logits [n, c]."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float64)
