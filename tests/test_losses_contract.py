"""What holds for every loss of the catalogue; a loss added there is tested here by itself."""

import inspect
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import longtail.losses
from longtail.losses.catalogue import LOSSES, LossEntry
from loss_batches import (
    REFERENCES,
    WAYS,
    Batch,
    along,
    batch,
    call,
    computed,
    gradients,
    temperature_of,
    value_and_grads,
    with_grads,
)

NOT_A_LOSS = {"posthoc_logit_adjustment"}
EXACT = {"rtol": 1e-10, "atol": 1e-10}
COUNTS = [7, 500, 2, 31]  # in no order
LABELS = [1, 1, 0, 3, 1, 0, 3]  # class 2 has no sample


CASES = [
    (name, way)
    for name, e in LOSSES.items()
    for way in (WAYS if e.function is longtail.losses.contrastive_loss else [None])
]


@pytest.fixture(params=CASES, ids=lambda case: " ".join(filter(None, case)))
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    loss, way = request.param
    with computed(way) if way else nullcontext():
        yield loss


@pytest.fixture
def entry(name: str) -> LossEntry:
    return LOSSES[name]


@pytest.fixture
def usual(entry: LossEntry) -> Batch:
    return batch(entry, LABELS, COUNTS)


def bound(entry: LossEntry, b: Batch, temperature: float = 0.2):
    return entry.bind(b.class_counts, **temperature_of(entry, temperature))


def assert_same(left, right, **tolerance) -> None:
    for a, b in zip(left, right, strict=True):
        assert_close(a, b, **(tolerance or EXACT))


def assert_finite(tensors) -> None:
    for x in tensors:
        assert torch.isfinite(x).all()


def test_no_public_loss_is_missing_from_the_catalogue():
    public = [getattr(longtail.losses, n) for n in longtail.losses.__all__ if n not in NOT_A_LOSS]
    functions = {f for f in public if inspect.isfunction(f)}
    modules = {m for m in public if inspect.isclass(m) and issubclass(m, nn.Module)}
    counts = torch.tensor(COUNTS)
    listed = {type(entry.module(counts)) for entry in LOSSES.values()}
    bases = {base for module in listed for base in module.__mro__[1:]}
    assert functions == {entry.function for entry in LOSSES.values()}
    assert listed <= modules
    assert modules <= listed | bases
    assert len(functions) + len(modules) == len(public)


def test_every_loss_has_an_independent_reference():
    assert set(REFERENCES) == set(LOSSES)


def test_gradients_are_those_of_finite_differences(entry, usual):
    b = with_grads(usual)
    loss = bound(entry, b)
    assert torch.autograd.gradcheck(lambda x, *rest: loss(x, b.labels, *rest), b.inputs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_value_and_gradient_equal_the_slow_loop(name, entry, seed, temperature):
    b = batch(entry, LABELS, COUNTS, seed=seed)
    results = value_and_grads(bound(entry, b, temperature), b)
    assert_same(results, reference(name, b, temperature))


def reference(name: str, b: Batch, temperature: float) -> list[torch.Tensor]:
    leaves = with_grads(b)
    value = REFERENCES[name](leaves, temperature)
    return [value.detach(), *gradients(value, leaves)]


@st.composite
def problems(draw: st.DrawFn) -> dict:
    """Labels, counts, width and seed of any small batch."""
    counts = draw(st.lists(st.integers(1, 1000), min_size=2, max_size=4))
    labels = draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=6))
    dim, seed = draw(st.integers(1, 4)), draw(st.integers(0, 99))
    return {"labels": labels, "counts": counts, "dim": dim, "seed": seed}


@pytest.mark.parametrize("way", [None, *WAYS])
@settings(max_examples=50, derandomize=True, deadline=None)
@given(problem=problems())
def test_any_small_batch_equals_the_slow_loop(way, problem):
    for name, entry in ((name, LOSSES[name]) for name, its_way in CASES if its_way == way):
        b = batch(entry, **problem)
        with computed(way) if way else nullcontext():
            assert_same(value_and_grads(bound(entry, b), b), reference(name, b, 0.2))


