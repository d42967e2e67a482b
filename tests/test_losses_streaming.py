"""The streamed kernel at sizes of several blocks, and what it promises beyond its values."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from longtail.errors import UsageError
from longtail.losses import contrastive_loss, streaming


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


@pytest.mark.parametrize("scale_on", [None, "both", "keys"])
@pytest.mark.parametrize("class_average", [False, True])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=str
)
def test_many_blocks_equal_the_plain_kernel(dtype, tolerance, class_average, scale_on):
    knobs = {"class_average": class_average}
    if scale_on:
        scale = torch.linspace(0.2, 1.5, 30, dtype=dtype)
        knobs |= {"class_scale": scale, "scale_on": scale_on}
    plain, streamed = (
        value_and_grads(kernel, dtype, 1100, 24, 30, **knobs) for kernel in ("plain", "streamed")
    )
    for a, b in zip(streamed, plain, strict=True):
        # Relative to the largest entry: gradients of single entries cancel down to any size.
        assert (a - b).abs().max() <= tolerance * b.abs().max()


def test_products_that_are_not_kept_are_taken_again(monkeypatch):
    expected = value_and_grads("streamed", torch.float64, 1100, 8, 5)
    monkeypatch.setattr(streaming, "KEPT_PRODUCTS", 0)
    for a, b in zip(value_and_grads("streamed", torch.float64, 1100, 8, 5), expected, strict=True):
        assert_close(a, b, rtol=1e-12, atol=1e-12)


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
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 64)
    monkeypatch.setattr(streaming, "BLOCK_SCORES", 64 * 64)
    monkeypatch.setattr(streaming, "KEPT_PRODUCTS", 64 * 64)
    assert largest_tensor("plain", 600, 900) >= 600 * 900
    # A block, or the rows themselves; four times both makes four times the rows at most.
    assert largest_tensor("streamed", 600, 900) <= 64 * 64
    assert largest_tensor("streamed", 2400, 3600) <= 4 * 64 * 64


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
