"""How a finished run does when the test classes are not balanced, and how sure of itself it is."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError
from longtail.methods.assumed_prior import AssumedPrior, assumed_prior
from longtail.metrics import (
    ShiftedPrior,
    accuracy_under,
    confusion_matrix,
    correct_probabilities,
    estimate_prior,
    expected_calibration_error,
    fit_temperature,
    group_calibration_error,
    per_class_accuracy,
    shifted_priors,
    total_variation,
)
from longtail.metrics.checks import softmax
from longtail.metrics.prior_shift import RATIOS, Direction
from longtail.prior import log_prior
from longtail.record import Predictions, read_predictions
from longtail.run import Run

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Corrected:
    """Accuracies once the logits are corrected for the test prior; fractions.

    Attributes:
        known: by the true test prior.
        estimated: by the prior that EM finds from the unlabelled test pictures.
        distance: total variation between that prior and the true one, in [0, 1].
        converged: whether EM had settled.
    """

    known: float
    estimated: float
    distance: float
    converged: bool


@dataclasses.dataclass(frozen=True)
class UnderPrior:
    """A run under one test prior; fractions.

    Attributes:
        direction: "forward" is long-tailed as the training data are.
        ratio: most frequent test class over rarest.
        as_is: accuracy of the run's own predictions.
        corrected: of its logits as they are; None where no prior is known for them.
        scaled: of its logits over the temperature; None without one.
    """

    direction: Direction
    ratio: float
    as_is: float
    corrected: Corrected | None
    scaled: Corrected | None


@dataclasses.dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error on the test pictures as they are, 15 bins; fractions.

    Attributes:
        scaled: whether the logits were divided by the temperature.
        corrected: whether they were corrected for the test split's own prior.
        all: of every picture.
        many, medium, few: of those whose true class is one; None where there are none.
    """

    scaled: bool
    corrected: bool
    all: float
    many: float | None
    medium: float | None
    few: float | None


@dataclasses.dataclass(frozen=True)
class Robustness:
    """What `robustness` finds.

    Attributes:
        test_pictures: that the class accuracies are of.
        assumed: the prior that the logits are taken to be under, or why none is known.
        under: one for each test prior, from forward to backward.
        calibration: without and with the temperature, each without and with the split's own prior;
            of the logits as they are alone where no prior is known for them.
        temperature: fitted on the hold-out; None without one, or without a known prior.
        holdout_pictures: that it is fitted on; 0 without one.
    """

    test_pictures: int
    assumed: AssumedPrior
    under: tuple[UnderPrior, ...]
    calibration: tuple[CalibrationError, ...]
    temperature: float | None
    holdout_pictures: int


def robustness_of(run: Run, ratios: Sequence[float] = RATIOS) -> Robustness:
    """`robustness` of a finished run, from the predictions that it keeps.

    Raises:
        DataError: as `robustness`, or the run was trained without a test split.
        CheckpointError: its predictions are missing or corrupt.
    """
    measured = run.record.metrics
    if measured.test is None:
        raise DataError(
            f"{run.folder}: trained without a test split, so there is nothing to weigh; train on "
            "data that have one."
        )
    held_out = measured.holdout is not None
    counts = run.record.data.train_counts
    try:
        return robustness(
            read_predictions(run.folder / "predictions-test.npz"),
            counts,
            assumed=assumed_prior(run.resolved.recipe, counts),
            holdout=read_predictions(run.folder / "predictions-holdout.npz") if held_out else None,
            ratios=ratios,
        )
    except DataError as error:
        raise DataError(f"{run.folder}: {error}") from error


