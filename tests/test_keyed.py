"""Keyed randomness: uniform, independent across parts, and the same for every batch layout."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from longtail.keyed import fold, integers, normal, permutation, uniform

MANY = torch.arange(20_000)
# The draws are fixed, so this either holds or does not; a fair source fails one in ten thousand.
LEAST_P = 1e-4


def assert_uniform(cells: Tensor, num_cells: int) -> None:
    """A chi-square test of cell numbers in [0, num_cells)."""
    observed = torch.bincount(cells.flatten(), minlength=num_cells)
    assert len(observed) == num_cells
    assert stats.chisquare(observed.numpy()).pvalue > LEAST_P


def assert_independent(left: Tensor, right: Tensor) -> None:
    """Pairs of numbers in [0, 1) fill the cells of a 16 x 16 grid evenly."""
    row, column = ((x.flatten() * 16).long() for x in (left, right))
    assert_uniform(row * 16 + column, 256)


def first(key: Tensor) -> Tensor:
    return uniform(key, 1)[..., 0]


def test_known_values_stay():
    """Every run of the past depends on them: another hash is another experiment."""
    key = fold(7, 3, "views")
    assert fold(0).item() == 0
    assert key.item() == 1420475501
    assert uniform(key, 3).tolist() == [0.7832829356193542, 0.24464404582977295, 0.6121863722801208]
    assert integers(key, 5, 1000).tolist() == [783, 244, 612, 922, 184]
    assert permutation(key, 8).tolist() == [4, 1, 7, 6, 5, 2, 0, 3]
    assert normal(key, 2).tolist() == pytest.approx(
        [0.6848500967025757, -1.6763759851455688], rel=1e-6
    )


@pytest.mark.parametrize("bins", [10, 256])
def test_uniform_numbers_are_uniform(bins):
    u = uniform(fold(1, MANY), 4)
    assert u.dtype == torch.float32
    assert u.min() >= 0
    assert u.max() < 1
    assert torch.equal(u * 2**24, (u * 2**24).floor())
    assert_uniform((u * bins).long(), bins)


@pytest.mark.parametrize("bit", [0, 8, 16, 24])
def test_each_byte_of_a_key_is_uniform(bit):
    assert_uniform((fold(1, MANY, "augment") >> bit) & 255, 256)


@pytest.mark.parametrize("high", [1, 2, 10, 257])
def test_integers_are_uniform_below_their_bound(high):
    drawn = integers(fold(2, MANY), 3, high)
    assert drawn.dtype == torch.int64
    assert drawn.min() >= 0
    assert drawn.max() < high
    if high > 1:
        assert_uniform(drawn, high)


def test_integers_reach_both_ends_of_the_largest_bound():
    drawn = integers(fold(2, MANY), 30, 2**24)
    assert drawn.min() < 1000
    assert 2**24 - 1000 < drawn.max() < 2**24


def test_normal_numbers_are_normal_and_independent():
    drawn = normal(fold(3, MANY), 2)
    assert torch.isfinite(drawn).all()
    assert stats.kstest(drawn.flatten().numpy(), "norm").pvalue > LEAST_P
    as_uniform = 0.5 * (1 + torch.erf(drawn / math.sqrt(2)))
    assert_independent(as_uniform[:, 0], as_uniform[:, 1])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((0, MANY), (1, MANY)),  # seeds
        ((0, MANY), (0, MANY + 1)),  # neighbouring samples
        ((0, MANY, 0), (0, MANY, 1)),  # views
        ((0, MANY, "flip"), (0, MANY, "crop")),  # purposes
        ((0, 1, MANY), (0, MANY, 1)),  # epoch and sample swapped
        ((0, MANY), (0, MANY, 0)),  # a key and its child
        ((0, MANY), (0, MANY * 65536)),  # the same number in other bits
    ],
    ids=["seed", "sample", "view", "purpose", "swapped", "child", "shifted"],
)
def test_keys_that_differ_in_one_part_draw_independently(left, right):
    assert_independent(first(fold(*left)), first(fold(*right)))


def test_draws_of_one_key_are_independent():
    u = uniform(fold(5, MANY), 3)
    assert_independent(u[:, 0], u[:, 1])
    assert_independent(u[:, 0], u[:, 2])


def test_one_bit_of_the_key_flips_half_of_the_bits():
    base = fold(0, MANY)
    for bit in range(32):
        changed = base ^ fold(0, MANY ^ (1 << bit))
        flipped = sum(((changed >> b) & 1).double().mean().item() for b in range(32)) / 32
        assert flipped == pytest.approx(0.5, abs=0.01)


def test_distinct_parts_give_distinct_keys():
    """Each step is a bijection of 32-bit numbers, so no two samples share a key."""
    samples = torch.arange(200_000)
    for keys in (fold(9, 4, samples), fold(9, samples, 4), fold(samples, 9, 4)):
        assert len(keys.unique()) == len(samples)


@given(parts=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=4, unique=True))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_the_same_key_is_the_same_draw_and_order_matters(parts):
    assert torch.equal(fold(0, *parts), fold(0, *parts))
    assert fold(0, *parts) != fold(0, *reversed(parts))
    assert fold(0, *parts) != fold(0, *parts, 0)


@given(parts=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=4))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_a_number_is_the_same_part_as_a_tensor_of_it(parts):
    tensors = [torch.tensor(part) for part in parts]
    assert fold(*parts) == fold(*tensors) == fold(parts[0], *tensors[1:])
    assert fold(*parts).dtype == torch.int64


def test_the_global_stream_is_left_alone():
    before = torch.get_rng_state()
    key = fold(1, MANY, "x")
    uniform(key, 2), integers(key, 2, 9), normal(key, 2), permutation(fold(1), 9)
    assert torch.equal(torch.get_rng_state(), before)


@given(
    seed=st.integers(0, 2**31),
    index=st.lists(st.integers(0, 2**31), min_size=1, max_size=8),
    cut=st.integers(0, 8),
)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_a_draw_depends_on_its_sample_and_not_on_its_batch(seed, index, cut):
    whole = torch.tensor(index)
    for draw in (
        lambda i: uniform(fold(seed, i, "view"), 3),
        lambda i: integers(fold(seed, i), 3, 32),
        lambda i: normal(fold(seed, i), 2),
    ):
        in_parts = torch.cat([draw(part) for part in (whole[:cut], whole[cut:])])
        alone = torch.stack([draw(torch.tensor(i)) for i in index])
        assert torch.equal(draw(whole), in_parts)
        assert torch.equal(draw(whole), alone)


@pytest.mark.parametrize("draw", [uniform, normal, lambda key, n: integers(key, n, 99)])
def test_more_draws_begin_with_the_fewer(draw):
    key = fold(1, torch.arange(6))
    assert torch.equal(draw(key, 7)[:, :3], draw(key, 3))


def test_tensors_broadcast_and_equal_their_scalars():
    grid = fold(4, torch.arange(3)[:, None], torch.arange(5))
    assert grid.shape == (3, 5)
    assert grid[2, 4] == fold(4, 2, 4)
    assert fold(torch.tensor([4, 4]), 2, 4).tolist() == [grid[2, 4].item()] * 2
    assert (grid >= 0).all()
    assert (grid < 2**32).all()


def test_only_the_low_32_bits_of_a_part_count_and_negative_parts_are_keys_too():
    assert fold(1, 5) == fold(1, 5 + 2**32) == fold(1 + 2**32, 5)
    assert fold(1, -1) == fold(1, 2**32 - 1)
    assert fold(1, -1) != fold(1, 1)


@given(seed=st.integers(0, 1000), size=st.integers(0, 300))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_a_permutation_holds_every_index_once(seed, size):
    assert permutation(fold(seed), size).sort().values.tolist() == list(range(size))


def test_permutations_are_fair_and_differ_by_key():
    """All 24 orders of four appear evenly."""
    orders = torch.stack([permutation(fold(0, epoch), 4) for epoch in range(2400)])
    code = (orders * torch.tensor([64, 16, 4, 1])).sum(1)
    assert_uniform(code.unique(return_inverse=True)[1], 24)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_accelerator_draws_the_same_bits():
    on_cpu, on_gpu = (fold(3, MANY.to(device), "view") for device in ("cpu", "cuda"))
    assert torch.equal(on_cpu, on_gpu.cpu())
    assert torch.equal(uniform(on_cpu, 3), uniform(on_gpu, 3).cpu())
    assert torch.equal(integers(on_cpu, 3, 77), integers(on_gpu, 3, 77).cpu())
