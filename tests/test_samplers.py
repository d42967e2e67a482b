"""Samplers are pure functions of labels, seed, epoch and progress, and draw what they promise."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.data.samplers import (
    SAMPLERS,
    Coverage,
    class_shares,
    coverage,
    coverage_line,
    instance,
    sampler,
)
from longtail.data.samplers.table import main, table
from longtail.errors import DataError, UsageError

checked = settings(derandomize=True, deadline=None, max_examples=40)
NAMES = (*SAMPLERS, "class-aware:1", "class-aware:7", "effective-number:0.9")
BALANCED = ("class-aware", "class-aware:7", "oversampling", "undersampling")
COUNTS = (600, 180, 0, 40, 9)  # no class 2
SMALL = torch.tensor([0, 0, 3, 0, 1, 0, 1, 0, 3, 0, 1, 0])
"""Seven of class 0, three of class 1, two of class 3."""

# seed 3, epoch 7, progress 0.25; the first is the order of the first version of longtail.
PINNED = {
    "instance": [0, 6, 1, 4, 7, 9, 5, 11, 2, 10, 3, 8],
    "class-balanced": [2, 2, 6, 6, 1, 2, 0, 11, 0, 8, 4, 8],
    "square-root": [10, 4, 0, 6, 8, 1, 8, 8, 9, 9, 0, 2],
    "progressive": [9, 4, 1, 0, 11, 7, 11, 11, 11, 6, 3, 5],
    "class-aware": [2, 8, 8, 2, 7, 9, 11, 1, 4, 10, 6, 6],
    "oversampling": [3, 6, 8, 1, 2, 4, 10, 2, 8, 7, 10, 0],
    "undersampling": [5, 2, 8, 4, 9, 6, 4, 5, 8, 9, 6, 2],
    "effective-number": [2, 0, 2, 10, 6, 6, 2, 8, 10, 10, 6, 7],
    "class-aware:2": [2, 8, 7, 9, 4, 10, 11, 1, 8, 2, 6, 6],
    "effective-number:0.5": [2, 0, 6, 10, 3, 6, 6, 8, 10, 9, 6, 7],
}


def labels_of(counts, *, seed: int = 0) -> torch.Tensor:
    """Labels with these counts in a random order."""
    draw = np.random.RandomState(seed)
    return torch.from_numpy(draw.permutation(np.repeat(np.arange(len(counts)), counts)))


LABELS = labels_of(COUNTS)
some_labels = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(torch.tensor)


def share(name: str, counts, progress: float) -> list[float]:
    """A sampler's shares as written in the papers, class by class."""
    base, _, beta = name.partition(":")
    present, total = sum(n > 0 for n in counts), sum(counts)
    roots = sum(math.sqrt(n) for n in counts)

    def effective(n: int) -> float:
        b = float(beta or 0.9999)
        return n * (1 - b) / (1 - b**n)

    formulas = {
        "instance": lambda n: n / total,
        "square-root": lambda n: math.sqrt(n) / roots,
        "progressive": lambda n: (1 - progress) * n / total + progress / present,
        "effective-number": lambda n: effective(n) / sum(effective(m) for m in counts if m),
    }
    formula = formulas.get(base, lambda n: 1 / present)
    return [formula(n) if n else 0.0 for n in counts]


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.95])
@pytest.mark.parametrize("name", NAMES)
def test_shares_are_the_formulas(name, progress):
    got = class_shares(name, COUNTS, progress)
    assert got.dtype == np.float64
    assert got.tolist() == pytest.approx(share(name, COUNTS, progress), rel=1e-12)
    assert got.sum() == pytest.approx(1)


def test_shares_by_hand():
    assert class_shares("effective-number:0.5", [2, 1, 0]).tolist() == pytest.approx(
        [4 / 7, 3 / 7, 0]
    )
    assert class_shares("square-root", [16, 4, 1]).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    assert class_shares("progressive", [3, 1], 0.5).tolist() == pytest.approx([0.625, 0.375])


def test_the_effective_number_goes_from_proportional_to_uniform():
    zero = class_shares("effective-number:0", COUNTS)
    assert zero.tolist() == pytest.approx(class_shares("instance", COUNTS).tolist())
    nearly_one = class_shares("effective-number:0.9999999", COUNTS)
    assert nearly_one.tolist() == pytest.approx(
        class_shares("class-balanced", COUNTS).tolist(), rel=1e-3
    )


