"""Accuracy under other test priors: against drawn test sets, slow loops and known truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail import metrics
from longtail.errors import DataError, UsageError

COUNTS = (40, 500, 7, 120, 40)
UNIFORM = np.full(5, 0.2)
# Of which class 1 is the commonest and class 2 the rarest, as in COUNTS.
TRAINED = np.array(COUNTS) / sum(COUNTS)
SHIFTED = {(s.direction, s.ratio): s.prior for s in metrics.shifted_priors(COUNTS)}


def priors(size: int = 5):
    return st.lists(st.floats(0.01, 1), min_size=size, max_size=size).map(
        lambda shares: np.array(shares) / sum(shares)
    )


def calibrated(prior, number: int, seed: int = 0):
    """Labels of that prior, and the exact log p(x | y) of points around each class's centre."""
    draw = np.random.default_rng(seed)
    labels = draw.choice(5, number, p=prior)
    centres = np.random.default_rng(9).normal(size=(5, 3)) * 1.2
    points = centres[labels] + draw.normal(size=(number, 3))
    distances = ((points[:, None] - centres) ** 2).sum(axis=2)
    return labels, -distances / 2


LABELS, LIKELIHOODS = calibrated(UNIFORM, 4000)


def per_class_of(predicted):
    return metrics.per_class_accuracy(metrics.confusion_matrix(LABELS, predicted, 5))


def test_priors_follow_the_training_frequency_and_not_the_class_order():
    # Ranks by count, of equal ones the smaller id first: classes 1, 3, 0, 4, 2.
    expected = np.empty(5)
    for rank, label in enumerate([1, 3, 0, 4, 2]):
        expected[label] = 10 ** (-rank / 4)
    np.testing.assert_allclose(SHIFTED["forward", 10], expected / expected.sum())
    for rank, label in enumerate([2, 4, 0, 3, 1]):
        expected[label] = 10 ** (-rank / 4)
    np.testing.assert_allclose(SHIFTED["backward", 10], expected / expected.sum())
    np.testing.assert_array_equal(SHIFTED["uniform", 1], UNIFORM)


def test_priors_run_from_forward_to_backward_at_the_ratios_asked_for():
    found = metrics.shifted_priors([9, 3, 1])
    assert [(s.direction, s.ratio) for s in found] == [
        *(("forward", ratio) for ratio in (50, 25, 10, 5, 2)),
        ("uniform", 1),
        *(("backward", ratio) for ratio in (2, 5, 10, 25, 50)),
    ]
    for shifted in found:
        assert shifted.prior.sum() == pytest.approx(1, abs=1e-12)
        assert shifted.prior.max() / shifted.prior.min() == pytest.approx(shifted.ratio)


@given(st.permutations(range(5)))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_relabelling_classes_relabels_priors(order):
    counts = np.array([40, 500, 7, 120, 41])
    for before, after in zip(
        metrics.shifted_priors(counts), metrics.shifted_priors(counts[order]), strict=True
    ):
        np.testing.assert_allclose(after.prior, before.prior[order], rtol=1e-12)


@pytest.mark.parametrize("ratio", [1, 0, -2, math.nan, math.inf])
def test_a_ratio_that_is_no_imbalance_is_refused(ratio):
    with pytest.raises(UsageError, match="above 1"):
        metrics.shifted_priors(COUNTS, [ratio])


def test_one_class_has_no_test_distributions():
    with pytest.raises(DataError, match="single class"):
        metrics.shifted_priors([5])


@pytest.mark.parametrize("case", [("forward", 10), ("backward", 50)])
def test_drawn_long_tailed_test_sets_come_to_the_exact_accuracy(case):
    right = (
        np.random.default_rng(3).random(len(LABELS)) < np.array([0.9, 0.2, 0.6, 0.5, 0.3])[LABELS]
    )
    exact = metrics.accuracy_under(
        SHIFTED[case], per_class_of(np.where(right, LABELS, (LABELS + 1) % 5))
    )
    draw, members = np.random.default_rng(4), [np.flatnonzero(c == LABELS) for c in range(5)]
    kept = np.round(400 * SHIFTED[case] / SHIFTED[case].max()).astype(int)

    def drawn() -> float:
        pairs = zip(members, kept, strict=True)
        return right[np.concatenate([draw.choice(i, n, replace=False) for i, n in pairs])].mean()

    accuracies = [drawn() for _ in range(400)]
    error = np.std(accuracies) / math.sqrt(len(accuracies))
    # Whole pictures a class make the drawn prior a little another one.
    assert abs(np.mean(accuracies) - exact) < 4 * error + 1e-3


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
@settings(derandomize=True, deadline=None)
def test_the_uniform_prior_gives_balanced_accuracy(per_class):
    assert metrics.accuracy_under(UNIFORM, per_class) == pytest.approx(np.mean(per_class))


