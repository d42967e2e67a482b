"""The streamed kernel at sizes of several blocks, and what it promises beyond its values."""

import gc
import weakref

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from longtail.errors import UsageError
from longtail.losses import contrastive_loss
from longtail.losses.streaming import blocks, features


def problem(n: int, d: int, c: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Features, labels (the last classes are absent), prototypes and counts."""
    generator = torch.Generator().manual_seed(0)
    features, prototypes = (
        torch.randn(rows, d, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for rows in (n, c)
    )
    labels = torch.randint(0, max(1, c - 2), (n,), generator=generator)
    return features, labels, prototypes, torch.randint(1, 500, (c,), generator=generator)


def value_and_grads(kernel: str, dtype: torch.dtype, n: int, d: int, c: int, **knobs):
    features, labels, prototypes, counts = problem(n, d, c, dtype)
    value = contrastive_loss(
        features, labels, prototypes, class_counts=counts, kernel=kernel, **knobs
    )
    return value.detach(), *torch.autograd.grad(value, (features, prototypes))


CASES = {
    "short rows": {"class_average": True},
    "short rows, not averaged": {},
    "scores too large for exponentials": {"class_average": True, "temperature": 0.01},
    "short rows, scaled": {"class_average": True, "scale_on": "both"},
    "long rows, scaled": {"class_average": True, "scale_on": "both", "temperature": 0.01},
    "keys scaled": {"class_average": True, "scale_on": "keys"},
    "long by their scale alone": {"scale_on": "both", "temperature": 0.026},
    "rows as they are": {"class_average": True, "normalize": False},
    "rows as they are, keys scaled": {"scale_on": "keys", "normalize": False},
}


def knobs_of(case: str, classes: int, dtype: torch.dtype) -> dict:
    knobs = CASES[case]
    scale = torch.linspace(1.5, 0.2, classes, dtype=dtype)
    return knobs | ({"class_scale": scale} if "scale_on" in knobs else {})


def assert_kernels_agree(dtype: torch.dtype, n: int, d: int, c: int, case: str) -> None:
    plain, streamed = (
        value_and_grads(kernel, dtype, n, d, c, **knobs_of(case, c, dtype))
        for kernel in ("plain", "streamed")
    )
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-5}[dtype]
    for a, b in zip(streamed, plain, strict=True):
        # Relative to the largest entry: gradients of single entries cancel down to any size.
        assert (a - b).abs().max() <= tolerance * b.abs().max()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_many_blocks_equal_the_plain_kernel(dtype, case):
    assert_kernels_agree(dtype, 1100, 24, 30, case)


@pytest.mark.parametrize("n", [40, 64, 65], ids=lambda n: f"{n} rows of 64")
@pytest.mark.parametrize("classes", [7, 300])
def test_scores_that_wait_in_the_memory_of_the_gradient(monkeypatch, classes, n):
    monkeypatch.setattr(blocks, "ON_CPU", blocks.Sizes(16, 1 << 20, 48, 1 << 20, 500))
    assert_kernels_agree(torch.float64, n, 64, classes, "short rows")


def test_memory_is_filled_before_it_is_read(monkeypatch):
    """New memory may hold anything; here it holds no numbers."""
    empty = Tensor.new_empty
    monkeypatch.setattr(Tensor, "new_empty", lambda *a, **k: empty(*a, **k).fill_(torch.nan))
    for n in (40, 100):
        assert_kernels_agree(torch.float64, n, 64, 7, "short rows")


def test_prototypes_may_lie_in_memory_in_any_order():
    features, labels, prototypes, _ = problem(6, 8, 4)
    turned = prototypes.detach().T.contiguous().T.requires_grad_()
    found = [
        torch.autograd.grad(contrastive_loss(features, labels, p, kernel="streamed"), p)[0]
        for p in (prototypes, turned)
    ]
    assert_close(*found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", ["short rows", "keys scaled"])
def test_scores_that_are_not_kept_are_taken_again(monkeypatch, case):
    knobs = knobs_of(case, 5, torch.float64)
    expected = value_and_grads("streamed", torch.float64, 1100, 8, 5, **knobs)
    monkeypatch.setattr(blocks, "ON_CPU", blocks.ON_CPU._replace(kept_scores=0))
    found = value_and_grads("streamed", torch.float64, 1100, 8, 5, **knobs)
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_exponentials_serve_both_directions_where_that_is_safe(monkeypatch, case):
    taken = []
    monkeypatch.setattr(features.Mutual, "_pairs", lambda self: taken.append(self) or iter(()))
    value_and_grads("streamed", torch.float64, 20, 4, 5, **knobs_of(case, 5, torch.float64))
    assert bool(taken) == case.startswith("short rows")


def test_blocks_are_held_while_there_is_room():
    taken = []

    def take(first: slice, second: slice) -> Tensor:
        taken.append((first.start, second.start))
        return torch.full((2, 3), float(len(taken)))

    one, two, three = slice(0, 2), slice(2, 4), slice(4, 6)
    kept = blocks.Kept(take, room=12)
    for second in (one, two, three, one, three):
        kept(one, second)
    assert taken == [(0, 0), (0, 2), (0, 4), (0, 4)]
    assert kept.pop(one, one)[0, 0] == 1
    assert kept.pop(one, one)[0, 0] == 5  # handed out for good
    assert kept.pop(one, three)[0, 0] == 6


@pytest.mark.parametrize("case", ["short rows", "keys scaled"])
@pytest.mark.parametrize("grad", [True, False])
def test_nothing_outlives_the_call(monkeypatch, case, grad):
    """Scores that only the collector of circles would free are held for a long time."""
    held = []
    for way in (features.Mutual, features.Directed):
        usual = way.normaliser
        watched = lambda self, usual=usual: held.append(weakref.ref(self)) or usual(self)  # noqa: E731
        monkeypatch.setattr(way, "normaliser", watched)
    gc.disable()
    try:
        inputs = problem(20, 4, 5)
        with torch.set_grad_enabled(grad):
            value = contrastive_loss(
                *inputs[:3], **knobs_of(case, 5, torch.float64), kernel="streamed"
            )
        assert [reference() for reference in held] == [None]
        del value
    finally:
        gc.enable()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kernel", ["plain", "streamed"])
def test_the_rows_are_let_go_after_the_backward_pass(kernel, dtype):
    leaves = [rows.requires_grad_() for rows in problem(20, 4, 5, dtype)[::2]]
    rows = [2 * leaf for leaf in leaves]
    value = contrastive_loss(rows[0], problem(20, 4, 5)[1], rows[1], kernel=kernel)
    value.backward()
    gone = [weakref.ref(row) for row in rows]
    del rows
    assert [reference() for reference in gone] == [None, None]
    assert torch.isfinite(value)


def test_no_score_is_kept_where_no_gradient_will_be_asked_for(monkeypatch):
    rooms = []
    kept = lambda make, room: rooms.append(room) or blocks.Kept(make, room)  # noqa: E731
    monkeypatch.setattr(features, "Kept", kept)
    rows, labels, prototypes, _ = problem(20, 4, 5)
    with torch.no_grad():
        contrastive_loss(rows, labels, prototypes, kernel="streamed")
    contrastive_loss(rows.detach(), labels, prototypes.detach(), kernel="streamed")
    contrastive_loss(rows, labels, prototypes.detach(), kernel="streamed")
    contrastive_loss(rows.detach(), labels, prototypes, kernel="streamed")
    assert rooms == [0, 0, blocks.ON_CPU.kept_scores, blocks.ON_CPU.kept_scores]


def test_counts_of_any_size_overflow_nothing():
    generator = torch.Generator().manual_seed(0)
    rows = 1 + 0.01 * torch.randn(2500, 8, generator=generator)
    labels = torch.randint(0, 3, (2500,), generator=generator)
    knobs = {"class_counts": torch.full((3,), 2**62), "temperature": 0.025}
    streamed, plain = (
        contrastive_loss(rows, labels, kernel=kernel, **knobs) for kernel in ("streamed", "plain")
    )
    assert_close(streamed, plain, rtol=1e-5, atol=0)


@pytest.mark.parametrize("temperature", [0.01, 0.025, 0.1])
def test_nor_do_they_in_the_gradient(temperature):
    """Opposite rows, and a class that outweighs all others together."""
    half = torch.randn(20, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(40) % 4
    knobs = {"class_counts": torch.tensor([1, 2, 3, 2**62]), "temperature": temperature}
    found = []
    for kernel, dtype in (("streamed", torch.float32), ("plain", torch.float64)):
        rows = torch.cat([half, -half]).to(dtype).requires_grad_()
        value = contrastive_loss(rows, labels, kernel=kernel, **knobs)
        found.append(torch.autograd.grad(value, rows)[0].double())
    error = (found[0] - found[1]).abs().max()
    assert error <= 1e-5 * found[1].abs().max()


class LargestTensor(TorchDispatchMode):
    """Watches every operation for the largest tensor that it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in results if isinstance(results, tuple | list) else (results,):
            if isinstance(result, Tensor):
                self.numel = max(self.numel, result.numel())
        return results


def largest_tensor(kernel: str, n: int, c: int) -> int:
    with LargestTensor() as seen:
        value_and_grads(kernel, torch.float32, n, 4, c, class_average=True)
    return seen.numel


def test_no_tensor_grows_with_rows_times_keys(monkeypatch):
    monkeypatch.setattr(blocks, "ON_CPU", blocks.Sizes(64, 64 * 64, 1024, 64 * 64, 64 * 64))
    assert largest_tensor("plain", 300, 450) >= 300 * 450
    # A block, or the rows themselves; four times both makes four times the rows at most.
    assert largest_tensor("streamed", 300, 450) <= 64 * 64
    assert largest_tensor("streamed", 1200, 1800) <= 4 * 64 * 64


@pytest.mark.parametrize("fixed", [(), (0,), (1,)], ids=str)
def test_the_gradient_can_be_differentiated_like_that_of_the_plain_kernel(fixed):
    found = {}
    for kernel in ("plain", "streamed"):
        features, labels, prototypes, _ = problem(6, 3, 4)
        inputs = [x.requires_grad_(i not in fixed) for i, x in enumerate((features, prototypes))]
        free = [x for x in inputs if x.requires_grad]
        value = 2 * contrastive_loss(inputs[0], labels, inputs[1], kernel=kernel)
        gradients = torch.autograd.grad(value, free, create_graph=True)
        penalty = sum(g.square().sum() for g in gradients)
        found[kernel] = [*gradients, *torch.autograd.grad(penalty, free)]
    for a, b in zip(found["streamed"], found["plain"], strict=True):
        assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_gradients_scale_with_what_the_loss_is_multiplied_by():
    features, labels, prototypes, _ = problem(6, 3, 4)
    loss = contrastive_loss(features, labels, prototypes, kernel="streamed")
    once = torch.autograd.grad(loss, (features, prototypes), retain_graph=True)
    thrice = torch.autograd.grad(3 * loss, (features, prototypes), retain_graph=True)
    again = torch.autograd.grad(loss, (features, prototypes))
    for a, b, c in zip(once, thrice, again, strict=True):
        assert_close(3 * a, b, rtol=1e-12, atol=1e-12)
        assert_close(a, c, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 0.01])
