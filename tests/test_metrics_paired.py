"""Statistics over seeds against scipy, their definitions, and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from longtail.errors import DataError, UsageError
from longtail.metrics import (
    AFTER_HOLM,
    BOOTSTRAP_FROM,
    NO_EVIDENCE,
    RANKED_FROM,
    Paired,
    bootstrap_interval,
    compare_all,
    holm,
    is_ranked,
    paired_difference,
    paired_interval,
    seeds_needed,
    sensitivity,
    shared_differences,
    smallest_difference,
    spread,
    verdict,
)

OURS = {0: 0.531, 1: 0.522, 2: 0.545, 3: 0.530}
BASE = {0: 0.503, 1: 0.511, 2: 0.520, 3: 0.512}
SHARES = st.floats(0, 1)
QUIET = settings(derandomize=True, deadline=None, max_examples=60)


def with_interval(low, high, n=3, p=0.01):
    """A comparison with these ends; the rest of it as little as a verdict needs."""
    return Paired(n, (low + high) / 2, 0.01, low, high, p, confidence=0.95)


def by_seed(values):
    return dict(enumerate(values))


def holm_by_closed_testing(p_values):
    """Largest Bonferroni p over all sets of hypotheses that hold this one: Holm's by definition."""
    everyone = range(len(p_values))
    sets = [s for size in everyone for s in itertools.combinations(everyone, size + 1)]
    bonferroni = {s: min(1.0, len(s) * min(p_values[i] for i in s)) for s in sets}
    return [max(p for s, p in bonferroni.items() if i in s) for i in everyone]


def test_spread_is_the_mean_and_the_sample_deviation():
    assert spread([1.0, 2.0, 6.0]) == (3.0, pytest.approx(np.sqrt(14 / 2), abs=1e-15), 3)


def test_one_value_has_a_mean_but_no_spread():
    assert spread([0.5]) == (0.5, None, 1)


@pytest.mark.parametrize("values", [[], [0.5, np.nan], [np.inf]])
def test_spread_of_nothing_or_of_no_number_is_refused(values):
    with pytest.raises(DataError, match="finite numbers"):
        spread(values)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_difference_equals_scipys_paired_t_test(confidence):
    found = paired_difference(OURS, BASE, confidence=confidence)
    theirs = stats.ttest_rel(list(OURS.values()), list(BASE.values()))
    low, high = theirs.confidence_interval(confidence)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.n, found.confidence) == (4, confidence)


@QUIET
@given(st.lists(st.tuples(SHARES, SHARES), min_size=2, max_size=8))
def test_interval_excludes_zero_exactly_where_p_is_below_its_level(pairs):
    found = paired_difference(by_seed(a for a, _ in pairs), by_seed(b for _, b in pairs))
    if found.p is not None and abs(found.p - 0.05) > 1e-9:
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


@QUIET
@given(st.lists(st.tuples(SHARES, SHARES), min_size=2, max_size=8))
def test_swapping_the_methods_mirrors_the_difference(pairs):
    first, second = by_seed(a for a, _ in pairs), by_seed(b for _, b in pairs)
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert back.mean == -there.mean
    assert (back.std, back.p) == (there.std, there.p)
    if there.low is not None:
        assert (back.low, back.high) == (-there.high, -there.low)


def test_only_shared_seeds_count_and_their_order_does_not():
    shuffled = {9: 0.99, 3: 0.530, 1: 0.522, 0: 0.531, 2: 0.545}
    assert paired_difference(shuffled, BASE | {7: 0.01}) == paired_difference(OURS, BASE)


def test_what_both_methods_owe_to_the_seed_cancels():
    luck = {0: 0.2, 1: -0.1, 2: 0.05, 3: 0.0}
    lucky = [{seed: values[seed] + luck[seed] for seed in luck} for values in (OURS, BASE)]
    assert paired_difference(*lucky) == pytest.approx(paired_difference(OURS, BASE))


def test_one_shared_seed_gives_a_difference_and_nothing_else():
    found = paired_difference({4: 0.75}, {4: 0.5, 5: 0.1})
    assert found == Paired(1, 0.25, None, None, None, None, 0.95)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_equal_differences_are_one_observation_whatever_their_rounding(n):
    base = {seed: 0.09 * seed for seed in range(n)}
    ours = {seed: value + 0.02 for seed, value in base.items()}
    assert np.ptp(shared_differences(ours, base)) > 0
    found = paired_difference(ours, base)
    assert found == Paired(n, pytest.approx(0.02), 0.0, None, None, None, 0.95)


def test_a_tiny_spread_is_still_a_spread():
    found = paired_difference({0: 0.5, 1: 0.5 + 1e-12, 2: 0.5}, {0: 0.4, 1: 0.4, 2: 0.4})
    assert found.std > 0
    assert 0 < found.p < 1e-9