def test_a_class_without_a_picture_is_refused_unless_the_prior_leaves_it_out():
    per_class = [0.5, None, 1.0, 0.5, 0.5]
    with pytest.raises(DataError, match=r"1 of 5 classes have no test picture.* class 1"):
        metrics.accuracy_under(UNIFORM, per_class)
    without = np.array([0.25, 0, 0.25, 0.25, 0.25])
    assert metrics.accuracy_under(without, per_class) == pytest.approx(0.625)


@pytest.mark.parametrize(
    ("prior", "message"),
    [([0.5, 0.5], "2 classes"), ([40, 500, 7, 120, 40], "sum to 1"), ([[1.0]], "shape"),
     ([1.2, -0.2, 0, 0, 0], "at least 0"), ([math.nan] * 5, "at least 0")],
)  # fmt: skip
def test_what_is_no_prior_of_the_classes_is_refused(prior, message):
    with pytest.raises(DataError, match=message):
        metrics.accuracy_under(prior, np.ones(5))


def test_corrected_probabilities_equal_a_loop_of_bayes_rule():
    posterior = metrics.correct_probabilities(LIKELIHOODS[:20], UNIFORM, TRAINED)
    corrected = metrics.correct_probabilities(np.log(posterior), TRAINED, SHIFTED["backward", 5])
    for row, likelihood in zip(corrected, np.exp(LIKELIHOODS[:20]), strict=True):
        joint = [p * q for p, q in zip(likelihood, SHIFTED["backward", 5], strict=True)]
        np.testing.assert_allclose(row, np.array(joint) / sum(joint), rtol=1e-9)


@given(priors(), priors())
@settings(derandomize=True, deadline=None)
def test_a_correction_there_and_back_changes_nothing(one, other):
    there = metrics.correct_probabilities(LIKELIHOODS[:9], one, other)
    back = metrics.correct_probabilities(np.log(there), other, one)
    same = metrics.correct_probabilities(LIKELIHOODS[:9] + 7.0, one, one)
    np.testing.assert_allclose(back, same, rtol=1e-8)


def test_a_class_of_share_zero_gets_probability_zero_without_a_warning():
    none_of_2 = np.array([0.25, 0.25, 0, 0.25, 0.25])
    for corrected in (
        metrics.correct_probabilities(LIKELIHOODS, UNIFORM, none_of_2),
        metrics.correct_probabilities(LIKELIHOODS, none_of_2, UNIFORM),
    ):
        assert (corrected[:, 2] == 0).all()
        np.testing.assert_allclose(corrected.sum(axis=1), 1)
    with pytest.raises(DataError, match="in common"):
        metrics.correct_probabilities([[0.0, 1.0]], [1, 0], [0, 1])


def test_the_known_prior_is_the_best_correction_of_calibrated_logits():
    prior = SHIFTED["backward", 25]

    def accuracy(assumed):
        found = metrics.correct_probabilities(LIKELIHOODS, UNIFORM, assumed).argmax(axis=1)
        return metrics.accuracy_under(prior, per_class_of(found))

    assert accuracy(prior) > accuracy(UNIFORM) + 0.02
    assert accuracy(prior) > accuracy(SHIFTED["forward", 25]) + 0.1


@pytest.mark.parametrize("bad", [np.zeros(5), np.zeros((0, 5)), [[math.nan] * 5]])
def test_what_are_no_logits_is_refused(bad):
    with pytest.raises(DataError, match="logits"):
        metrics.correct_probabilities(bad, UNIFORM, UNIFORM)


@pytest.mark.parametrize("assumed", [UNIFORM, TRAINED], ids=["uniform", "trained"])
def test_em_finds_the_prior_of_drawn_pictures(assumed):
    true = np.array([0.1, 0.05, 0.5, 0.05, 0.3])
    labels, likelihoods = calibrated(true, 20000, seed=5)
    under = metrics.correct_probabilities(likelihoods, UNIFORM, assumed)
    found = metrics.estimate_prior(under, assumed, tolerance=1e-9)
    assert found.converged
    assert metrics.total_variation(found.prior, true) < 0.015
    # Far nearer than where it started.
    assert metrics.total_variation(assumed, true) > 0.3
    assert metrics.total_variation(found.prior, np.bincount(labels) / len(labels)) < 0.015


