"""The meta sampler: its draw, its relaxed gradient, the step ahead and Adam."""

import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from longtail.errors import UsageError
from longtail.keyed import fold, permutation
from longtail.training import meta
from longtail.training.meta import (
    MetaState,
    adam_step,
    draw,
    initial_state,
    initial_weights,
    meta_gradient,
    relaxed,
    sgd_step,
    straight_through,
)

KEY = fold(3, "meta")
COUNTS = [40, 0, 9, 3]  # one class without a sample
LABELS = torch.arange(4).repeat_interleave(torch.tensor(COUNTS))[permutation(KEY, 52)]
ROWWISE = ("rows", "labels", "log_masses")


def some_weights(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor([-1.5, 0.3, 0.4, 2.0], dtype=dtype)


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def balanced_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropies(logits + torch.tensor(COUNTS).clamp(min=1).log(), labels)


def written_out(weights: Tensor, labels: Tensor, key: Tensor, size: int, temperature: float):
    """The paper's draw in one [b, n] softmax: the hard rows and the relaxed share of each."""
    bits = torch.stack([fold(key, i, torch.arange(len(labels))) for i in range(size)])
    uniform = (bits.double() + 0.5) / 2**32
    noisy = torch.sigmoid(weights)[labels].log() - torch.log(-torch.log1p(-uniform))
    rows = noisy.argmax(1)
    return rows, torch.softmax(noisy / temperature, 1)[torch.arange(size), rows]


def gradient_in(weights: Tensor, value) -> Tensor:
    weights = weights.clone().requires_grad_()
    return torch.autograd.grad(value(weights), weights)[0]


def assert_same_draw(got, expected):
    assert torch.equal(got.rows, expected.rows)
    assert torch.equal(got.labels, expected.labels)
    assert torch.equal(got.log_masses, expected.log_masses)


def test_without_a_power_every_sample_starts_with_the_score_one_half():
    assert initial_weights([500, 0, 7], 0.0).tolist() == [0.0, 0.0, 0.0]


def test_scores_start_as_the_power_of_rarity_over_its_extremes():
    counts = np.array([500.0, 40.0, 5.0])
    rarity = (counts / counts.sum()) ** -0.1
    scores = torch.sigmoid(initial_weights([500, 40, 5], 0.1))
    assert scores.tolist() == pytest.approx(rarity / (rarity.min() + rarity.max()), rel=1e-6)
    assert initial_weights([500, 40, 5], 0.1).dtype == torch.float32


def test_classes_are_drawn_in_proportion_to_their_samples_times_their_score():
    drawn = draw(some_weights(), LABELS, 40_000, KEY)
    assert torch.equal(drawn.labels, LABELS[drawn.rows])
    odds = torch.tensor(COUNTS) * torch.sigmoid(some_weights())
    share = odds / odds.sum()
    deviation = (share * (1 - share) * 40_000).sqrt()
    found = torch.bincount(drawn.labels, minlength=4)
    assert ((found - share * 40_000).abs() <= 3 * deviation).all()
    assert found[1] == 0


def test_samples_of_a_class_are_drawn_alike():
    drawn = draw(torch.tensor([-1.0, 0.0, 0.0, 0.0]), LABELS, 40_000, KEY)
    found = torch.bincount(drawn.rows, minlength=len(LABELS))[LABELS == 0].double()
    chi_square = ((found - found.mean()) ** 2 / found.mean()).sum()
    assert chi_square < 39 + 3 * (2 * 39) ** 0.5


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_rows_and_relaxed_shares_are_those_of_the_whole_softmax(temperature):
    drawn = draw(some_weights(), LABELS, 30, KEY, temperature=temperature)
    rows, shares = written_out(some_weights(), LABELS, KEY, 30, temperature)
    assert torch.equal(drawn.rows, rows)
    torch.testing.assert_close(relaxed(some_weights(), drawn), shares, rtol=1e-4, atol=1e-7)
    mix = torch.linspace(-1, 2, 30).double()
    torch.testing.assert_close(
        gradient_in(some_weights(), lambda w: mix @ straight_through(w, drawn)),
        gradient_in(
            some_weights(), lambda w: mix @ written_out(w, LABELS, KEY, 30, temperature)[1]
        ),
        rtol=1e-4,
        atol=1e-6,
    )


def test_relaxed_shares_hold_the_noise_while_the_weights_move():
    drawn = draw(some_weights(), LABELS, 8, KEY)
    moved = some_weights() + torch.tensor([0.01, 1.0, -0.02, 0.01]).double()
    rows, shares = written_out(moved, LABELS, KEY, 8, 1.0)
    assert torch.equal(rows, drawn.rows)
    torch.testing.assert_close(relaxed(moved, drawn), shares, rtol=1e-4, atol=1e-7)


def test_the_forward_value_is_exactly_one():
    drawn = draw(some_weights(torch.float32), LABELS, 8, KEY)
    assert straight_through(some_weights(torch.float32), drawn).tolist() == [1.0] * 8


def test_extreme_weights_and_low_temperatures_stay_finite():
    weights = torch.tensor([-90.0, 0.0, 90.0, 3.0])
    drawn = draw(weights, LABELS, 16, KEY, temperature=0.05)
    assert (drawn.labels != 0).all()
    shares = relaxed(weights, drawn)
    assert (shares > 0).all()
    assert (shares <= 1).all()
    assert torch.isfinite(gradient_in(weights, lambda w: relaxed(w, drawn).sum())).all()


def test_a_draw_is_a_function_of_weights_and_key_alone():
    first = draw(some_weights(), LABELS, 20, KEY)
    torch.rand(5)
    again = draw(some_weights().requires_grad_(), LABELS, 20, KEY)
    assert_same_draw(again, first)
    assert not again.log_masses.requires_grad
    assert not torch.equal(draw(some_weights(), LABELS, 20, fold(KEY, 1)).rows, first.rows)
    assert not torch.equal(draw(-some_weights(), LABELS, 20, KEY).rows, first.rows)


@given(size=st.integers(1, 12), at_once=st.integers(1, 400))
@settings(max_examples=30, derandomize=True, deadline=None)
def test_neither_the_batch_size_nor_the_noise_held_at_once_changes_a_row(size, at_once):
    whole = draw(some_weights(), LABELS, 12, KEY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meta, "_NOISE_AT_ONCE", at_once)
        part = draw(some_weights(), LABELS, size, KEY)
    assert_same_draw(part, whole._replace(**{k: getattr(whole, k)[:size] for k in ROWWISE}))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_accelerator_draws_the_same_rows():
    weights = some_weights(torch.float32)
    on_cpu, on_gpu = (draw(weights.to(d), LABELS.to(d), 64, KEY) for d in ("cpu", "cuda"))
    assert torch.equal(on_cpu.rows, on_gpu.rows.cpu())
    torch.testing.assert_close(on_cpu.log_masses, on_gpu.log_masses.cpu())


def test_noise_is_finite_and_falls_as_the_key_rises(monkeypatch):
    keys = torch.tensor([0, 1, 2**31, 2**32 - 2, 2**32 - 1])
    monkeypatch.setattr(meta, "fold", lambda *_: keys[:, None])
    noise = meta._gumbel(KEY, torch.arange(1), 5).flatten()
    assert torch.isfinite(noise).all()
    assert noise[:3].tolist() == pytest.approx([22.8739, 21.7753, 0.3665], abs=1e-4)
    assert (noise.diff() <= 0).all()


class PeakMemory(TorchDispatchMode):
    """Adds up the tensors alive while it is entered; views count as their storage, once."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.watch(tensor.untyped_storage())
        self.peak = max(self.peak, sum(self.alive.values()))
        return result

    def watch(self, storage: torch.UntypedStorage) -> None:
        address = storage.data_ptr()
        if address not in self.alive:
            weakref.finalize(storage, self.alive.pop, address, None)
        self.alive[address] = storage.nbytes()


def test_the_noise_of_a_batch_is_never_held_whole():
    labels = torch.arange(115_846) % 1000  # as large as ImageNet-LT
    with PeakMemory() as memory:
        draw(torch.zeros(1000), labels, 24, KEY)
    assert 2**20 < memory.peak < 2**24  # 24 rows of noise alone would be 11 MiB, their keys 22


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_step_ahead_is_the_one_that_sgd_takes(nesterov, generator):
    kind = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05, "nesterov": nesterov}
    layer = nn.Linear(3, 4)
    optimiser = torch.optim.SGD(layer.parameters(), **kind)
    names = dict(layer.named_parameters())
    for _ in range(3):
        gradients = {k: torch.randn(p.shape, generator=generator) for k, p in names.items()}
        held = {k: optimiser.state[p].get("momentum_buffer") for k, p in names.items()}
        momenta = {k: buffer.clone() for k, buffer in held.items() if buffer is not None}
        ahead = sgd_step(
            {k: p.detach().clone() for k, p in names.items()}, gradients, momenta, **kind
        )
        for name, parameter in names.items():
            parameter.grad = gradients[name]
        optimiser.step()
        for name, parameter in names.items():
            torch.testing.assert_close(ahead[name], parameter.detach())


def looking_ahead(generator: torch.Generator):
    """A linear classifier in float64 with momenta, a drawn batch, and a meta batch."""
    layer = nn.Linear(5, 4).double()

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    momenta = {name: random(*p.shape) for name, p in layer.named_parameters()}
    drawn = draw(some_weights(), LABELS, 12, KEY)
    return layer, momenta, drawn, random(12, 5), random(7, 5), torch.arange(7) % 4


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_meta_gradient_is_the_slope_of_the_loss_that_the_real_step_reaches(nesterov, generator):
    """Noise and rows held, finite differences through torch's own SGD."""
    layer, momenta, drawn, features, meta_features, meta_labels = looking_ahead(generator)
    kind = {"lr": 0.7, "momentum": 0.9, "weight_decay": 0.1, "nesterov": nesterov}
    at = some_weights()

    def reached(weights: Tensor) -> float:
        own = nn.Linear(5, 4).double()
        own.load_state_dict(layer.state_dict())
        optimiser = torch.optim.SGD(own.parameters(), **kind)
        for name, parameter in own.named_parameters():
            optimiser.state[parameter]["momentum_buffer"] = momenta[name].clone()
        factor = 1 + relaxed(weights, drawn) - relaxed(at, drawn)
        (balanced_softmax(own(features), drawn.labels) * factor).mean().backward()
        optimiser.step()
        return F.cross_entropy(own(meta_features), meta_labels).item()

    gradient, loss = meta_gradient(
        at,
        drawn,
        layer,
        momenta,
        features,
        meta_features,
        meta_labels,
        inner_loss=balanced_softmax,
        **kind,
    )
    assert loss.item() == pytest.approx(reached(at), rel=1e-12)
    bumps = 1e-5 * torch.eye(4, dtype=torch.float64)
    slopes = [(reached(at + bump) - reached(at - bump)) / 2e-5 for bump in bumps]
    assert gradient.tolist() == pytest.approx(slopes, rel=1e-5, abs=1e-10)
    assert gradient.abs().max() > 1e-4


def test_looking_ahead_leaves_everything_as_it_was(generator):
    layer, momenta, drawn, features, meta_features, meta_labels = looking_ahead(generator)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    kept = {name: value.clone() for name, value in momenta.items()}
    layer.weight.requires_grad_(False)  # a frozen classifier is looked ahead through as well
    weights, features = some_weights().requires_grad_(), features.requires_grad_()
    with torch.no_grad():
        gradient, loss = meta_gradient(
            weights,
            drawn,
            layer,
            momenta,
            features,
            meta_features,
            meta_labels,
            inner_loss=cross_entropies,
            lr=torch.tensor(0.1),
            momentum=0.9,
            weight_decay=0.0,
        )
    assert not gradient.requires_grad
    assert not loss.requires_grad
    assert features.grad is weights.grad is layer.weight.grad is layer.bias.grad is None
    for name in before:
        assert torch.equal(layer.state_dict()[name], before[name])
        assert torch.equal(momenta[name], kept[name])


def test_adam_steps_as_torch_does(generator):
    state = initial_state([50, 20, 5], 0.1)
    parameter = nn.Parameter(state.weights.clone())
    optimiser = torch.optim.Adam([parameter], lr=0.01)
    for _ in range(20):
        gradient = torch.randn(3, generator=generator)
        parameter.grad = gradient
        optimiser.step()
        state = adam_step(state, gradient, 0.01)
        torch.testing.assert_close(state.weights, parameter.detach(), rtol=1e-5, atol=1e-6)
    held = optimiser.state[parameter]
    torch.testing.assert_close(state.first_moment, held["exp_avg"])
    torch.testing.assert_close(state.second_moment, held["exp_avg_sq"])
    assert state.steps == held["step"]


def test_a_state_goes_on_from_its_tensors_by_name():
    state = adam_step(initial_state([50, 5], 0.0), torch.tensor([1.0, -2.0]), 0.01)
    again = MetaState(**{name: value.clone() for name, value in state._asdict().items()})
    for got, expected in zip(
        adam_step(again, torch.ones(2), 0.01), adam_step(state, torch.ones(2), 0.01), strict=True
    ):
        assert torch.equal(got, expected)


def test_the_weights_move_towards_the_rare_class():
    """Two overlapping clouds, 200 to 8, learned with cross-entropy, which neglects the rare one."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([0] * 200 + [1] * 8)
    inputs = torch.randn(208, 2, generator=generator) + 1.5 * labels[:, None]
    rare, frequent = (labels == 1).nonzero()[:, 0], (labels == 0).nonzero()[:, 0]
    layer = nn.Linear(2, 2)
    kind = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
    optimiser = torch.optim.SGD(layer.parameters(), **kind)
    state = initial_state([200, 8], 0.0)
    for step in range(150):
        drawn = draw(state.weights, labels, 32, fold(KEY, step))
        balanced = torch.cat([rare.repeat(2), frequent[torch.arange(16) * step % 200]])
        momenta = {
            name: optimiser.state[p]["momentum_buffer"]
            for name, p in layer.named_parameters()
            if p in optimiser.state
        }
        gradient, _ = meta_gradient(
            state.weights,
            drawn,
            layer,
            momenta,
            inputs[drawn.rows],
            inputs[balanced],
            labels[balanced],
            inner_loss=cross_entropies,
            **kind,
        )
        state = adam_step(state, gradient, 0.05)
        optimiser.zero_grad()
        cross_entropies(layer(inputs[drawn.rows]), drawn.labels).mean().backward()
        optimiser.step()
    assert state.weights[1] - state.weights[0] > 0.5


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature):
    with pytest.raises(UsageError, match="temperature"):
        draw(some_weights(), LABELS, 4, KEY, temperature=temperature)