def robustness(
    test: Predictions,
    counts: npt.ArrayLike,
    *,
    assumed: AssumedPrior,
    holdout: Predictions | None = None,
    ratios: Sequence[float] = RATIOS,
) -> Robustness:
    """Accuracy under forward and backward long-tailed test priors, and calibration.

    Nothing is drawn: class accuracies are weighted by the prior, and EM sees each test picture as
    often as its class's share asks for. The hold-out serves the temperature alone. The file's half
    precision may decide a tie of two corrected logits otherwise than the model would have.

    Args:
        test: predictions on the test split, which has every class.
        counts: [c] training samples a class.
        assumed: the prior that the logits are under. Without one nothing is corrected.
        holdout: predictions on pictures neither trained nor tested on.
        ratios: imbalances of the test priors, above 1.

    Raises:
        DataError: a class without a test picture, or a file with the largest logits alone.
        UsageError: a ratio of at most 1.
    """
    logits, prior = _logits(test), _prior(assumed)
    per_class = per_class_accuracy(confusion_matrix(test.labels, test.predicted, logits.shape[1]))
    temperature = None if holdout is None or prior is None else _temperature(holdout, prior)
    under = []
    for shifted in shifted_priors(counts, ratios):
        as_is = accuracy_under(shifted.prior, per_class)
        corrected = scaled = None
        if prior is not None:
            corrected = _corrected(logits, test.labels, prior, shifted)
        if prior is not None and temperature is not None:
            scaled = _corrected(logits / temperature, test.labels, prior, shifted)
        under.append(UnderPrior(shifted.direction, shifted.ratio, as_is, corrected, scaled))
    calibration = _calibration(logits, test.labels, prior, counts, scaled=False)
    if temperature is not None:
        calibration += _calibration(logits / temperature, test.labels, prior, counts, scaled=True)
    return Robustness(
        test_pictures=len(test.labels),
        assumed=assumed,
        under=tuple(under),
        calibration=calibration,
        temperature=temperature,
        holdout_pictures=0 if holdout is None else len(holdout.labels),
    )


def _prior(assumed: AssumedPrior) -> Floats | None:
    return None if assumed.log_prior is None else np.exp(assumed.log_prior)


def _logits(predictions: Predictions) -> Floats:
    if predictions.logit_classes is not None:
        kept = predictions.logits.shape[1]
        raise DataError(
            f"The predictions keep the {kept} largest logits of a picture alone, and another "
            "prior may lift others above them; robustness needs the logits of every class, which "
            "are kept up to 1,000 classes."
        )
    return predictions.logits.astype(np.float64)


def _temperature(holdout: Predictions, assumed: Floats) -> float:
    """Of the logits under the prior they are taken to be under, whatever the hold-out's own is."""
    own = log_prior(np.bincount(holdout.labels, minlength=len(assumed)))
    return fit_temperature(_logits(holdout), holdout.labels, offset=own - np.log(assumed))


def _corrected(logits: Floats, labels: Labels, assumed: Floats, shifted: ShiftedPrior) -> Corrected:
    numbers = np.bincount(labels, minlength=len(assumed))
    probabilities = correct_probabilities(logits, assumed, assumed)
    found = estimate_prior(probabilities, assumed, weights=(shifted.prior / numbers)[labels])

    def accuracy(prior: Floats) -> float:
        """With that prior taken for the true one."""
        decided = correct_probabilities(logits, assumed, prior).argmax(axis=1)
        confusion = confusion_matrix(labels, decided, len(assumed))
        return accuracy_under(shifted.prior, per_class_accuracy(confusion))

    return Corrected(
        known=accuracy(shifted.prior),
        estimated=accuracy(found.prior),
        distance=total_variation(found.prior, shifted.prior),
        converged=found.converged,
    )


def _calibration(
    logits: Floats,
    labels: Labels,
    assumed: Floats | None,
    counts: npt.ArrayLike,
    *,
    scaled: bool,
) -> tuple[CalibrationError, ...]:
    """Before and, where the assumed prior is known, after correction for the split's own."""
    own = np.bincount(labels, minlength=logits.shape[1]) / len(labels)
    versions = [(False, softmax(logits))]
    if assumed is not None:
        versions.append((True, correct_probabilities(logits, assumed, own)))
    found = []
    for corrected, probabilities in versions:
        every = expected_calibration_error(probabilities, labels)
        groups = group_calibration_error(probabilities, labels, counts)
        found.append(CalibrationError(scaled, corrected, every, **groups))
    return tuple(found)
