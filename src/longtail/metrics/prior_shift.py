"""Test distributions whose class prior is not the one a model's probabilities assume.

Where only the prior changes and p(x | y) stays, accuracy under a prior is the class accuracies'
mean weighted by it: no test set has to be drawn, and the number has no sampling error beyond that
of the class accuracies.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError, UsageError
from longtail.metrics.checks import Floats, as_prior, as_probabilities, as_rows, as_weights, softmax
from longtail.prior import as_counts

Direction = Literal["forward", "uniform", "backward"]

RATIOS = (2.0, 5.0, 10.0, 25.0, 50.0)
"""Imbalance of the test distributions in LADE's and SADE's protocol."""


class ShiftedPrior(NamedTuple):
    """A class distribution to test under.

    Attributes:
        direction: "forward" is long-tailed as the training data are, "backward" the other way.
        ratio: most frequent class over rarest, at least 1.
        prior: float64 [c], sums to 1.
    """

    direction: Direction
    ratio: float
    prior: Floats


class EstimatedPrior(NamedTuple):
    """What EM found; see `estimate_prior`.

    Attributes:
        prior: float64 [c], sums to 1.
        log_likelihood: weighted mean over pictures, under that prior and relative to the assumed
            one, where it is 0.
        iterations: taken.
        converged: whether the last one moved the prior by no more than the tolerance.
    """

    prior: Floats
    log_likelihood: float
    iterations: int
    converged: bool


def shifted_priors(
    counts: npt.ArrayLike, ratios: Sequence[float] = RATIOS
) -> tuple[ShiftedPrior, ...]:
    """Forward long-tailed, uniform and backward long-tailed test distributions.

    The class of rank r by training count (the most frequent has 0, of equal ones the smaller id
    comes first) gets a share in proportion to ratio**(-r / (c - 1)); backward, rank and share run
    against each other. From forward at the largest ratio over uniform to backward at the largest.

    Sources: Hong et al. 2021 (LADE, arXiv 2012.00321) and Zhang et al. 2022 (SADE, arXiv
    2107.09249), which draw such test sets; here the shares are exact and nothing is drawn.

    Args:
        counts: [c] training samples a class.
        ratios: above 1.

    Raises:
        DataError: counts that are no counts, or a single class.
        UsageError: a ratio that is not a number above 1.

    >>> first = shifted_priors([5, 20, 10], ratios=[4])[0]
    >>> first.direction, first.prior.round(4).tolist()
    ('forward', [0.1429, 0.5714, 0.2857])
    """
    trained = as_counts(counts)
    if len(trained) < 2:
        raise DataError("A single class has one test distribution only; there is none to shift to.")
    for ratio in ratios:
        if not (np.isfinite(ratio) and ratio > 1):
            raise UsageError(f"ratio is {ratio}; the imbalance must be above 1, e.g. 10.")
    return tuple(_shifts(trained, sorted(ratios)))


def _shifts(trained: npt.NDArray[np.int64], ratios: list[float]) -> Iterator[ShiftedPrior]:
    num_classes = len(trained)
    depth = np.empty(num_classes)
    depth[np.argsort(-trained, kind="stable")] = np.linspace(0, 1, num_classes)
    for ratio in reversed(ratios):
        yield ShiftedPrior("forward", ratio, _normalised(ratio**-depth))
    yield ShiftedPrior("uniform", 1.0, np.full(num_classes, 1 / num_classes))
    for ratio in ratios:
        yield ShiftedPrior("backward", ratio, _normalised(ratio ** (depth - 1)))


def accuracy_under(prior: npt.ArrayLike, per_class: npt.ArrayLike) -> float:
    """Expected accuracy on test pictures of that class prior, in [0, 1]: sum_c prior_c * a_c.

    Args:
        prior: [c], sums to 1.
        per_class: [c] class accuracies; NaN or None for a class without a test picture.

    Raises:
        DataError: lengths differ, or a class that the prior counts on has no accuracy. Leaving it
            out would be another prior's accuracy.

    >>> accuracy_under([0.5, 0.5], [0.75, 0.25])
    0.5
    """
    shares = as_prior(prior, "prior")
    accuracies = np.asarray(per_class, np.float64)
    if accuracies.shape != shares.shape:
        raise DataError(
            f"{accuracies.size} class accuracies but a prior of {shares.size} classes: "
            "one of each a class is needed."
        )
    unknown = np.flatnonzero(np.isnan(accuracies) & (shares > 0))
    if unknown.size:
        raise DataError(
            f"{unknown.size} of {shares.size} classes have no test picture, the first is class "
            f"{unknown[0]}: accuracy under a prior that holds them cannot be known. Test on data "
            "with every class, or set their share of the prior to 0."
        )
    return float(np.dot(shares, np.nan_to_num(accuracies)))


def correct_probabilities(
    logits: npt.ArrayLike, trained_prior: npt.ArrayLike, test_prior: npt.ArrayLike
) -> Floats:
    """Class probabilities under another prior: softmax(f + log test_prior - log trained_prior).

    Exact where `logits` are, up to a constant a row, log p(y | x) under `trained_prior` and where
    p(x | y) is the same in training and test.

    Source: Saerens et al. 2002, Neural Computation 14(1), Eq. 2.4.

    Args:
        logits: [n, c] logits or log-probabilities.
        trained_prior: [c], the prior that the logits are under: the training one for
            cross-entropy, uniform for a loss or sampler that accounts for the classes' frequencies.
        test_prior: [c].

    Returns:
        float64 [n, c], rows sum to 1. A class that either prior excludes has exactly 0.

    Raises:
        DataError: no priors or shapes that do not fit, or priors without a class in common.

    >>> correct_probabilities([[0.0, 0.0]], [0.9, 0.1], [0.5, 0.5]).round(2).tolist()
    [[0.1, 0.9]]
    """
    scores = as_rows(logits, "logits")
    trained = as_prior(trained_prior, "trained_prior", scores.shape[1])
    test = as_prior(test_prior, "test_prior", scores.shape[1])
    kept = (trained > 0) & (test > 0)
    if not kept.any():
        raise DataError("trained_prior and test_prior have no class in common.")
    moved = scores[:, kept] + np.log(test[kept]) - np.log(trained[kept])
    corrected = np.zeros_like(scores)
    corrected[:, kept] = softmax(moved)
    return corrected


def estimate_prior(
    probabilities: npt.ArrayLike,
    assumed_prior: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 2000,
) -> EstimatedPrior:
    """The test prior by maximum likelihood (EM) from predictions on unlabelled pictures.

    As good as the probabilities are calibrated under `assumed_prior`: overconfident ones hide how
    far the prior has moved. The likelihood never falls from one iteration to the next, and as it is
    concave no start leads elsewhere.

    Source: Saerens, Latinne and Decaestecker 2002, "Adjusting the outputs of a classifier to new
    a priori probabilities: a simple procedure", Neural Computation 14(1), Eq. 2.9.

    Args:
        probabilities: [n, c], rows sum to 1.
        assumed_prior: [c], the prior they are under; EM starts there. A class that it excludes
            stays out.
        weights: [n], at least 0, how often each picture counts; None counts each once. Weights
            prior_y / n_y make of a test set of any class sizes n one of that prior, in expectation.
        tolerance: on the total variation distance between two successive priors.
        max_iterations: at least 1.

    Raises:
        DataError: probabilities, priors or weights that are none or do not fit, or a picture that
            `assumed_prior` makes impossible.
        UsageError: a tolerance that is not above 0, or no iteration.
    """
    if not tolerance > 0 or max_iterations < 1:
        raise UsageError(
            f"tolerance is {tolerance} and max_iterations {max_iterations}; the one must be above "
            "0, the other at least 1."
        )
    shares = as_probabilities(probabilities)
    assumed = as_prior(assumed_prior, "assumed_prior", shares.shape[1])
    counted = as_weights(weights, len(shares))
    used, kept = counted > 0, assumed > 0
    # p(x | y) over p(x) under the assumed prior: all that EM needs, computed once.
    ratios = shares[np.ix_(used, kept)] / assumed[kept]
    if np.any(ratios.sum(axis=1) == 0):
        raise DataError("A picture has probability in classes only that assumed_prior excludes.")
    found, iterations, converged = _em(
        ratios, assumed[kept], counted[used], tolerance, max_iterations
    )
    prior = np.zeros_like(assumed)
    prior[kept] = found
    likelihood = float(np.dot(counted[used], np.log(ratios @ found)))
    return EstimatedPrior(prior, likelihood, iterations, converged)


def _em(
    ratios: Floats, start: Floats, weights: Floats, tolerance: float, max_iterations: int
) -> tuple[Floats, int, bool]:
    prior = _normalised(start)
    for iteration in range(1, max_iterations + 1):
        before = prior
        # The mean responsibility of each class; normalised only against rounding.
        prior = _normalised(before * (ratios.T @ (weights / (ratios @ before))))
        if total_variation(prior, before) <= tolerance:
            return prior, iteration, True
    return prior, max_iterations, False


def total_variation(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Distance of two class distributions, half the sum of |p_c - q_c|, in [0, 1].

    >>> total_variation([0.5, 0.5], [0.75, 0.25])
    0.25
    """
    return float(np.abs(np.asarray(first, np.float64) - np.asarray(second, np.float64)).sum() / 2)


def _normalised(values: Floats) -> Floats:
    return np.asarray(values / values.sum(), np.float64)