def test_weights_make_of_a_balanced_test_set_one_of_any_prior():
    prior, numbers = SHIFTED["backward", 50], np.bincount(LABELS)
    probabilities = metrics.correct_probabilities(LIKELIHOODS, UNIFORM, UNIFORM)
    weighted = metrics.estimate_prior(
        probabilities, UNIFORM, weights=(prior / numbers)[LABELS], tolerance=1e-9
    )
    # Repeating pictures as often as they weigh must give the same.
    times = np.random.default_rng(6).integers(0, 4, len(LABELS))
    repeated = metrics.estimate_prior(np.repeat(probabilities, times, axis=0), UNIFORM)
    counted = metrics.estimate_prior(probabilities, UNIFORM, weights=times)
    np.testing.assert_allclose(counted.prior, repeated.prior, atol=1e-9)
    assert counted.iterations == repeated.iterations
    assert metrics.total_variation(weighted.prior, prior) < 0.02


def test_em_equals_its_equations_as_loops():
    probabilities = metrics.correct_probabilities(LIKELIHOODS[:30], UNIFORM, TRAINED)
    prior = TRAINED
    for _ in range(7):
        sums = np.zeros(5)
        for row in probabilities:
            joint = [p * new / old for p, new, old in zip(row, prior, TRAINED, strict=True)]
            sums += np.array(joint) / sum(joint)
        prior = sums / 30
    found = metrics.estimate_prior(probabilities, TRAINED, tolerance=1e-300, max_iterations=7)
    np.testing.assert_allclose(found.prior, prior, rtol=1e-10)
    assert (found.iterations, found.converged) == (7, False)


@given(priors(), st.integers(0, 99))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_the_likelihood_never_falls(assumed, seed):
    rows = np.random.default_rng(seed).dirichlet(np.full(5, 0.3), 40)
    likelihoods = [
        metrics.estimate_prior(
            rows, assumed, tolerance=1e-300, max_iterations=number
        ).log_likelihood
        for number in range(1, 25)
    ]
    assert likelihoods[0] >= -1e-12
    assert (np.diff(likelihoods) >= -1e-12).all()


def test_a_maximum_of_the_likelihood_is_found():
    rows = metrics.correct_probabilities(LIKELIHOODS[:300], UNIFORM, TRAINED)
    found = metrics.estimate_prior(rows, TRAINED, tolerance=1e-12, max_iterations=20000)

    def likelihood(prior):
        return np.log((rows * prior / TRAINED).sum(axis=1)).mean()

    assert found.log_likelihood == pytest.approx(likelihood(found.prior), abs=1e-12)
    for other in np.random.default_rng(7).dirichlet(np.ones(5), 500):
        near = 0.95 * found.prior + 0.05 * other
        assert likelihood(near) <= found.log_likelihood + 1e-9


def test_em_does_not_divide_by_a_share_of_zero():
    assumed = np.array([0.5, 0.5, 0, 0, 0])
    found = metrics.estimate_prior([[0.9, 0.1, 0, 0, 0], [0.2, 0.3, 0.5, 0, 0]], assumed)
    assert found.prior.sum() == pytest.approx(1)
    assert (found.prior[2:] == 0).all()
    with pytest.raises(DataError, match="excludes"):
        metrics.estimate_prior([[0, 0, 1.0, 0, 0]], assumed)
    # Sure predictions bring shares of exactly zero about.
    sure = metrics.estimate_prior(np.eye(5)[[0, 0, 3]], UNIFORM)
    np.testing.assert_allclose(sure.prior, [2 / 3, 0, 0, 1 / 3, 0])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"probabilities": LIKELIHOODS[:3]}, DataError, "not logits"),
        ({"assumed_prior": [0.5, 0.5]}, DataError, "5 shares"),
        ({"weights": [1, 1]}, DataError, "3 pictures"),
        ({"weights": [0, 0, 0]}, DataError, "not all 0"),
        ({"weights": [1, -1, 1]}, DataError, "at least 0"),
        ({"tolerance": 0}, UsageError, "tolerance"),
        ({"max_iterations": 0}, UsageError, "max_iterations"),
    ],
)
def test_what_em_cannot_work_on_is_refused(change, error, message):
    given_ = {"probabilities": np.eye(5)[:3], "assumed_prior": UNIFORM, **change}
    with pytest.raises(error, match=message):
        metrics.estimate_prior(**given_)