def test_no_shared_seed_is_named_with_both_sides_seeds():
    with pytest.raises(DataError, match=r"seeds \[0, 1\], the other \[2\]"):
        paired_difference({1: 0.5, 0: 0.5}, {2: 0.5})


@pytest.mark.parametrize("broken", [np.nan, np.inf, None])
def test_a_value_that_is_no_number_is_named_by_its_seed(broken):
    with pytest.raises(DataError, match="seed 7"):
        shared_differences({3: 0.5, 7: broken}, {3: 0.4, 7: 0.4})


def test_a_broken_value_outside_the_shared_seeds_does_no_harm():
    assert paired_difference(OURS | {8: np.nan}, BASE) == paired_difference(OURS, BASE)


@pytest.mark.parametrize("confidence", [0, 1, 95, np.nan])
def test_a_confidence_that_is_no_share_is_refused(confidence):
    for call in (
        lambda: paired_difference(OURS, BASE, confidence=confidence),
        lambda: bootstrap_interval(np.arange(10.0), confidence=confidence),
    ):
        with pytest.raises(UsageError, match="confidence"):
            call()


@pytest.mark.parametrize("n", [3, 5])
def test_interval_covers_the_true_difference_as_often_as_it_says(n):
    random = np.random.default_rng(0)
    ours, base = random.normal([[0.02], [0.0]], 0.01, (1500, 2, n)).swapaxes(0, 1)
    found = [paired_difference(by_seed(a), by_seed(b)) for a, b in zip(ours, base, strict=True)]
    covered = np.mean([one.low <= 0.02 <= one.high for one in found])
    assert covered == pytest.approx(0.95, abs=0.017)  # three standard errors


def test_bootstrap_agrees_with_scipys_percentile_interval():
    differences = np.random.default_rng(3).normal(0.01, 0.02, 12)
    found = bootstrap_interval(differences, samples=100_000)
    theirs = stats.bootstrap(
        (differences,), np.mean, n_resamples=100_000, method="percentile", random_state=9
    ).confidence_interval
    assert found == pytest.approx((theirs.low, theirs.high), abs=2e-4)


def test_bootstrap_is_the_same_each_time_and_for_any_order_of_the_seeds():
    differences = np.random.default_rng(0).normal(size=BOOTSTRAP_FROM)
    assert bootstrap_interval(differences) == bootstrap_interval(differences[::-1])


def test_bootstrap_of_equal_differences_is_a_point():
    assert bootstrap_interval(np.full(10, 0.25)) == (0.25, 0.25)


def test_bootstrap_over_too_few_seeds_is_refused():
    with pytest.raises(UsageError, match="9 seeds are too few"):
        bootstrap_interval(np.arange(BOOTSTRAP_FROM - 1.0))


@QUIET
@given(st.lists(SHARES, min_size=1, max_size=6))
def test_holm_equals_closed_testing(p_values):
    assert holm(p_values) == pytest.approx(holm_by_closed_testing(p_values), abs=1e-15)


@QUIET
@given(st.lists(SHARES | st.none(), max_size=8))
def test_holm_keeps_places_order_and_limits(p_values):
    adjusted = holm(p_values)
    assert [p is None for p in adjusted] == [p is None for p in p_values]
    tested = sorted((p, a) for p, a in zip(p_values, adjusted, strict=True) if p is not None)
    assert all(p <= a <= 1 for p, a in tested)
    assert all(first[1] <= second[1] for first, second in itertools.pairwise(tested))


def test_holm_treats_ties_alike_and_leaves_one_test_alone():
    assert holm([0.02, 0.02, 0.02]) == pytest.approx([0.06] * 3)
    assert holm([None, 0.03, None]) == [None, 0.03, None]
    assert holm([]) == []


@pytest.mark.parametrize("broken", [-0.1, 1.1, np.nan])
def test_holm_refuses_what_is_no_p_value(broken):
    with pytest.raises(DataError, match="no p-values"):
        holm([0.5, broken])


@pytest.mark.parametrize(
    ("paired", "adjusted_p", "words"),
    [
        (with_interval(0.01, 0.03), None, "better"),
        (with_interval(-0.03, -0.01), None, "worse"),
        (with_interval(0.01, 0.03), 0.049, "better"),
        (with_interval(0.01, 0.03), 0.051, AFTER_HOLM),
        (with_interval(-0.03, -0.01), 0.051, AFTER_HOLM),
        (with_interval(-0.01, 0.03), None, NO_EVIDENCE),
        (with_interval(0.0, 0.03), None, NO_EVIDENCE),
        (with_interval(-0.03, 0.0), None, NO_EVIDENCE),
        (with_interval(0.01, 0.03, n=2), None, "2 seeds: not ranked"),
        (paired_difference({0: 0.9}, {0: 0.1}), None, "1 seed: not ranked"),
    ],
)
def test_verdict_in_words(paired, adjusted_p, words):
    assert verdict(paired, adjusted_p) == words
    assert is_ranked(paired, adjusted_p) == (words in {"better", "worse"})


