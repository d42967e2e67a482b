"""What a finished run is worth under other test priors, from its kept predictions alone."""

import dataclasses

import numpy as np
import pytest

from longtail import cli, launch, metrics
from longtail.cli.evaluate import _prior_notes
from longtail.errors import CheckpointError, DataError, UsageError
from longtail.experiments.robustness import Robustness, robustness, robustness_of
from longtail.methods.assumed_prior import AssumedPrior, assumed_prior
from longtail.prior import log_prior
from longtail.record import predictions_of
from tiny import tiny_dataset

COUNTS = (60, 500, 8, 150)
NUMBERS = (300, 200, 250, 150)
OPTIONS = {
    "backbone": "mlp-w8",
    "knobs": {"lr": 0.05},
    "epochs": 2,
    "batch_size": 5,
    "precision": "fp32",
    "threads": 1,
    "progress": False,
}


def made_up(numbers=NUMBERS, *, power: float = 1.0, sharpness: float = 1.0, seed: int = 0):
    """Predictions of a model that is right about p(x | y), its logits under prior**power."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), numbers)
    centres = np.random.default_rng(9).normal(size=(4, 3)) * 1.5
    points = centres[labels] + draw.normal(size=(len(labels), 3))
    likelihoods = -((points[:, None] - centres) ** 2).sum(axis=2) / 2
    logits = sharpness * (likelihoods + power * log_prior(COUNTS))
    return predictions_of(np.arange(len(labels)), labels, logits)


def under(power: float) -> AssumedPrior:
    logs = power * log_prior(COUNTS)
    return AssumedPrior(logs - np.log(np.exp(logs).sum()))


NONE_KNOWN = AssumedPrior(None, "its reason")


@pytest.fixture(scope="module")
def of_ce() -> Robustness:
    return robustness(made_up(), COUNTS, assumed=under(1.0))


def train(folder, dataset, method="ce", **options):
    return launch.train(dataset, method, out=folder, **{**OPTIONS, **options})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on vectors with a hold-out; tests only read it."""
    dataset = tiny_dataset(holdout=True, kind="vector")
    return train(tmp_path_factory.mktemp("runs") / "run", dataset)


def test_accuracy_as_is_is_that_of_the_kept_predictions(of_ce):
    test = made_up()
    right = [np.mean(test.predicted[test.labels == c] == c) for c in range(4)]
    for row, shifted in zip(of_ce.under, metrics.shifted_priors(COUNTS), strict=True):
        assert (row.direction, row.ratio) == (shifted.direction, shifted.ratio)
        assert row.as_is == pytest.approx(np.dot(right, shifted.prior))
    assert next(row for row in of_ce.under if row.ratio == 1).as_is == pytest.approx(np.mean(right))


def test_the_known_prior_decides_as_bayes_rule_does(of_ce):
    test = made_up()
    likelihoods = test.logits.astype(float) - log_prior(COUNTS)
    for row, shifted in zip(of_ce.under, metrics.shifted_priors(COUNTS), strict=True):
        decided = (likelihoods + np.log(shifted.prior)).argmax(axis=1)
        right = [np.mean(decided[test.labels == c] == c) for c in range(4)]
        assert row.corrected.known == pytest.approx(np.dot(right, shifted.prior))


def test_a_right_correction_gains_most_where_the_tail_is_common(of_ce):
    backward = of_ce.under[-1]
    assert backward.corrected.known > backward.as_is + 0.15
    assert backward.corrected.estimated > backward.as_is + 0.15
    for row in of_ce.under:
        assert row.corrected.known >= row.as_is - 0.01
        assert row.corrected.converged
        assert row.corrected.distance < 0.1


@pytest.mark.parametrize("power", [0.0, -0.3, 1.0])
def test_one_model_is_worth_the_same_whatever_prior_its_logits_are_under(power, of_ce):
    found = robustness(made_up(power=power), COUNTS, assumed=under(power))
    for row, expected in zip(found.under, of_ce.under, strict=True):
        # Half precision rounds other logits, and may turn a picture or two.
        assert row.corrected.known == pytest.approx(expected.corrected.known, abs=0.01)
        assert row.corrected.distance == pytest.approx(expected.corrected.distance, abs=0.01)


