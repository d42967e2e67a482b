"""How a finished run does when the test classes are not balanced, and how sure of itself it is."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError
from longtail.methods.describe import knows_prior
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
        corrected: of its logits as they are.
        scaled: of its logits over the temperature; None without one.
    """

    direction: Direction
    ratio: float
    as_is: float
    corrected: Corrected
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
        prior_power: the logits are taken to be under the training prior to this power: 1 is that
            prior, 0 the uniform one.
        under: one for each test prior, from forward to backward.
        calibration: without and with the temperature, each without and with the split's own prior.
        temperature: fitted on the hold-out; None without one.
        holdout_pictures: that it was fitted on.
    """

    test_pictures: int
    prior_power: float
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
    try:
        return robustness(
            read_predictions(run.folder / "predictions-test.npz"),
            run.record.data.train_counts,
            prior_power=prior_power(run),
            holdout=read_predictions(run.folder / "predictions-holdout.npz") if held_out else None,
            ratios=ratios,
        )
    except DataError as error:
        raise DataError(f"{run.folder}: {error}") from error


def prior_power(run: Run) -> float:
    """Power of the training prior that a run's logits are taken to be under.

    1 for cross-entropy. Logits f for which softmax(f + la_tau * log prior) is p(y | x) of the
    training data are under the prior to the power 1 - la_tau (Menon et al. 2021, arXiv 2007.07314):
    uniform at 1, tilted to the tail above. 0 for every other method that accounts for the prior.
    These are idealisations: margins, class weights and normalised classifiers follow none.
    """
    if not knows_prior(run.resolved.recipe):
        return 1.0
    la_tau = run.record.knobs.get("la_tau", 1.0)
    return round(1.0 - float(la_tau), 9)  # 1 - 1.3 is not quite -0.3


def robustness(
    test: Predictions,
    counts: npt.ArrayLike,
    *,
    prior_power: float,
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
        prior_power: of the training prior, which the logits are taken to be under then.
        holdout: predictions on pictures neither trained nor tested on.
        ratios: imbalances of the test priors, above 1.

    Raises:
        DataError: a class without a test picture, or a file with the largest logits alone.
        UsageError: a ratio of at most 1.
    """
    logits, assumed = _logits(test), _tilted(counts, prior_power)
    temperature = None if holdout is None else _temperature(holdout, assumed)
    per_class = per_class_accuracy(confusion_matrix(test.labels, test.predicted, len(assumed)))
    under = []
    for shifted in shifted_priors(counts, ratios):
        as_is = accuracy_under(shifted.prior, per_class)
        corrected = _corrected(logits, test.labels, assumed, shifted)
        scaled = None
        if temperature is not None:
            scaled = _corrected(logits / temperature, test.labels, assumed, shifted)
        under.append(UnderPrior(shifted.direction, shifted.ratio, as_is, corrected, scaled))
    calibration = _calibration(logits, test.labels, assumed, counts, scaled=False)
    if temperature is not None:
        calibration += _calibration(logits / temperature, test.labels, assumed, counts, scaled=True)
    return Robustness(
        test_pictures=len(test.labels),
        prior_power=prior_power,
        under=tuple(under),
        calibration=calibration,
        temperature=temperature,
        holdout_pictures=0 if holdout is None else len(holdout.labels),
    )


def _tilted(counts: npt.ArrayLike, power: float) -> Floats:
    powers = np.exp(power * log_prior(counts))
    return np.asarray(powers / powers.sum(), np.float64)


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
    logits: Floats, labels: Labels, assumed: Floats, counts: npt.ArrayLike, *, scaled: bool
) -> tuple[CalibrationError, ...]:
    """Before and after the correction for the split's own prior."""
    own = np.bincount(labels, minlength=len(assumed)) / len(labels)
    found = []
    for corrected, prior in ((False, assumed), (True, own)):
        probabilities = correct_probabilities(logits, assumed, prior)
        every = expected_calibration_error(probabilities, labels)
        groups = group_calibration_error(probabilities, labels, counts)
        found.append(CalibrationError(scaled, corrected, every, **groups))
    return tuple(found)
