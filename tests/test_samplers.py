"""Samplers are pure functions of labels, seed and epoch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.data.samplers import SAMPLERS, instance, sampler
from longtail.errors import UsageError

checked = settings(derandomize=True, deadline=None, max_examples=30)
LABELS = torch.arange(300) % 3


@checked
@given(st.integers(1, 400), st.integers(0, 2**31), st.integers(0, 1000))
def test_an_epoch_visits_every_sample_once(size, seed, epoch):
    order = instance(torch.zeros(size, dtype=torch.int64), seed, epoch)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(size))


def test_the_order_is_that_of_the_seed_and_the_epoch_alone():
    first = instance(LABELS, 3, 7)
    torch.manual_seed(5)
    torch.rand(9)
    assert torch.equal(instance(LABELS, 3, 7), first)
    assert torch.equal(instance(LABELS.flip(0), 3, 7), first)


def test_seeds_and_epochs_give_orders_that_have_nothing_in_common():
    orders = [instance(LABELS, seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert (one == other).float().mean() < 0.03
    assert not torch.equal(instance(LABELS, 0, 1), instance(LABELS, 1, 0))


def test_every_place_is_as_likely_for_every_sample():
    visits = torch.stack([instance(torch.zeros(10), seed, 0) for seed in range(2000)])
    counts = torch.stack([torch.bincount(column, minlength=10) for column in visits.T])
    assert ((counts - 200).abs() < 60).all()  # more than four deviations of 13.4


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_returns_positions_and_leaves_the_global_generator_alone(name):
    state = torch.random.get_rng_state()
    order = sampler(name)(LABELS, 0, 0)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert order.min() >= 0
    assert order.max() < len(LABELS)


def test_an_unknown_sampler_is_named_with_the_nearest():
    with pytest.raises(UsageError, match=r"Unknown sampler 'instanc'. Did you mean 'instance'"):
        sampler("instanc")
