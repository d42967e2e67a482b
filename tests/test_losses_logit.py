"""Losses on logits beyond the contract suite: strength, post-hoc adjustment, invariance."""

import pytest
import torch
from torch.testing import assert_close

from longtail.losses import (
    balanced_softmax_loss,
    cross_entropy,
    logit_adjusted_loss,
    posthoc_logit_adjustment,
)
from longtail.prior import log_prior
from references import logit

COUNTS = [7, 500, 2, 31]
EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def logits(generator) -> torch.Tensor:
    return torch.randn(5, 4, generator=generator, dtype=torch.float64)


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.tensor([1, 0, 2, 3, 1])


@pytest.mark.parametrize("la_tau", [0.0, 0.5, 1.0, 1.3, 2.0])
def test_logit_adjustment_equals_the_slow_loop_at_every_strength(logits, labels, la_tau):
    value = logit_adjusted_loss(logits, labels, torch.tensor(COUNTS), la_tau=la_tau)
    assert_close(value, logit.logit_adjustment(logits, labels, COUNTS, la_tau), **EXACT)


def test_strength_zero_is_cross_entropy_and_one_is_balanced_softmax(logits, labels):
    counts = torch.tensor(COUNTS)
    none, full = (logit_adjusted_loss(logits, labels, counts, la_tau=t) for t in (0.0, 1.0))
    assert_close(none, cross_entropy(logits, labels), **EXACT)
    assert_close(full, balanced_softmax_loss(logits, labels, counts), **EXACT)


@pytest.mark.parametrize("la_tau", [1.0, 1.3])
def test_posthoc_adjustment_takes_off_the_log_prior(logits, la_tau):
    adjusted = posthoc_logit_adjustment(logits, torch.tensor(COUNTS), la_tau=la_tau)
    expected = torch.tensor(logit.posthoc(logits, COUNTS, la_tau), dtype=torch.float64)
    assert_close(adjusted, expected, **EXACT)
    assert_close(adjusted, logits - la_tau * torch.from_numpy(log_prior(COUNTS)), **EXACT)


def test_posthoc_adjustment_undoes_what_training_adds(logits, labels):
    counts = torch.tensor(COUNTS)
    adjusted = posthoc_logit_adjustment(logits, counts, la_tau=1.3)
    value = logit_adjusted_loss(adjusted, labels, counts, la_tau=1.3)
    assert_close(value, cross_entropy(logits, labels), **EXACT)


def test_posthoc_adjustment_raises_a_rare_class_above_a_frequent_one():
    tied = torch.zeros(1, 2)
    assert posthoc_logit_adjustment(tied, torch.tensor([100, 1])).argmax() == 1


def test_posthoc_adjustment_takes_leading_axes_and_half_precision(logits):
    stacked = torch.stack([logits, logits]).half()
    adjusted = posthoc_logit_adjustment(stacked, torch.tensor(COUNTS))
    assert adjusted.dtype == torch.float32
    assert_close(adjusted[1], posthoc_logit_adjustment(logits.half(), torch.tensor(COUNTS)))


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_one_constant_on_all_logits_changes_nothing(logits, labels, shift):
    counts = torch.tensor(COUNTS)
    for loss in (cross_entropy, lambda f, y: balanced_softmax_loss(f, y, counts)):
        assert_close(loss(logits + shift, labels), loss(logits, labels), rtol=1e-9, atol=1e-9)