def test_shares_of_a_sampler_need_counts():
    with pytest.raises(DataError, match="class_counts are all 0"):
        class_shares("instance", [0, 0])


@checked
@given(
    some_labels, st.sampled_from(NAMES), st.integers(0, 2**31), st.floats(0, 1, exclude_max=True)
)
def test_an_order_has_a_place_for_every_sample_and_only_samples_that_there_are(
    labels, name, seed, progress
):
    order = sampler(name)(labels, seed, 5, progress)
    assert order.dtype == torch.int64
    assert order.shape == labels.shape
    assert order.min() >= 0
    assert order.max() < len(labels)


@pytest.mark.parametrize("progress", [0.0, 0.6])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("instance", *BALANCED)])
def test_classes_are_drawn_by_their_shares(name, progress):
    epochs = 40
    orders = torch.cat([sampler(name)(LABELS, 0, epoch, progress) for epoch in range(epochs)])
    draws = torch.bincount(LABELS[orders], minlength=len(COUNTS)).numpy()
    shares, places = class_shares(name, COUNTS, progress), epochs * len(LABELS)
    deviations = np.sqrt(places * shares * (1 - shares))
    assert (np.abs(draws - places * shares) <= 3 * deviations).all()


@pytest.mark.parametrize("name", NAMES)
def test_within_a_class_every_sample_is_as_likely(name):
    labels = labels_of((12, 6, 3))
    orders = torch.stack([sampler(name)(labels, seed, 0, 0.5) for seed in range(300)])
    draws = torch.bincount(orders.flatten(), minlength=len(labels)).double()
    for label in range(3):
        own = draws[labels == label]
        assert ((own - own.mean()).abs() < 4 * own.mean().sqrt()).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_place_is_as_likely_for_every_sample_of_a_class(name):
    labels = torch.zeros(10, dtype=torch.int64)
    visits = torch.stack([sampler(name)(labels, seed, 0, 0.0) for seed in range(400)])
    counts = torch.stack([torch.bincount(column, minlength=10) for column in visits.T])
    assert ((counts - 40).abs() < 27).all()  # four and a half deviations of 6


@checked
@given(st.integers(1, 400), st.integers(0, 2**31), st.integers(0, 1000))
def test_the_instance_order_visits_every_sample_once(size, seed, epoch):
    order = instance(torch.zeros(size, dtype=torch.int64), seed, epoch, 0.0)
    assert sorted(order.tolist()) == list(range(size))


@checked
@given(some_labels, st.sampled_from([1, 2, 4, 7]), st.integers(0, 99))
def test_class_aware_takes_classes_in_turn_and_samples_from_lists_that_are_used_up(
    labels, run, seed
):
    order = sampler(f"class-aware:{run}")(labels, seed, 2, 0.0)
    present = set(labels.tolist())
    turns = labels[order].split(run)
    assert all(len(set(turn.tolist())) == 1 for turn in turns)
    classes = [int(turn[0]) for turn in turns]
    for start in range(0, len(classes), len(present)):
        once_round = classes[start : start + len(present)]
        assert len(set(once_round)) == len(once_round)
    for label in present:
        size = int((labels == label).sum())
        for used in order[labels[order] == label].split(size):
            assert len(set(used.tolist())) == len(used)


def test_class_aware_shuffles_classes_and_lists_each_time_round():
    order = sampler("class-aware:1")(torch.arange(400) % 20, 0, 0, 0.0)
    rounds = (order % 20).view(20, 20)
    assert len({tuple(once.tolist()) for once in rounds}) == 20
    lists = sampler("class-aware:1")(torch.tensor([0] * 76 + [1] * 4), 0, 0, 0.0)
    lists = lists[lists >= 76].view(10, 4)
    assert len({tuple(used.tolist()) for used in lists}) > 5


@checked
@given(some_labels, st.integers(0, 99))
def test_oversampling_draws_classes_and_their_samples_equally_often(labels, seed):
    order = sampler("oversampling")(labels, seed, 2, 0.0)
    per_class = Counter(labels[order].tolist())
    assert per_class.keys() == set(labels.tolist())  # also where n is not a multiple of the classes
    assert max(per_class.values()) - min(per_class.values()) <= 1
    for label in per_class:
        draws = torch.bincount(order, minlength=len(labels))[labels == label]
        assert draws.max() - draws.min() <= 1


