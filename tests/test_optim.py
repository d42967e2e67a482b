"""The learning rate at any step, against the epochs the papers print; the optimiser."""

import itertools
import math

import pytest
import torch

from longtail.optim import (
    ParameterGroup,
    build_optimiser,
    forget_momenta,
    learning_rate,
    schedules,
    set_learning_rate,
    set_weight_decay,
)
from longtail.optim.settings import Settings

PER_EPOCH = 42
STEPS = 200 * PER_EPOCH


def rate(settings: Settings, epoch: int, step: int = 0) -> float:
    return learning_rate(settings, epoch * PER_EPOCH + step, STEPS)


def test_the_common_schedule_drops_tenfold_at_epochs_160_and_180():
    settings = Settings()
    assert rate(settings, 5) == 0.2
    assert rate(settings, 159, PER_EPOCH - 1) == 0.2
    assert rate(settings, 160) == pytest.approx(0.02)
    assert rate(settings, 179, PER_EPOCH - 1) == pytest.approx(0.02)
    assert rate(settings, 180) == pytest.approx(0.002)
    assert rate(settings, 199, PER_EPOCH - 1) == pytest.approx(0.002)


def test_warm_up_takes_five_of_two_hundred_epochs_and_the_first_step_moves():
    settings = Settings()
    assert rate(settings, 0) == pytest.approx(0.2 / (5 * PER_EPOCH))
    assert rate(settings, 2, PER_EPOCH // 2 - 1) == pytest.approx(0.1)
    assert rate(settings, 4, PER_EPOCH - 1) == pytest.approx(0.2)
    rising = [learning_rate(settings, step, STEPS) for step in range(5 * PER_EPOCH)]
    assert all(a < b for a, b in itertools.pairwise(rising))


@pytest.mark.parametrize("epochs", [1, 3, 20, 200])
def test_the_schedule_scales_with_the_run(epochs):
    settings = Settings()
    for progress in (0.03, 0.5, 0.79, 0.8, 0.85, 0.9, 0.99):
        expected = 0.2 * (0.1 if progress >= 0.8 else 1) * (0.1 if progress >= 0.9 else 1)
        step = round(progress * 1000 * epochs)
        assert learning_rate(settings, step, 1000 * epochs) == pytest.approx(expected)


def test_a_run_of_one_step_trains_at_the_full_rate():
    assert learning_rate(Settings(), 0, 1) == 0.2


def test_cosine_falls_from_the_full_rate_to_nearly_nothing():
    settings = Settings(schedule="cosine", warmup=0.0, lr=0.1)
    values = [learning_rate(settings, step, 100) for step in range(100)]
    expected = [0.05 * (1 + math.cos(math.pi * step / 100)) for step in range(100)]
    assert values == pytest.approx(expected)
    assert values[0] == 0.1
    assert 0 < values[-1] < 1e-4


def test_milestones_may_be_none_and_their_order_is_no_matter():
    assert schedules.step(0.95, (), 0.1) == 1
    assert schedules.step(0.95, (0.9, 0.8), 0.1) == pytest.approx(0.01)
    assert schedules.warmup(0.0, 0.0) == 1


def test_the_optimiser_follows_the_papers_update():
    settings = Settings(lr=0.1, momentum=0.9, weight_decay=0.01)
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimiser = build_optimiser([("w", weight)], settings)
    expected, momentum = weight.detach().clone(), torch.zeros(2, dtype=torch.float64)
    for gradient in (torch.tensor([0.5, 1.0]), torch.tensor([-1.0, 0.25])):
        weight.grad = gradient.double()
        optimiser.step()
        momentum = 0.9 * momentum + gradient.double() + 0.01 * expected
        expected = expected - 0.1 * momentum
        assert torch.allclose(weight, expected, rtol=1e-12, atol=0)


def test_nesterov_is_passed_on():
    weight = torch.nn.Parameter(torch.zeros(1))
    assert build_optimiser([("w", weight)], Settings(nesterov=True)).defaults["nesterov"]
    assert not build_optimiser([("w", weight)], Settings()).defaults["nesterov"]


def test_a_rate_is_set_in_its_place_where_it_is_a_tensor():
    plain = build_optimiser([("w", torch.nn.Parameter(torch.zeros(1)))], Settings(lr=0.1))
    set_learning_rate(plain, 0.25)
    assert plain.param_groups[0]["lr"] == 0.25
    rate = torch.tensor(0.1)
    plain.param_groups[0]["lr"] = rate
    set_learning_rate(plain, 0.5)
    assert plain.param_groups[0]["lr"] is rate
    assert rate.item() == 0.5


def test_a_group_has_its_own_rate_and_weight_decay():
    named = [
        (name, torch.nn.Parameter(torch.ones(1)))
        for name in ("body.weight", "experts.1.weight", "experts.10.weight", "head.bias")
    ]
    groups = (
        ParameterGroup("experts.1", lr=0.1),
        ParameterGroup("head.bias", weight_decay=0.0),
        ParameterGroup("absent"),
    )
    optimiser = build_optimiser(named, Settings(lr=0.2, weight_decay=0.5, momentum=0.0), groups)
    set_learning_rate(optimiser, 0.3)
    for _, parameter in named:
        parameter.grad = torch.zeros(1)  # weight decay alone moves it
    optimiser.step()
    moved = {name: 1 - parameter.item() for name, parameter in named}
    assert moved == pytest.approx(
        {
            "body.weight": 0.3 * 0.5,
            "experts.1.weight": 0.03 * 0.5,
            "experts.10.weight": 0.3 * 0.5,
            "head.bias": 0.0,
        },
        abs=1e-6,
    )
    set_weight_decay(optimiser, 1.0)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [1.0, 1.0, 0.0]


def test_forgotten_momenta_are_zeros_in_the_same_memory():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = build_optimiser([("w", weight)], Settings())
    weight.grad = torch.ones(1)
    optimiser.step()
    momentum = optimiser.state[weight]["momentum_buffer"]
    assert momentum.item() == 1
    forget_momenta(optimiser)
    assert optimiser.state[weight]["momentum_buffer"] is momentum
    assert momentum.item() == 0