def test_the_level_of_the_adjusted_p_is_the_intervals():
    strict = with_interval(0.01, 0.03)._replace(confidence=0.99)
    assert verdict(strict, 0.02) == AFTER_HOLM
    assert verdict(strict, 0.009) == "better"


def test_seeds_that_change_nothing_rank_nothing():
    same = {seed: 0.5 for seed in range(RANKED_FROM)}
    higher = {seed: 0.625 for seed in same}
    assert verdict(paired_difference(higher, same)) == "no spread between seeds: not ranked"
    assert verdict(paired_difference(same, same)) == NO_EVIDENCE


def test_equal_methods_are_called_different_about_once_in_twenty():
    drawn = np.random.default_rng(1).normal(size=(1500, RANKED_FROM))
    nothing = by_seed([0.0] * RANKED_FROM)
    ranked = np.mean([is_ranked(paired_difference(by_seed(row), nothing)) for row in drawn])
    assert ranked == pytest.approx(0.05, abs=0.017)


def test_what_seeds_could_have_shown():
    nothing = dict.fromkeys(range(4), 0.0)
    rows = [{0: 0.1, 1: 0.3, 2: 0.2}, {0: 0.1, 1: 0.1, 2: 0.4, 3: 0.9}, nothing]
    found = compare_all([(row, nothing) for row in rows])
    could = sensitivity(found)
    deviation = math.sqrt((0.1**2 + np.var([0.1, 0.1, 0.4, 0.9], ddof=1)) / 2)
    assert could.seeds == 3
    assert could.deviation == pytest.approx(deviation)
    assert could.least == pytest.approx(smallest_difference(deviation, 3, confidence=0.975))
    assert could.seeds_for(0.25) == seeds_needed(deviation, 0.25, confidence=0.975) > RANKED_FROM
    assert seeds_needed(deviation, 10.0, confidence=0.975) < could.seeds_for(10.0) == RANKED_FROM
    many = seeds_needed(deviation, 0.01, confidence=0.975)
    assert could.seeds_for(0.01) == round(many, 2 - len(str(many))) != many
    assert sensitivity(compare_all([({0: 0.1}, nothing)])) is None


def test_two_seeds_ask_nothing_of_the_others():
    base = dict.fromkeys(range(3), 0.0)
    alone, few = {0: 0.3, 1: 0.2, 2: 0.25}, {0: 0.1, 1: 0.2}
    both = compare_all([(alone, base), (few, base)])
    assert both[0] == compare_all([(alone, base)])[0]
    assert both[1].adjusted is None


def test_several_are_corrected_together_and_each_over_its_own_seeds():
    base = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4}
    first, second = {0: 0.2, 1: 0.35, 2: 0.5}, {1: 0.3, 2: 0.35, 3: 0.6, 9: 0.9}
    found = compare_all([(first, base), ({}, base), (second, base), (first, second)])
    pairs = [(first, base), (second, base), (first, second)]
    tested = [paired_difference(*pair) for pair in pairs]
    assert [each.paired for each in found] == [tested[0], None, *tested[1:]]
    expected = holm([tested[0].p, None, tested[1].p, None])
    assert [each.adjusted for each in found] == expected
    assert [each.words for each in found][1:] == [
        "no shared seed: not ranked",
        verdict(tested[1], expected[2]),
        "2 seeds: not ranked",
    ]


def test_the_paired_interval_covers_as_it_says():
    """Exactly: over every outcome of n samples, weighted by its probability."""
    n = 25
    outcomes = [(g, lost) for g in range(n + 1) for lost in range(n + 1 - g)]
    gained, lost = np.array(outcomes).T
    low, high = paired_interval(gained, lost, n)
    for gain, loss in [(0.1, 0.1), (0.3, 0.1), (0.05, 0.25), (0.4, 0.4), (0.02, 0.01)]:
        weights = stats.multinomial.pmf(
            np.column_stack([gained, lost, n - gained - lost]), n, [gain, loss, 1 - gain - loss]
        )
        inside = (low <= gain - loss) & (gain - loss <= high)
        assert weights[inside].sum() > 0.93


def test_the_paired_interval_turns_round_with_its_models():
    low, high = paired_interval([0, 5, 30], [0, 1, 0], [10, 20, 30])
    back_low, back_high = paired_interval([0, 1, 0], [0, 5, 30], [10, 20, 30])
    assert np.allclose(low, -back_high)
    assert np.allclose(high, -back_low)
    assert high[2] == pytest.approx(1, abs=0.05)
    assert (low < high).all()


@pytest.mark.parametrize("counts", [(-1, 0, 5), (0, -1, 5), (3, 3, 5)])
def test_more_changes_than_samples_are_refused(counts):
    with pytest.raises(DataError, match="at most total"):
        paired_interval(*counts)
