"""The contrastive family beyond the catalogue's entries: every switch, Eq. 6, compression."""

import itertools
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from longtail.losses import ContrastiveLoss, contrastive_loss
from loss_batches import WAYS, computed
from references import contrastive

COUNTS = [7, 500, 2, 31]  # in no order
LABELS = [1, 1, 0, 3, 1, 0, 2]  # the last has no mate
EXACT = {"rtol": 1e-10, "atol": 1e-10}
SWITCHES = list(itertools.product([False, True], repeat=3))


@pytest.fixture(params=WAYS, autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    with computed(request.param):
        yield request.param


def problem(labels: list[int] = LABELS, seed: int = 0, classes: int = 4):
    """Features and prototypes that collect gradients, and labels."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(len(labels) + classes, 3, generator=generator, dtype=torch.float64)
    features, prototypes = drawn[: len(labels)].clone(), drawn[len(labels) :].clone()
    return features.requires_grad_(), torch.tensor(labels), prototypes.requires_grad_()


def assert_same_loss(value: Tensor, expected: Tensor, *inputs: Tensor | None) -> None:
    """Equal value and equal gradient of each input."""
    leaves = [x for x in inputs if x is not None]
    assert_close(value, expected, **EXACT)
    grads = torch.autograd.grad(value, leaves)
    for grad, reference in zip(grads, torch.autograd.grad(expected, leaves), strict=True):
        assert_close(grad, reference, **EXACT)


@pytest.mark.parametrize(("complement", "average", "rebalance"), SWITCHES)
@pytest.mark.parametrize("labels", [LABELS, [0, 0, 0], [1], [0, 1, 2, 3]], ids=str)
def test_each_combination_of_switches_equals_the_slow_loop(complement, average, rebalance, labels):
    features, y, prototypes = problem(labels)
    centres = prototypes if complement else None
    counts = COUNTS if rebalance else None
    value = contrastive_loss(
        features,
        y,
        centres,
        class_counts=None if counts is None else torch.tensor(counts),
        class_average=average,
        temperature=0.2,
    )
    expected = contrastive.family(features, y, centres, counts, average, 0.2)
    assert_same_loss(value, expected, features, centres)


@pytest.mark.parametrize("scale_on", ["both", "anchors", "keys"])
@pytest.mark.parametrize(("complement", "average", "rebalance"), SWITCHES)
def test_compression_equals_the_slow_loop(complement, average, rebalance, scale_on):
    features, y, prototypes = problem()
    centres, counts = prototypes if complement else None, COUNTS if rebalance else None
    scale = [0.5, 1.0, 0.005, 2.0]
    value = contrastive_loss(
        features,
        y,
        centres,
        class_counts=None if counts is None else torch.tensor(counts),
        class_average=average,
        temperature=0.2,
        class_scale=torch.tensor(scale, dtype=torch.float64),
        scale_on=scale_on,
    )
    expected = contrastive.family(features, y, centres, counts, average, 0.2, scale, scale_on)
    assert_same_loss(value, expected, features, centres)


@pytest.mark.parametrize("scale_on", ["both", "anchors", "keys"])
def test_a_scale_of_one_changes_nothing(scale_on):
    features, y, prototypes = problem()
    knobs = {"class_counts": torch.tensor(COUNTS), "class_average": True}
    scaled = contrastive_loss(
        features, y, prototypes, class_scale=torch.ones(4), scale_on=scale_on, **knobs
    )
    plain = contrastive_loss(features, y, prototypes, **knobs)
    assert_same_loss(scaled, plain, features, prototypes)


def test_compression_is_the_temperature_its_docstring_says():
    """One class, all scaled by a: both sides see temperature / a**2, one side temperature / a."""
    features, y, _ = problem([0, 0, 0, 0], classes=1)
    a = torch.tensor([0.5], dtype=torch.float64)
    for scale_on, divisor in (("both", 0.25), ("anchors", 0.5), ("keys", 0.5)):
        scaled = contrastive_loss(features, y, class_scale=a, scale_on=scale_on, temperature=0.3)
        warmer = contrastive_loss(features, y, temperature=0.3 / divisor)
        assert_same_loss(scaled, warmer, features)


def test_the_module_passes_every_switch_on():
    features, y, prototypes = problem()
    scale = torch.tensor([0.5, 1.0, 0.1, 1.0], dtype=torch.float64)
    switches = {"class_average": True, "scale_on": "keys", "normalize": False}
    module = ContrastiveLoss(COUNTS, 0.3, rebalance=True, **switches)
    function = contrastive_loss(
        features,
        y,
        prototypes,
        class_counts=torch.tensor(COUNTS),
        temperature=0.3,
        class_scale=scale,
        **switches,
    )
    assert_same_loss(module(features, y, prototypes, scale), function, features, prototypes)


@settings(
    max_examples=50,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    counts=st.lists(st.integers(1, 5000), min_size=4, max_size=4),
    temperature=st.floats(0.1, 2.0),
    seed=st.integers(0, 99),
)
def test_the_margin_form_equals_the_softmax_form(labels, counts, temperature, seed):
    """Eq. 6 is Eq. 4."""
    features, y, _ = problem(labels, seed)
    value = contrastive_loss(
        features, y, class_counts=torch.tensor(counts), temperature=temperature
    )
    expected = contrastive.rcl_margins(features, y, counts, temperature)
    assert_same_loss(value, expected, features)


def test_rows_are_normalised_unless_told_otherwise():
    features, y, prototypes = problem()
    usual = contrastive_loss(features, y, prototypes, num_classes=4)
    longer = contrastive_loss(3 * features, y, 5 * prototypes, num_classes=4)
    assert_close(longer, usual, **EXACT)
    unit = [torch.stack(contrastive.unit(x.detach())) for x in (features, prototypes)]
    assert_close(contrastive_loss(unit[0], y, unit[1], normalize=False), usual, **EXACT)
    taken_as_is = contrastive_loss(3 * unit[0], y, temperature=0.9, normalize=False)
    assert_close(taken_as_is, contrastive_loss(unit[0], y, temperature=0.1), **EXACT)


def test_the_number_of_classes_does_not_matter_without_counts_and_prototypes():
    features, y, _ = problem()
    few, many = (contrastive_loss(features, y, num_classes=c) for c in (None, 1000))
    assert_same_loss(few, many, features)


def test_a_sample_is_never_its_own_key():
    """Two equal vectors of a class and nothing else: the only key is the positive, the loss 0."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert contrastive_loss(z, torch.tensor([0, 0])).item() == pytest.approx(0.0, abs=1e-6)


def test_an_absent_class_takes_part_through_its_prototype_alone():
    features, y, prototypes = problem([0, 0, 1, 1])
    value = contrastive_loss(
        features, y, prototypes, class_counts=torch.tensor(COUNTS), class_average=True
    )
    grad = torch.autograd.grad(value, prototypes)[0]
    assert (grad.norm(dim=1) > 0).all()


def test_frequent_rivals_raise_a_loss_and_a_frequent_class_of_its_own_lowers_it():
    features, y, _ = problem([0, 0, 1], classes=2)  # the anchors that count are those of class 0
    rival, uniform, own = (
        contrastive_loss(features, y, class_counts=torch.tensor(counts))
        for counts in ([1, 100], [1, 1], [100, 1])
    )
    assert rival > uniform > own


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 1], LABELS], ids=["all mates", "one without"])
def test_scl_is_the_supcon_of_pytorch_metric_learning(labels):
    """Theirs averages the losses that are not zero: those of the anchors that have a positive."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    features, y, _ = problem(labels)
    theirs = losses.SupConLoss(temperature=0.1)(features, y)
    assert_same_loss(contrastive_loss(features, y), theirs, features)


def test_a_batch_of_one_class_is_where_pytorch_metric_learning_differs():
    """Theirs gives 0 without negatives; Eq. 2 still spreads the class's own keys evenly."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    features, y, _ = problem([0, 0, 0])
    assert losses.SupConLoss(temperature=0.1)(features, y) == 0
    assert_close(contrastive_loss(features, y), contrastive.scl(features, y, 0.1), **EXACT)
    assert contrastive_loss(features, y) > 0