def test_oversampling_gives_the_places_that_are_left_to_classes_by_chance():
    draws = sum(
        torch.bincount(SMALL[:11][sampler("oversampling")(SMALL[:11], 0, epoch, 0.0)], minlength=4)
        for epoch in range(200)
    )
    assert draws[2] == 0
    assert (draws[[0, 1, 3]] - 2200 / 3).abs().max() < 27  # four deviations of 6.7


def test_oversampling_mixes_the_classes():
    order = sampler("oversampling")(LABELS, 0, 0, 0.0)
    first_half = torch.bincount(LABELS[order[: len(order) // 2]], minlength=5)
    assert (first_half[[0, 1, 3, 4]] - len(order) / 8).abs().max() < 40  # four deviations of 9


@checked
@given(some_labels, st.integers(0, 99))
def test_undersampling_takes_the_smallest_number_of_every_class_each_pass(labels, seed):
    order = sampler("undersampling")(labels, seed, 2, 0.0)
    counts = Counter(labels.tolist())
    least = min(counts.values())
    *passes, last = order.split(least * len(counts))
    for drawn in passes:
        assert Counter(labels[drawn].tolist()) == dict.fromkeys(counts, least)
    for drawn in (*passes, last):
        assert len(set(drawn.tolist())) == len(drawn)


def test_undersampling_passes_over_one_subset_an_epoch_in_ever_new_orders():
    labels = labels_of((50, 5))
    passes = sampler("undersampling")(labels, 0, 0, 0.0)[:50].view(5, 10)
    assert len({tuple(drawn.tolist()) for drawn in passes}) == 5
    assert len({frozenset(drawn.tolist()) for drawn in passes}) == 1
    seen = torch.cat([sampler("undersampling")(labels, 0, epoch, 0.0)[:10] for epoch in range(60)])
    assert len(set(seen.tolist())) == 55  # every sample has its turn


@pytest.mark.parametrize("name", NAMES)
def test_the_order_depends_on_its_arguments_alone(name):
    first = sampler(name)(LABELS, 3, 7, 0.5)
    state = torch.random.get_rng_state()
    assert torch.equal(sampler(name)(LABELS, 3, 7, 0.5), first)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(5)
    assert torch.equal(sampler(name)(LABELS, 3, 7, 0.5), first)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_epochs_give_orders_that_have_nothing_in_common(name):
    labels = labels_of((700, 650, 600))
    orders = [sampler(name)(labels, seed, epoch, 0.0) for seed in (0, 1) for epoch in (0, 1, 2)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert (one == other).float().mean() < 0.01


def test_samplers_with_replacement_draw_independently_of_each_other():
    labels = labels_of((600, 300))
    one, other = (
        labels[sampler(name)(labels, 0, 0, 0.9)].double()
        for name in ("class-balanced", "progressive")
    )
    assert torch.corrcoef(torch.stack([one, other]))[0, 1].abs() < 0.1  # three deviations of 0.033


@pytest.mark.parametrize("name", NAMES)
def test_only_the_progressive_sampler_looks_at_progress(name):
    same = torch.equal(sampler(name)(LABELS, 0, 0, 0.0), sampler(name)(LABELS, 0, 0, 0.9))
    assert same == (name != "progressive")


@pytest.mark.parametrize("name", PINNED)
def test_orders_are_those_of_earlier_versions(name):
    assert sampler(name)(SMALL, 3, 7, 0.25).tolist() == PINNED[name]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_orders_are_the_same_on_a_gpu(name):
    there = sampler(name)(LABELS.cuda(), 3, 7, 0.25)
    assert there.is_cuda
    assert torch.equal(there.cpu(), sampler(name)(LABELS, 3, 7, 0.25))


def test_a_number_in_the_name_counts():
    for name, usual in (("class-aware", "4"), ("effective-number", "0.9999")):
        order = sampler(name)(LABELS, 0, 0, 0.0)
        assert torch.equal(sampler(f"{name}:{usual}")(LABELS, 0, 0, 0.0), order)
    assert not torch.equal(
        sampler("class-aware:4")(LABELS, 0, 0, 0.0), sampler("class-aware:3")(LABELS, 0, 0, 0.0)
    )


def test_a_run_longer_than_the_data_is_one_class():
    order = sampler(f"class-aware:{10**12}")(SMALL, 0, 0, 0.0)
    assert len(SMALL[order].unique()) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("instanc", r"Unknown sampler 'instanc'\. Did you mean 'instance'"),
        ("class-awar:4", r"Unknown sampler 'class-awar:4'\. Did you mean 'class-aware'"),
        ("", "Unknown sampler ''"),
        ("instance:3", r"'instance:3': instance takes no number; type instance\."),
        ("square-root:", "takes no number; type square-root"),
        ("class-aware:0", r"a whole number of at least 1; type e\.g\. class-aware:4"),
        ("class-aware:2.5", "'class-aware:2.5': after the colon stands how many samples"),
        ("class-aware:", "a whole number of at least 1"),
        ("class-aware:-1", "a whole number of at least 1"),
        (
            "effective-number:1",
            r"beta, at least 0 and below 1; type e\.g\. effective-number:0\.9999",
        ),
        ("effective-number:nan", "beta, at least 0 and below 1"),
        ("effective-number:-0.1", "beta, at least 0 and below 1"),
        ("effective-number:much", "beta, at least 0 and below 1"),
    ],
)
def test_a_name_that_does_not_fit_is_answered_with_what_to_type(name, message):
    with pytest.raises(UsageError, match=message):
        sampler(name)
    with pytest.raises(UsageError, match=message):
        class_shares(name, COUNTS)


@checked
@given(some_labels, st.sampled_from(NAMES))
def test_coverage_counts_draws_and_distinct_samples(labels, name):
    order = sampler(name)(labels, 0, 0, 0.5)
    covered = coverage(order, labels, 8)
    for label in range(8):
        drawn = [place for place in order.tolist() if labels[place] == label]
        assert covered.draws[label] == len(drawn)
        assert covered.distinct[label] == len(set(drawn))


@pytest.mark.parametrize(
    ("counts", "draws", "distinct", "line"),
    [
        (
            (5000, 50),
            (1241, 1241),
            (1100, 50),
            "Sampler x: an epoch draws 1,241 samples of each class, 22 % of the 5,000 of the "
            "largest (1.1 times each) and all 50 of the smallest (24.8 times each).",
        ),
        (
            (40, 2000, 0, 1000),
            (30, 1999, 0, 1011),
            (0, 1999, 0, 700),
            "Sampler x: an epoch draws 30 to 1,999 samples of each class, 99 % of the 2,000 of the "
            "largest (1.0 times each) and none of the 40 of the smallest.",
        ),
        (
            (1000, 7),
            (5, 2),
            (5, 1),
            "Sampler x: an epoch draws 2 to 5 samples of each class, under 1 % of the 1,000 of the "
            "largest (1.0 times each) and 14 % of the 7 of the smallest (2.0 times each).",
        ),
    ],
)
def test_coverage_in_a_sentence(counts, draws, distinct, line):
    covered = Coverage(torch.tensor(draws), torch.tensor(distinct))
    assert coverage_line("x", counts, covered) == line


def test_the_table_has_a_row_a_sampler_with_hand_made_numbers_for_instance_and_oversampling(capsys):
    main(["40", "2", "4"])
    first, *rows = capsys.readouterr().out.splitlines()
    assert first == "50 samples, 40 in the largest class, 10 in the last."
    assert rows == table(np.array([40, 10])).splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == [f"| {name}" for name in SAMPLERS]
    assert "| instance | 80.0% | 20.00% | 100% | 1.0 times | 100% |" in rows
    # 25 of the 40, and the 10 two and a half times each: 35 of 50 seen.
    assert "| oversampling | 50.0% | 50.00% | 62% | 2.5 times | 70% |" in rows


@pytest.mark.parametrize("arguments", [[], ["5000", "10"], ["many", "10", "100"]])
def test_the_table_says_what_to_type(arguments):
    with pytest.raises(UsageError, match=r"samplers\.table 5000 10 100"):
        main(arguments)