def test_a_wrong_assumption_about_the_prior_costs_accuracy():
    wrong = robustness(made_up(power=0.0), COUNTS, assumed=under(1.0))
    right = robustness(made_up(power=0.0), COUNTS, assumed=under(0.0))
    assert right.under[0].corrected.known > wrong.under[0].corrected.known + 0.05


@pytest.mark.parametrize("numbers", [(500,) * 4, (168, 1400, 22, 420)], ids=["even", "long"])
@pytest.mark.parametrize("power", [1.0, 0.0])
def test_a_temperature_is_found_on_a_holdout_of_any_prior_and_mends_em(numbers, power):
    test = made_up(power=power, sharpness=4.0)
    holdout = made_up(numbers, power=power, sharpness=4.0, seed=1)
    found = robustness(test, COUNTS, assumed=under(power), holdout=holdout)
    assert found.holdout_pictures == sum(numbers)
    assert found.temperature == pytest.approx(4, rel=0.15)
    before, after = (
        np.mean([part.distance for part in parts])
        for parts in zip(*((row.corrected, row.scaled) for row in found.under), strict=True)
    )
    assert after < 0.6 * before
    own = [c for c in found.calibration if c.corrected]
    assert [c.scaled for c in own] == [False, True]
    assert own[1].all < 0.5 * own[0].all


def test_without_a_holdout_there_is_no_temperature(of_ce):
    assert of_ce.temperature is None
    assert of_ce.holdout_pictures == 0
    assert all(row.scaled is None for row in of_ce.under)
    assert [(c.scaled, c.corrected) for c in of_ce.calibration] == [(False, False), (False, True)]


def test_calibration_is_of_the_softmax_and_better_for_the_splits_own_prior(of_ce):
    as_is, corrected = of_ce.calibration
    logits = made_up().logits.astype(float)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = made_up().labels
    assert as_is.all == pytest.approx(metrics.expected_calibration_error(probabilities, labels))
    groups = metrics.group_calibration_error(probabilities, labels, COUNTS)
    assert (as_is.many, as_is.medium, as_is.few) == tuple(
        pytest.approx(groups[name]) for name in ("many", "medium", "few")
    )
    assert corrected.all < 0.5 * as_is.all


def test_relabelling_classes_changes_nothing(of_ce):
    order = np.array([2, 0, 3, 1])
    test = made_up()
    renamed = predictions_of(test.index, np.argsort(order)[test.labels], test.logits[:, order])
    moved = AssumedPrior(under(1.0).log_prior[order])
    found = robustness(renamed, np.array(COUNTS)[order], assumed=moved)
    for row, expected in zip(found.under, of_ce.under, strict=True):
        assert row.corrected.known == pytest.approx(expected.corrected.known, abs=0.005)
        assert row.corrected.estimated == pytest.approx(expected.corrected.estimated, abs=0.005)


def test_kept_largest_logits_and_missing_classes_are_refused():
    largest = dataclasses.replace(made_up(), logit_classes=np.zeros((900, 4), np.int32))
    with pytest.raises(DataError, match="4 largest logits"):
        robustness(largest, COUNTS, assumed=under(1.0))
    with pytest.raises(DataError, match="no test picture"):
        robustness(made_up((300, 0, 250, 150)), COUNTS, assumed=under(1.0))


@pytest.mark.parametrize("holdout", [None, made_up(seed=1)], ids=["alone", "held out"])
def test_without_a_known_prior_nothing_is_corrected(holdout, of_ce):
    found = robustness(made_up(), COUNTS, assumed=NONE_KNOWN, holdout=holdout)
    assert found.assumed.reason == "its reason"
    assert found.temperature is None
    for row, expected in zip(found.under, of_ce.under, strict=True):
        assert (row.corrected, row.scaled) == (None, None)
        assert row.as_is == expected.as_is
    assert found.calibration == of_ce.calibration[:1]