def test_backward_passes_within_autocast_are_those_without_it(temperature):
    rows, labels, prototypes, _ = problem(40, 16, 5, torch.float32)
    inputs, knobs = (rows, prototypes), {"temperature": temperature, "kernel": "streamed"}

    def passes() -> list[Tensor]:
        loss = contrastive_loss(rows, labels, prototypes, **knobs)
        first, second = (torch.autograd.grad(loss, inputs, retain_graph=True) for _ in range(2))
        return [*first, *second, *torch.autograd.grad(loss, inputs, create_graph=True)]

    expected = passes()
    with torch.autocast("cpu", torch.bfloat16):
        found = passes()
    for a, b in zip(found, expected, strict=True):
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()


def test_only_what_needs_a_gradient_gets_one():
    features, labels, prototypes, _ = problem(6, 3, 4)
    fixed = prototypes.detach()
    value = contrastive_loss(features, labels, fixed, kernel="streamed")
    expected = contrastive_loss(features, labels, fixed, kernel="plain")
    gradients = (torch.autograd.grad(x, features)[0] for x in (value, expected))
    assert_close(*gradients, rtol=1e-10, atol=1e-10)


def test_an_unknown_kernel_is_refused_with_the_known_ones():
    features, labels, *_ = problem(6, 3, 4)
    with pytest.raises(UsageError, match=r"kernel is 'fast'; it must be one of auto, plain"):
        contrastive_loss(features, labels, kernel="fast")


@pytest.mark.parametrize("learned", ["temperature", "class_scale"])
def test_a_learned_temperature_or_scale_gets_its_gradient(learned):
    features, labels, prototypes, _ = problem(6, 3, 4)
    values = {"temperature": torch.tensor(0.3), "class_scale": torch.tensor([0.5, 1.0, 2.0, 1.0])}
    value = values[learned].double().requires_grad_()
    found = [
        torch.autograd.grad(
            contrastive_loss(features, labels, prototypes, kernel=kernel, **{learned: value}), value
        )[0]
        for kernel in ("auto", "plain")
    ]
    assert_close(*found, rtol=0, atol=0)
    assert found[0].abs().sum() > 0
    with pytest.raises(UsageError, match="gradients of features and prototypes alone"):
        contrastive_loss(features, labels, prototypes, kernel="streamed", **{learned: value})


def test_function_transforms_see_the_loss():
    features, labels, prototypes, _ = problem(6, 3, 4)

    def loss(rows: Tensor) -> Tensor:
        return contrastive_loss(rows, labels, prototypes.detach(), class_average=True)

    expected = torch.autograd.grad(loss(features), features)[0]
    assert_close(torch.func.grad(loss)(features.detach()), expected, rtol=1e-10, atol=1e-10)
