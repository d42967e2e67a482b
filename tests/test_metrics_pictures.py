"""Intervals over test pictures against slow bootstraps, the binomial, and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail import metrics
from longtail.errors import DataError, UsageError
from longtail.metrics import picture_difference, picture_interval
from longtail.metrics.pictures import PictureInterval, telling

SIZES = np.array([40, 200, 100, 60])
LABELS = np.repeat(np.arange(4), SIZES)[np.random.default_rng(5).permutation(SIZES.sum())]
METRICS = [metrics.accuracy, metrics.balanced_accuracy, metrics.harmonic_mean_accuracy]


def predictions(right, seed):
    """Predictions of which about `right[c]` of class c are right, the rest another class."""
    random = np.random.default_rng(seed)
    hit = random.random(len(LABELS)) < np.array(right)[LABELS]
    return np.where(hit, LABELS, (LABELS + random.integers(1, 4, len(LABELS))) % 4)


ONE = predictions([0.9, 0.7, 0.5, 0.3], seed=0)
OTHER = np.where(np.random.default_rng(2).random(len(LABELS)) < 0.7, ONE, predictions([0.6] * 4, 1))


def slow_redraws(statistic, samples=2000):
    """`statistic` of pictures drawn one class after the other, each with numpy's own choice."""
    random = np.random.default_rng(77)
    of_class = [np.flatnonzero(c == LABELS) for c in range(4)]
    draws = (np.concatenate([random.choice(p, len(p)) for p in of_class]) for _ in range(samples))
    return np.array([statistic(pictures) for pictures in draws])


def basic_ends(value, redrawn):
    return 2 * value - np.quantile(redrawn, [0.975, 0.025])


def assert_ends_agree(found, expected):
    """Within the noise of two bootstraps of 2,000 redraws: a tenth of the interval's width."""
    noise = 0.1 * (found.high - found.low)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=noise)


@pytest.mark.parametrize("metric", METRICS)
def test_interval_equals_a_slow_bootstrap_picture_by_picture(metric):
    found = picture_interval(LABELS, ONE, 4, metric)

    def value(pictures):
        return metric(metrics.confusion_matrix(LABELS[pictures], ONE[pictures], 4))

    assert found.value == metric(metrics.confusion_matrix(LABELS, ONE, 4))
    assert_ends_agree(found, basic_ends(found.value, slow_redraws(value)))


@pytest.mark.parametrize("metric", METRICS)
def test_interval_equals_multinomial_draws_of_the_confusion_matrix(metric):
    confusion = metrics.confusion_matrix(LABELS, ONE, 4)
    random = np.random.default_rng(8)
    sizes = confusion.sum(axis=1)
    redrawn = random.multinomial(sizes, confusion / sizes[:, None], (2000, 4))
    found = picture_interval(LABELS, ONE, 4, metric)
    assert_ends_agree(found, basic_ends(found.value, [metric(one) for one in redrawn]))


def test_interval_has_the_width_of_stratified_binomials():
    found = picture_interval(LABELS, ONE, 4, samples=20_000)
    right = metrics.per_class_accuracy(metrics.confusion_matrix(LABELS, ONE, 4))
    error = np.sqrt(np.sum(right * (1 - right) / SIZES)) / 4
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.04)
    assert (found.low + found.high) / 2 == pytest.approx(found.value, abs=0.1 * error)


@pytest.mark.parametrize("metric", METRICS)
def test_difference_equals_a_slow_bootstrap_on_the_same_pictures(metric):
    found = picture_difference(LABELS, ONE, OTHER, 4, metric)

    def difference(pictures):
        first, second = (
            metric(metrics.confusion_matrix(LABELS[pictures], model[pictures], 4))
            for model in (ONE, OTHER)
        )
        return first - second

    assert found.value == difference(np.arange(len(LABELS)))
    assert_ends_agree(found, basic_ends(found.value, slow_redraws(difference)))


def test_difference_has_the_width_of_the_pictures_on_which_the_models_differ():
    found = picture_difference(LABELS, ONE, OTHER, 4, samples=20_000)
    gain = (ONE == LABELS).astype(float) - (OTHER == LABELS)
    error = np.sqrt(sum(gain[c == LABELS].var() / SIZES[c] for c in range(4))) / 4
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.04)


