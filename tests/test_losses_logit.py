"""Losses on logits beyond the contract suite: weights, knobs, post-hoc adjustment, invariance."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from longtail.errors import DataError, UsageError
from longtail.losses import (
    ClassBalancedFocalLoss,
    CrossEntropyLoss,
    LDAMLoss,
    balanced_softmax_loss,
    class_balanced_focal_loss,
    cross_entropy,
    ldam_loss,
    logit_adjusted_loss,
    posthoc_logit_adjustment,
)
from longtail.losses.counts import class_balanced_weights
from longtail.prior import effective_number_weights, ldam_margins, log_prior
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


def test_class_weights_are_those_of_torchs_weighted_mean(logits, labels):
    weights = torch.tensor([0.5, 2.0, 0.0, 3.0], dtype=torch.float64)
    expected = F.cross_entropy(logits, labels, weight=weights)
    assert_close(cross_entropy(logits, labels, weights), expected, **EXACT)
    assert_close(CrossEntropyLoss([0.5, 2.0, 0.0, 3.0])(logits, labels), expected, **EXACT)
    assert_close(cross_entropy(logits, labels, 7 * weights), expected, **EXACT)


def test_a_batch_of_classes_without_weight_is_a_zero_with_a_graph(logits):
    logits.requires_grad_()
    value = cross_entropy(logits, torch.zeros(5, dtype=torch.int64), torch.tensor([0.0, 1, 1, 1]))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros(5, 4))


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1.0, 2, 3], r"class_weights has shape \(3,\)"), ([1.0, 2, 3, -4], "reach down to -4.0")],
    ids=str,
)
def test_class_weights_that_do_not_fit_are_refused(logits, labels, weights, message):
    with pytest.raises(DataError, match=message):
        cross_entropy(logits, labels, torch.tensor(weights))


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_on_tensors_are_those_on_arrays(beta, dtype, tolerances):
    counts = [*COUNTS, 0, 100_000]
    found = class_balanced_weights(torch.tensor(counts), beta, dtype)
    expected = torch.from_numpy(effective_number_weights(counts, beta))
    assert found.dtype == dtype
    assert_close(found.double(), expected, **tolerances[dtype])


@pytest.mark.parametrize(("max_margin", "scale"), [(0.3, 10.0), (0.0, 30.0), (0.5, 1.0)])
@pytest.mark.parametrize("beta", [None, 0.99])
def test_ldam_equals_the_slow_loop_with_any_knobs(logits, labels, max_margin, scale, beta):
    module = LDAMLoss(COUNTS, max_margin, scale, beta)
    expected = logit.ldam(logits, labels, COUNTS, beta, max_margin, scale)
    assert_close(module(logits, labels), expected, **EXACT)


def test_ldam_without_a_margin_is_cross_entropy(logits, labels):
    value = ldam_loss(logits, labels, torch.tensor(COUNTS), max_margin=0.0)
    assert_close(value, cross_entropy(logits, labels), **EXACT)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("beta", [0.9, 0.999])
def test_focal_equals_the_slow_loop_with_any_knobs(logits, labels, beta, gamma):
    module = ClassBalancedFocalLoss(COUNTS, beta, gamma)
    expected = logit.class_balanced_focal(logits, labels, COUNTS, beta, gamma)
    assert_close(module(logits, labels), expected, **EXACT)


def test_focal_without_focus_or_weights_is_a_sum_of_sigmoid_cross_entropies(logits, labels):
    value = class_balanced_focal_loss(logits, labels, torch.tensor(COUNTS), beta=0.0, gamma=0.0)
    targets = F.one_hot(labels, 4).double()
    expected = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    assert_close(value, expected.sum(1).mean(), **EXACT)


@pytest.mark.parametrize(
    "make",
    [lambda: LDAMLoss(COUNTS, beta=1.0), lambda: ClassBalancedFocalLoss(COUNTS, beta=1.0)],
    ids=["ldam", "focal"],
)
def test_a_beta_of_one_is_refused(logits, labels, make):
    with pytest.raises(UsageError, match=r"beta is 1.0"):
        make()(logits, labels)


@pytest.mark.parametrize("counts", [[500, 60, 7], [3, 0, 1], [9, 9, 9]])
def test_ldams_margins_are_those_of_the_prior(counts):
    logits = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    margins = torch.from_numpy(ldam_margins(counts, 0.4))
    lowered = logits - 30 * F.one_hot(labels, 3) * margins[labels, None]
    found = ldam_loss(logits, labels, torch.tensor(counts), max_margin=0.4)
    assert found.item() == pytest.approx(F.cross_entropy(lowered, labels).item(), rel=1e-12)
