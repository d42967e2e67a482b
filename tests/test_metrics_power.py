"""How many seeds it takes, against simulation and against its own definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from longtail.errors import DataError, UsageError
from longtail.metrics import seeds_needed, smallest_difference

QUIET = settings(derandomize=True, deadline=None, max_examples=60)


@pytest.mark.parametrize(("n", "power"), [(2, 0.8), (3, 0.8), (5, 0.5), (10, 0.95)])
def test_the_smallest_difference_is_found_as_often_as_it_says(n, power):
    true = smallest_difference(0.01, n, power=power)
    drawn = np.random.default_rng(0).normal(true, 0.01, (20_000, n))
    found = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)
    assert found == pytest.approx(power, abs=0.01)


def test_the_smallest_difference_scales_and_tends_to_the_normal_one():
    assert smallest_difference(3.0, 4) == pytest.approx(3 * smallest_difference(1.0, 4))
    normal = (stats.norm.isf(0.025) + stats.norm.isf(0.2)) / np.sqrt(10_000)
    assert smallest_difference(1.0, 10_000) == pytest.approx(normal, rel=1e-3)
    assert smallest_difference(0.0, 3) == 0.0


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_more_seeds_show_smaller_differences_in_every_corner(confidence):
    for power in (0.6, 0.999):
        shown = [
            smallest_difference(1.0, n, power=power, confidence=confidence)
            for n in (2, 3, 4, 10, 100, 1000)
        ]
        assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize(
    ("wrong", "error", "named"),
    [
        ({"std": -1.0}, DataError, "deviation is -1"),
        ({"std": np.nan}, DataError, "deviation is nan"),
        ({"n": 1}, UsageError, "n is 1"),
        ({"power": 0.05}, UsageError, "power is 0.05"),
        ({"power": 1.0}, UsageError, "power is 1.0"),
    ],
)
def test_a_design_that_cannot_be_is_refused(wrong, error, named):
    with pytest.raises(error, match=named):
        smallest_difference(**{"std": 1.0, "n": 3} | wrong)


@pytest.mark.parametrize("confidence", [0, 1, 95, np.nan])
def test_a_confidence_that_is_no_share_is_refused(confidence):
    with pytest.raises(UsageError, match="confidence"):
        smallest_difference(1.0, 3, confidence=confidence)


@QUIET
@given(st.floats(0, 50), st.floats(0.05, 0.97), st.sampled_from([0.9, 0.95, 0.995]))
def test_one_seed_less_than_needed_shows_less(std, power, confidence):
    power = max(power, 1.001 - confidence)
    design = {"power": power, "confidence": confidence}
    n = seeds_needed(std, 1.0, **design)
    assert smallest_difference(std, n, **design) <= 1.0
    assert n == 2 or smallest_difference(std, n - 1, **design) > 1.0


def test_the_seeds_needed_find_the_difference_as_often_as_they_should():
    n = seeds_needed(1.5, 1.0)
    drawn = np.random.default_rng(0).normal(1.0, 1.5, (20_000, n))
    found = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)
    assert 0.79 < found < 0.83
    assert n == 20


def test_the_seeds_needed_depend_on_the_ratio_alone_however_large():
    assert seeds_needed(0.015, 0.01) == seeds_needed(1.5, 1.0)
    normal = ((stats.norm.isf(0.025) + stats.norm.isf(0.2)) * 1e6) ** 2
    assert seeds_needed(1.0, 1e-6) == pytest.approx(normal, rel=1e-3)


@pytest.mark.parametrize("difference", [0.0, -1.0, np.nan])
def test_no_number_of_seeds_finds_a_difference_that_is_none(difference):
    with pytest.raises(DataError, match="difference is"):
        seeds_needed(1.0, difference)