def test_pairing_the_pictures_is_sharper_than_two_separate_intervals():
    paired = picture_difference(LABELS, ONE, OTHER, 4)
    apart = [picture_interval(LABELS, model, 4) for model in (ONE, OTHER)]
    unpaired = np.hypot(*[one.high - one.low for one in apart])
    assert paired.high - paired.low < 0.8 * unpaired


def test_swapping_the_models_mirrors_the_interval():
    there, back = (
        picture_difference(LABELS, *models, 4) for models in ((ONE, OTHER), (OTHER, ONE))
    )
    assert (back.value, back.low, back.high) == pytest.approx(
        (-there.value, -there.high, -there.low)
    )


def test_a_model_does_not_differ_from_itself():
    assert picture_difference(LABELS, ONE, ONE, 4) == (0, 0, 0)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_class_sizes_never_change_under_redraws(pairs):
    labels, predicted = np.array(pairs).T
    sizes = []
    picture_interval(
        labels,
        predicted,
        5,
        lambda confusion: sizes.append(confusion.sum(axis=1).tolist()) or 0.0,
        samples=100,
    )
    assert sizes == [np.bincount(labels, minlength=5).tolist()] * 101


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    first = picture_interval(LABELS, ONE, 4, samples=200)
    assert picture_interval(LABELS, ONE, 4, samples=200) == first
    assert picture_interval(LABELS, ONE, 4, samples=200, seed=1) != first


def test_more_confidence_is_wider():
    widths = [
        np.ptp(picture_interval(LABELS, ONE, 4, confidence=confidence)[1:])
        for confidence in (0.5, 0.9, 0.99)
    ]
    assert widths == sorted(widths)


@pytest.mark.parametrize("predicted", [LABELS, (LABELS + 1) % 4], ids=["all right", "none right"])
def test_what_no_redraw_can_change_has_a_point_as_interval(predicted):
    found = picture_interval(LABELS, predicted, 4, metrics.harmonic_mean_accuracy)
    assert found.low == found.value == found.high


def test_interval_covers_the_truth_even_where_the_metric_is_biased():
    """Percentile ends of the same redraws hold this true harmonic mean less than half the time."""
    metric = metrics.harmonic_mean_accuracy
    right, each = np.linspace(0.05, 0.9, 100), 100
    labels = np.repeat(np.arange(100), each)
    truth = 100 / np.sum(1 / right)
    random = np.random.default_rng(0)
    covered = []
    for _ in range(50):
        hit = random.random(labels.size) < right[labels]
        predicted = np.where(hit, labels, (labels + 1) % 100)
        found = picture_interval(labels, predicted, 100, metric, samples=200)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.88


@pytest.mark.parametrize("samples", [0, 99])
def test_too_few_redraws_are_refused(samples):
    with pytest.raises(UsageError, match=f"samples is {samples}"):
        picture_interval(LABELS, ONE, 4, samples=samples)


def test_a_confidence_that_is_no_share_is_refused():
    with pytest.raises(UsageError, match="confidence is 95"):
        picture_interval(LABELS, ONE, 4, confidence=95)


@pytest.mark.parametrize(
    ("labels", "predicted", "named"),
    [
        ([], [], "no test picture"),
        ([0, 1], [0], "2 labels but 1 predictions"),
        ([0, 4], [0, 0], r"outside 0\.\.3"),
        ([0.5, 1], [0, 0], "class ids"),
    ],
)
def test_pictures_that_cannot_be_judged_are_refused(labels, predicted, named):
    with pytest.raises(DataError, match=named):
        picture_interval(labels, predicted, 4)
    with pytest.raises(DataError, match=named):
        picture_difference(labels, predicted, predicted, 4)


@pytest.mark.parametrize(
    ("found", "samples", "told"),
    [
        ((0.04, -0.04, 0.08), [20] * 3, (0.04, 0, 0.08)),
        ((0.96, 0.9, 1.03), [20] * 3, (0.96, 0.9, 1)),
        ((0.5, 0.4, 0.6), [5, 5, 1], (0.5, 0.4, 0.6)),
        ((0.5, 0.4, 0.6), [4, 4, 100], None),
        ((0.5, 0.4, 0.6), [0, 0, 100], (0.5, 0.4, 0.6)),
        ((0.5, 0.5, 0.5), [20] * 3, None),
        ((0.3, 0.35, 0.6), [20] * 3, None),
    ],
)
def test_an_interval_is_told_within_its_limits_and_where_it_says_something(found, samples, told):
    assert telling(PictureInterval(*found), samples, 0, 1) == told
