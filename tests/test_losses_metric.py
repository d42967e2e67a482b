"""Losses of distances beyond the contract suite: knobs, coincidence, rounding, refusals."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from longtail.errors import DataError, UsageError
from longtail.losses import (
    EmbeddingMarginLoss,
    embedding_margin_loss,
    prototype_loss,
    robust_centroid_loss,
)
from references import metric

COUNTS = [7, 500, 2, 31]  # in no order
LABELS = torch.tensor([1, 1, 0, 3, 1, 0])
EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def features(generator) -> Tensor:
    return torch.randn(6, 3, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("margin_tau", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_embedding_margins_equal_the_slow_loop_at_every_strength(features, margin_tau, distance):
    module = EmbeddingMarginLoss(COUNTS, margin_tau, distance)
    slow = getattr(metric, distance)
    expected = metric.embedding_margin(features, LABELS, COUNTS, margin_tau, slow)
    assert_close(module(features, LABELS), expected, **EXACT)


def test_a_rare_anchor_asks_for_more_room_than_a_frequent_one(features):
    def value(counts: list[int]) -> Tensor:
        mates = torch.tensor([0, 0, 1])  # only class 0 has anchors
        return embedding_margin_loss(features[:3], mates, torch.tensor(counts))

    assert value([2, 500]) > value([500, 500]) > value([500, 2])


def test_embedding_margins_hold_far_from_the_origin_in_float32(features):
    counts = torch.tensor(COUNTS)
    # A quarter is a step of float32 up to two million, so that no feature is rounded.
    near = (features.detach() * 4).round() / 4
    expected = embedding_margin_loss(near, LABELS, counts)
    far = embedding_margin_loss((near + 1e5).float(), LABELS, counts)
    assert_close(far.double(), expected, rtol=1e-5, atol=1e-6)


def test_an_unknown_distance_is_refused_with_the_known_ones(features):
    with pytest.raises(UsageError, match=r"distance is 'manhattan'.*'euclidean' or 'cosine'"):
        embedding_margin_loss(features, LABELS, torch.tensor(COUNTS), distance="manhattan")


def test_coinciding_features_have_a_finite_gradient(features):
    same = torch.ones(6, 3).requires_grad_()
    for loss in (
        embedding_margin_loss(same, LABELS, torch.tensor(COUNTS)),
        robust_centroid_loss(same, LABELS, torch.ones(4, 3), torch.ones(4)),
    ):
        (gradient,) = torch.autograd.grad(loss, same)
        assert torch.isfinite(gradient).all()


def test_a_feature_at_its_prototype_has_a_loss_below_zero():
    z, p = torch.eye(3), torch.eye(3)
    value = prototype_loss(z, torch.arange(3), p, temperature=0.1)
    assert value.item() == pytest.approx(-10 + torch.tensor(2.0).log().item())


def test_the_length_of_features_and_prototypes_does_not_matter_to_psc(features):
    prototypes = features[:4] + 1
    value = prototype_loss(features, LABELS, prototypes)
    assert_close(prototype_loss(3 * features, LABELS, 0.1 * prototypes), value, **EXACT)


def test_a_single_prototype_is_refused(features):
    with pytest.raises(DataError, match="There is 1 prototype"):
        prototype_loss(features, torch.zeros_like(LABELS), features[:1])


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_positive_is_refused(features, temperature):
    with pytest.raises(UsageError, match="temperature is"):
        prototype_loss(features, LABELS, features[:4], temperature=temperature)
    with pytest.raises(UsageError, match="temperature is"):
        robust_centroid_loss(features, LABELS, features[:4], torch.ones(4), temperature=temperature)


def test_only_the_radii_of_classes_in_the_batch_move_and_growing_them_costs(features):
    radii = torch.ones(4, dtype=torch.float64).requires_grad_()
    robust_centroid_loss(features, LABELS, torch.randn(4, 3).double(), radii).backward()
    assert ((radii.grad > 0) == torch.tensor([True, True, False, True])).all()


def test_a_radius_bounds_the_loss_of_every_mean_within_it(generator):
    """Two classes, one feature each: what the loss with radii is for."""
    h = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    labels, means = torch.arange(2), h + 0.1
    robust = robust_centroid_loss(h, labels, means, torch.tensor([0.8, 0.8]))
    for _ in range(50):
        step = torch.randn(2, 3, generator=generator, dtype=torch.float64)
        off = means + 0.4 * step / step.norm(dim=1, keepdim=True)
        assert robust_centroid_loss(h, labels, off, torch.zeros(2)) <= robust