def test_a_runs_own_files_are_read(run):
    found = robustness_of(run, ratios=[4])
    assert [row.direction for row in found.under] == ["forward", "uniform", "backward"]
    assert found.under[1].as_is == pytest.approx(run.record.metrics.test.balanced_accuracy)
    assert (found.test_pictures, found.holdout_pictures) == (12, 9)


def test_a_run_without_a_test_split_or_its_predictions_is_refused(run, tmp_path):
    untested = dataclasses.replace(run.record.metrics, test=None)
    record = dataclasses.replace(run.record, metrics=untested)
    with pytest.raises(DataError, match="without a test split"):
        robustness_of(dataclasses.replace(run, record=record))
    with pytest.raises(CheckpointError, match=r"predictions-test\.npz: no such file"):
        robustness_of(dataclasses.replace(run, folder=tmp_path))


def printed(capsys, *words):
    with pytest.raises(SystemExit) as left:
        cli.dispatch(["evaluate", *map(str, words)])
    assert not left.value.code
    return capsys.readouterr().out


def test_the_command_line_prints_the_table(run, capsys):
    text = printed(capsys, run.folder, "--robustness")
    lines = text.splitlines()
    assert [line.split()[:2] for line in lines[3:6]] == [
        ["forward", "50"], ["forward", "25"], ["forward", "10"],
    ]  # fmt: skip
    assert sum(line.startswith(("forward ", "backward ", "uniform ")) for line in lines) == 11
    uniform = next(line for line in lines if line.startswith("uniform"))
    assert f"{100 * run.record.metrics.test.balanced_accuracy:.1f}" in uniform.split()[1]
    assert "under the training prior" in text
    assert "9 hold-out samples" in text
    assert "logits over T, for the test prior" in text
    assert str(run.folder) not in text
    assert max(map(len, lines)) <= 100


def test_the_command_line_says_what_is_missing(tmp_path, capsys):
    folder = tmp_path / "run"
    knobs = {"lr": 0.05, "la_tau": 1.3}
    train(folder, tiny_dataset(kind="vector"), "logit-adjustment", knobs=knobs)
    text = printed(capsys, folder, "--robustness")
    assert "trained without a hold-out" in text
    assert "the training prior to the power -0.3" in text
    assert "over T" not in text


def test_the_command_line_names_a_prior_that_is_no_power(tmp_path, capsys):
    folder = tmp_path / "run"
    knobs = {"lr": 0.05, "sampler": "effective-number:0.9"}
    run = train(folder, tiny_dataset(kind="vector"), knobs=knobs)
    low, high = np.exp(assumed_prior(run.resolved.recipe, run.record.data.train_counts).log_prior)[
        [-1, 0]
    ]
    text = printed(capsys, folder, "--robustness")
    assert f"under class shares of {100 * low:.2g} to {100 * high:.2g} %" in text


def test_the_command_line_leaves_out_what_no_prior_allows(tmp_path, capsys):
    folder = tmp_path / "run"
    train(folder, tiny_dataset(kind="vector"), "cb-focal")
    text = printed(capsys, folder, "--robustness")
    rows = [line for line in text.splitlines() if line.startswith(("forward ", "uniform "))]
    assert all(line.split()[-2:] == ["–", "–"] for line in rows if "tailed" not in line)
    assert "focal loss on one sigmoid a class" in text
    assert "for the test prior" not in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("part", ["corrected", "scaled"])
def test_a_line_says_when_the_estimated_prior_costs_accuracy(part, of_ce):
    def lines(loss: float) -> int:
        first = of_ce.under[0]
        worse = dataclasses.replace(first.corrected, estimated=first.as_is - loss)
        changed = dataclasses.replace(first, **{part: worse})
        rows = dataclasses.replace(of_ce, under=(changed, *of_ce.under[1:]))
        return sum("costs accuracy here" in line for line in _prior_notes(rows, COUNTS))

    assert lines(0.009) == 0  # chance
    assert lines(0.011) == 1


@pytest.mark.parametrize("words", [["digits-lt"], ["--la-tau", "1"], ["--per-class"]])
def test_robustness_goes_with_no_other_option(run, words):
    with pytest.raises(UsageError, match="--robustness"):
        cli.dispatch(["evaluate", str(run.folder), *words, "--robustness"])
