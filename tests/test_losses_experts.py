"""Losses of several experts beyond the contract suite: knobs, agreement, who is asked, refusals."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from longtail.errors import DataError, UsageError
from longtail.losses import (
    ComplementaryExpertsLoss,
    DistillationLoss,
    EachExpert,
    ExpertDiversityLoss,
    LDAMLoss,
    RoutingLoss,
    complementary_experts_loss,
    cross_entropy,
    distillation_loss,
    expert_diversity,
    routing_loss,
)
from references import experts

COUNTS = [7, 500, 2, 31]  # in no order
LABELS = torch.tensor([1, 1, 0, 3, 1])
EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def logits(generator) -> Tensor:
    return torch.randn(5, 3, 4, generator=generator, dtype=torch.float64).requires_grad_()


def test_each_expert_has_a_loss_of_its_own(logits):
    ldam = LDAMLoss(COUNTS)
    expected = ldam(logits[:, 0], LABELS) + ldam(logits[:, 1], LABELS) + ldam(logits[:, 2], LABELS)
    assert_close(EachExpert(ldam)(logits, LABELS), expected, **EXACT)


def test_experts_that_agree_have_no_diversity_and_no_gradient(logits):
    alike = logits[:, :1].expand(-1, 3, -1)
    value = expert_diversity(alike, LABELS)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize("factor", [0.02, 0.5, 1.0])
def test_diversity_follows_the_counts_as_the_slow_loop_does(logits, factor):
    value = ExpertDiversityLoss(COUNTS, factor)(logits, LABELS)
    expected = experts.diversity(logits, experts.temperatures(COUNTS, factor))
    assert_close(value, expected, **EXACT)


def test_without_a_factor_and_with_a_factor_of_zero_all_temperatures_are_one(logits):
    value = expert_diversity(logits, LABELS)
    for factor in (None, 0.0):
        assert_close(ExpertDiversityLoss(COUNTS, factor)(logits, LABELS), value, **EXACT)


def test_temperatures_that_do_not_fit_are_refused(logits):
    with pytest.raises(DataError, match=r"temperatures has shape \(3,\)"):
        expert_diversity(logits, LABELS, torch.ones(3))


def test_distillation_takes_one_classifier_or_the_mean_of_experts(logits):
    teacher = torch.zeros(5, 4, dtype=torch.float64)
    value = distillation_loss(logits, LABELS, teacher)
    assert_close(distillation_loss(logits.mean(1), LABELS, teacher), value, **EXACT)


def test_a_student_that_knows_it_all_has_nothing_to_distil(logits):
    teacher = logits.mean(1).detach() + 3  # a constant on all logits says nothing
    value = distillation_loss(logits, LABELS, teacher)
    assert value.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 1.5, 4.0])
def test_distillation_equals_the_slow_loop_at_every_temperature(logits, temperature):
    teacher = logits.detach()[:, 0].flip(0)
    value = DistillationLoss(temperature)(logits, LABELS, teacher)
    assert_close(value, experts.distillation(logits, teacher, temperature), **EXACT)


def test_a_temperature_that_is_not_positive_is_refused(logits):
    with pytest.raises(UsageError, match="temperature is"):
        distillation_loss(logits, LABELS, logits[:, 0], temperature=0.0)


def test_experts_that_own_everything_are_experts_with_a_loss_each(logits):
    everything = torch.ones(3, 4, dtype=torch.bool)
    value = complementary_experts_loss(logits, LABELS, everything)
    expected = sum(cross_entropy(logits[:, m], LABELS) for m in range(3))
    assert_close(value, expected, **EXACT)


def test_an_expert_without_a_sample_only_keeps_out_of_the_others_classes(logits):
    owned = torch.zeros(3, 4, dtype=torch.bool)
    owned[2, 2] = True  # the only class that is not in the batch
    value = complementary_experts_loss(logits, LABELS, owned)
    foreign = logits.square().sum() - logits[:, 2, 2].square().sum()
    assert_close(value, foreign / 5, **EXACT)
    (gradient,) = torch.autograd.grad(value, logits)
    assert torch.equal(gradient[:, 2, 2], torch.zeros(5))


def test_an_expert_learns_nothing_of_its_own_classes_from_foreign_samples(logits):
    owned = torch.ones(3, 4, dtype=torch.bool)
    owned[1, 1] = False
    value = complementary_experts_loss(logits, LABELS, owned)
    (gradient,) = torch.autograd.grad(value, logits)
    foreign = gradient[LABELS == 1, 1]
    assert torch.equal(foreign[:, [0, 2, 3]], torch.zeros(3, 3))
    assert (foreign[:, 1] != 0).all()


@pytest.mark.parametrize(
    "owned", [torch.ones(3, 4), torch.ones(2, 4, dtype=torch.bool)], ids=["float", "two experts"]
)
def test_owners_that_do_not_fit_are_refused(logits, owned):
    with pytest.raises(DataError, match=r"owned is .*expected torch.bool of shape \(3, 4\)"):
        complementary_experts_loss(logits, LABELS, owned)


def test_owners_may_be_given_as_lists(logits):
    owned = [[True] * 4, [False, True, False, True], [False, False, False, True]]
    value = ComplementaryExpertsLoss(owned)(logits, LABELS)
    assert_close(value, complementary_experts_loss(logits, LABELS, torch.tensor(owned)), **EXACT)


@pytest.mark.parametrize(
    ("votes", "asks"),
    [
        ([1, 1, 1], [False, False]),  # right at once
        ([0, 0, 0], [False, False]),  # never right
        ([0, 5, 0], [True, False]),  # right with the second
        ([0, 0, 9], [True, True]),  # right with the third
        ([5, -9, 9], [False, True]),  # right, then misled, then right
    ],
    ids=str,
)
def test_asking_on_is_wanted_where_it_would_help(votes, asks):
    """Each expert gives the true class, 1, so much more than 2 of class 0's on the first."""
    f = torch.tensor([[[0.5, float(v)] for v in votes]])
    f[0, 0, 0] = 0.9
    score = torch.zeros(1, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(routing_loss(score, torch.tensor([1]), f), score)
    assert (gradient < 0).tolist() == [asks]


@pytest.mark.parametrize("positive_weight", [1.0, 10.0])
def test_the_weight_of_samples_that_should_ask_on_is_passed_on(positive_weight):
    f, label = torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]), torch.tensor([1])
    value = RoutingLoss(positive_weight)(torch.zeros(1, 1), label, f)
    assert value.item() == pytest.approx(positive_weight * 0.6931, rel=1e-4)


def test_routing_teaches_the_experts_nothing(logits):
    score = torch.zeros(5, 2, dtype=torch.float64, requires_grad=True)
    value = routing_loss(score, LABELS, logits)
    gradient = torch.autograd.grad(value, logits, allow_unused=True)
    assert gradient == (None,)


def test_a_score_too_many_is_refused(logits):
    with pytest.raises(DataError, match=r"routing has shape \(5, 3\); expected \(5, 2\)"):
        routing_loss(torch.zeros(5, 3), LABELS, logits)