@settings(max_examples=50, derandomize=True, deadline=None)
@given(problem=problems(), temperature=st.floats(0.01, 10.0))
def test_every_loss_is_at_least_zero_up_to_the_prior(problem, temperature):
    """A softmax share is at most 1; class averages let a share exceed it by the keys it counts.

    PSC's denominator leaves the own class out, whose cosine is at most 2 above the others'.
    """
    for name, entry in LOSSES.items():
        b = batch(entry, **problem)
        value = call(bound(entry, b, temperature), b)
        if "bcl" in name:
            value = value + torch.tensor(float(len(b.labels) + 1)).log()
        if name == "prototype":
            value = value + 2 / temperature
        assert value >= -1e-9


@pytest.mark.parametrize("name", [c for c in CASES if LOSSES[c[0]].parent], indirect=True)
def test_uniform_counts_give_the_parent(entry, usual):
    parent = LOSSES[entry.parent]
    b = usual.replace(counts=[9] * len(COUNTS))
    assert_same(value_and_grads(bound(entry, b), b), value_and_grads(bound(parent, b), b))


def test_the_counts_matter_where_the_catalogue_says_so(entry, usual):
    uniform = usual.replace(counts=[9] * len(COUNTS))
    difference = call(bound(entry, usual), usual) - call(bound(entry, uniform), usual)
    assert (difference.abs() > 0.01) == (entry.counts != "nothing")


@pytest.mark.parametrize(
    "name", [c for c in CASES if LOSSES[c[0]].counts != "sizes"], indirect=True
)
def test_scaling_all_counts_changes_nothing(entry, usual):
    scaled = usual.replace(counts=[13 * n for n in COUNTS])
    assert_same(
        value_and_grads(bound(entry, scaled), usual), value_and_grads(bound(entry, usual), usual)
    )


def test_renaming_the_classes_changes_nothing(entry, usual):
    new_id = torch.tensor([2, 0, 3, 1])  # old class -> new class
    old_id = torch.argsort(new_id)
    renamed = Batch(
        tuple(along(entry, "c", old_id, usual.inputs)),
        new_id[usual.labels],
        [COUNTS[old] for old in old_id.tolist()],
    )
    value, *grads = value_and_grads(bound(entry, renamed), renamed)
    expected = value_and_grads(bound(entry, usual), usual)
    assert_same([value, *along(entry, "c", new_id, grads)], expected)


def test_the_order_of_the_batch_changes_nothing(entry, usual):
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    inputs = tuple(along(entry, "b", order, usual.inputs))
    shuffled = usual.replace(inputs=inputs, labels=usual.labels[order])
    value, *grads = value_and_grads(bound(entry, usual), shuffled)
    expected = value_and_grads(bound(entry, usual), usual)
    assert_same([value, *along(entry, "b", torch.argsort(order), grads)], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_is_near_float64_and_answers_in_float32(entry, usual, dtype, tolerances):
    low = usual.to(dtype)
    exact = value_and_grads(bound(entry, usual), low.to(torch.float64))
    value, *grads = value_and_grads(bound(entry, usual), low)
    assert value.dtype == torch.float32
    assert {g.dtype for g in grads} == {dtype}
    # The inputs were rounded beforehand, so the value itself owes only float32's error.
    assert_close(value.double(), exact[0], **tolerances[torch.float32])
    assert_same([g.double() for g in grads], exact[1:], **tolerances[dtype])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1.0, 1e3])
def test_a_cold_softmax_stays_finite(entry, usual, dtype, size):
    first, *further = usual.inputs
    extreme = usual.replace(inputs=(first * size, *further)).to(dtype)
    assert_finite(value_and_grads(bound(entry, usual, 0.01), extreme))


def test_logits_of_ten_thousand_stay_finite(entry, usual):
    signs = usual.to(torch.float32).map(lambda x: 1e4 * x.sign())
    assert_finite(value_and_grads(bound(entry, usual), signs))


