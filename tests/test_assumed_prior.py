"""The prior that logits are under, against logits that minimise the loss exactly."""

import dataclasses

import numpy as np
import pytest
import torch

from longtail.data.samplers import class_shares
from longtail.errors import DataError
from longtail.losses import CrossEntropyLoss
from longtail.methods.assumed_prior import assumed_prior
from longtail.methods.resolve import resolve
from longtail.prior import effective_number_weights, log_prior
from longtail.recipe import DataInfo, Term

COUNTS = np.array([16, 144, 64, 16])  # in no order, with whole square roots
# p(x | y): three inputs, in quarters so that whole batches hold each pair in its exact share.
GIVEN_CLASS = np.array([[2, 1, 1], [1, 2, 1], [1, 1, 2], [2, 1, 1]]) / 4
SIZES = {"instance": 240, "square-root": 28 * 4, "class-balanced": 16, "class-aware": 16}


def recipe_of(method, **knobs):
    return resolve(method, DataInfo(COUNTS), knobs=knobs).recipe


def weighted(beta):
    """Cross-entropy with the class-balanced weights of Cui et al. 2019."""
    term = Term("logit", 1.0, CrossEntropyLoss(effective_number_weights(COUNTS, beta)))
    recipe = recipe_of("ce")
    return dataclasses.replace(
        recipe, stages=(dataclasses.replace(recipe.stages[0], terms=(term,)),)
    )


def population(sampler):
    """A batch (inputs, labels) that holds every (x, y) as often as the sampler draws it."""
    times = class_shares(sampler, COUNTS)[:, None] * GIVEN_CLASS * SIZES[sampler]
    np.testing.assert_allclose(times, times.round(), atol=1e-9)
    labels, inputs = np.indices(times.shape)
    number = times.round().astype(int).ravel()
    return (torch.from_numpy(np.repeat(a.ravel(), number)) for a in (inputs, labels))


def optimum(recipe):
    """Logits [x, y] that minimise the last stage's loss, as they are predicted with."""
    stage = recipe.stages[-1]
    (loss,) = (term.loss for term in stage.terms if term.reads == ("logits",))
    inputs, labels = population(stage.sampler)
    logits = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    steps = torch.optim.LBFGS(
        [logits],
        max_iter=2000,
        tolerance_grad=1e-11,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        steps.zero_grad()
        value = loss(logits[inputs], labels)
        value.backward()
        return value

    steps.step(closure)
    assert logits.grad.abs().max() < 1e-7
    found = logits.detach()
    return (recipe.posthoc(found) if recipe.posthoc else found).numpy()


def spread(of_rows):
    return np.ptp(of_rows, axis=1).max()


@pytest.mark.parametrize(
    ("recipe", "power"),
    [
        (recipe_of("ce"), 1.0),
        (recipe_of("ce", sampler="square-root"), 0.5),
        (recipe_of("ce", sampler="class-balanced"), 0.0),
        (recipe_of("logit-adjustment", la_tau=1.3), -0.3),
        (recipe_of("logit-adjustment", la_tau=0.4), 0.6),
        (recipe_of("logit-adjustment", la_tau=0.0, sampler="class-balanced"), 0.0),
        (recipe_of("logit-adjustment", la_tau=1.3, sampler="class-balanced"), -1.3),
        (recipe_of("rcl", la_tau=1.3), -0.3),
        (recipe_of("balanced-softmax"), 0.0),
        (recipe_of("balanced-softmax", sampler="square-root"), -0.5),
        (recipe_of("posthoc-logit-adjustment", la_tau=0.7), 0.3),
        (recipe_of("posthoc-logit-adjustment", la_tau=1.0, sampler="class-balanced"), -1.0),
        (recipe_of("crt"), 0.0),
        (recipe_of("hybrid-sc"), 0.0),
        (weighted(0.99), None),
        (weighted(0.0), 1.0),
    ],
)
def test_logits_at_the_optimum_are_under_the_prior_that_is_said(recipe, power):
    assumed = assumed_prior(recipe, COUNTS)
    assert assumed.reason == ""
    assert np.exp(assumed.log_prior).sum() == pytest.approx(1)
    left = optimum(recipe) - assumed.log_prior - np.log(GIVEN_CLASS.T)
    assert spread(left) < 1e-5
    if power is not None:
        assert np.ptp(assumed.log_prior - power * log_prior(COUNTS)) < 1e-9


def test_class_weights_multiply_the_prior():
    weights = effective_number_weights(COUNTS, 0.99)
    product = COUNTS * weights
    found = np.exp(assumed_prior(weighted(0.99), COUNTS).log_prior)
    np.testing.assert_allclose(found, product / product.sum())
    assert np.ptp(np.log(weights)) > 1  # else weights that are forgotten would pass


@pytest.mark.parametrize(
    "recipe", [recipe_of("ldam-drw", max_margin=0.05), recipe_of("cb-focal")], ids=["ldam", "focal"]
)
def test_no_prior_at_all_fits_the_optimum_of_margins_and_sigmoids(recipe):
    # Whatever the prior, it would add the same to all inputs.
    left = optimum(recipe) - np.log(GIVEN_CLASS.T)
    left -= left.mean(axis=1, keepdims=True)
    assert np.ptp(left, axis=0).max() > 0.02
    assert assumed_prior(recipe, COUNTS).log_prior is None


@pytest.mark.parametrize(
    ("method", "knobs", "reason"),
    [
        ("cb-focal", {}, "sigmoid"),
        ("ldam-drw", {}, "margins"),
        ("ldam-drw", {"beta": 0.0}, "margins"),
        ("ride", {}, "margins"),
        ("ride", {"routing": False}, "margins"),
        ("ace", {}, "rescaled to be averaged"),
        ("ncm", {}, "distances"),
        ("tau-norm", {}, "rescaled after training"),
        ("fcc", {}, "class factors"),
        ("rcl", {"compression": "before-head"}, "class factors"),
        ("balms", {}, "meta sampler"),
        ("lws", {}, "part of its classifier"),
        ("ce", {"sampler": "progressive"}, "changes as training goes on"),
        ("rcl", {"ce_weight": 0.0}, "teaches its classifier"),
    ],
)
def test_where_no_prior_follows_the_reason_is_said(method, knobs, reason):
    found = assumed_prior(recipe_of(method, **knobs), COUNTS)
    assert found.log_prior is None
    assert reason in found.reason
    assert len(found.reason) <= 80


def test_compression_in_the_contrastive_loss_leaves_logits_alone():
    assumed = assumed_prior(recipe_of("rcl", compression="keys"), COUNTS)
    assert assumed.reason == ""


def test_a_class_without_samples_counts_as_if_it_had_one():
    counts = np.array([5, 0, 2])
    recipe = resolve("ce", DataInfo(counts)).recipe
    found = assumed_prior(recipe, counts).log_prior
    np.testing.assert_allclose(found, log_prior([5, 1, 2]))
    with pytest.raises(DataError, match="class_counts"):
        assumed_prior(recipe, [0.5, 1])