def test_autocast_changes_nothing(entry, usual):
    b = with_grads(usual.to(torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        value = call(bound(entry, b), b)
    results = [value.detach(), *gradients(value, b)]
    assert_same(results, value_and_grads(bound(entry, b), b), rtol=0, atol=0)


@pytest.mark.parametrize(
    "labels",
    [[2], [2, 2, 2], [0, 2], [0, 0, 1, 1, 2], [3, 3]],
    ids=["batch of one", "one class", "no mates", "one single sample", "one pair"],
)
def test_small_batches_equal_the_slow_loop(name, entry, labels):
    b = batch(entry, labels, COUNTS)
    results = value_and_grads(bound(entry, b), b)
    assert_finite(results)
    assert_same(results, reference(name, b, 0.2))


# A prototype or a logit is a positive.
@pytest.mark.parametrize(
    "name", [c for c in CASES if c[0] in ("scl", "rcl") or "margin" in c[0]], indirect=True
)
def test_without_a_positive_the_loss_is_a_zero_that_keeps_the_graph(entry):
    for labels in ([1], [0, 1, 3]):
        b = batch(entry, labels, COUNTS)
        for result in value_and_grads(bound(entry, b), b):
            assert_close(result, torch.zeros_like(result), rtol=0, atol=0)


def test_a_class_without_training_samples_counts_as_one(entry, usual):
    empty, one = usual.replace(counts=[7, 500, 0, 31]), usual.replace(counts=[7, 500, 1, 31])
    b = usual.replace(labels=torch.tensor([2, 2, 0, 3, 1, 0, 3]))
    assert_same(value_and_grads(bound(entry, empty), b), value_and_grads(bound(entry, one), b))


def test_inputs_random_stream_and_grad_mode_are_left_alone(entry, usual):
    b, counts = with_grads(usual), usual.class_counts
    tensors = [*b.inputs, b.labels, counts]
    before = [x.detach().clone() for x in tensors]
    versions = [x._version for x in tensors]
    stream = torch.get_rng_state()
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            value = call(entry.bind(counts), b)
            assert torch.is_grad_enabled() == enabled
            assert value.requires_grad == enabled
    assert_same([x.detach() for x in tensors], before, rtol=0, atol=0)
    assert [x._version for x in tensors] == versions
    assert torch.equal(torch.get_rng_state(), stream)


@pytest.mark.parametrize("as_given", [list, tuple, torch.tensor], ids=lambda f: f.__name__)
def test_the_module_equals_the_function(entry, usual, as_given):
    module = entry.module(as_given(COUNTS), **temperature_of(entry, 0.3))
    expected = value_and_grads(bound(entry, usual, 0.3), usual)
    assert_same(value_and_grads(module, usual), expected, rtol=0, atol=0)


def test_module_defaults_are_the_function_defaults(entry, usual):
    module, function = entry.module(COUNTS), entry.bind(usual.class_counts)
    assert_close(call(module, usual), call(function, usual), rtol=0, atol=0)


def test_a_module_saves_nothing_and_moves_its_counts(entry):
    module = entry.module(COUNTS)
    assert dict(module.state_dict()) == {}
    assert list(module.parameters()) == []
    counts = [b for n, b in module.double().named_buffers() if n == "class_counts"]
    assert all(b.dtype == torch.int64 for b in counts)
    assert all(b.device.type == "meta" for b in module.to("meta").buffers())


# SCL's module is not told the number of classes, and has to read it off the labels.
@pytest.mark.parametrize("name", [c for c in CASES if c[0] != "scl"], indirect=True)
def test_no_loss_looks_at_values_on_an_accelerator(entry, usual, monkeypatch):
    """A look makes the host wait, and a step that has one cannot be recorded as a graph."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # meta knows none
    leaves = with_grads(usual.map(lambda x: x.to("meta")))
    value = call(entry.module(COUNTS).to("meta"), leaves.replace(labels=usual.labels.to("meta")))
    assert value.device.type == "meta"
    assert all(g.device.type == "meta" for g in gradients(value, leaves))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_accelerator_gives_the_value_of_the_cpu(entry, usual):
    module = entry.module(COUNTS).cuda()
    moved = usual.map(torch.Tensor.cuda).replace(labels=usual.labels.cuda())
    expected = value_and_grads(entry.bind(usual.class_counts), usual)
    assert_same([x.cpu() for x in value_and_grads(module, moved)], expected)
