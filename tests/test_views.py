"""Views as pure functions of samples and keys, and what they draw against torchvision's draws."""

import math

import numpy as np
import pytest
import torch
import torchvision.transforms as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from torch import Tensor
from torchvision.transforms import autoaugment
from torchvision.transforms import functional as reference_functional

from longtail import keyed
from longtail.data.views import VIEWS, digits, photo, policy, view_for
from longtail.data.views.choice import apply_chosen
from longtail.errors import DataError, UsageError

EVERY_VIEW = [(kind, role) for kind, roles in VIEWS.items() for role in roles]
THEIR_NAMES = {
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
    "shear_y": "ShearY",
    "colour": "Color",
    "autocontrast": "AutoContrast",
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def keys(count: int, seed: int = 0) -> Tensor:
    return keyed.fold(seed, torch.arange(count))


def samples(kind: str, count: int, *, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    noise = torch.Generator().manual_seed(seed)
    if kind == "vector":
        return torch.randn(count, 37, generator=noise)
    channels = 1 if kind == "digits" else 3
    coarse = torch.rand(count, channels, 5, 5, generator=noise) * 255
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return smooth.clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1).contiguous()


@pytest.mark.parametrize(("kind", "role"), EVERY_VIEW)
def test_a_sample_is_viewed_alike_in_every_batch(kind, role):
    view, inputs, key = view_for(kind, role), samples(kind, 97), keys(97)
    whole = view(inputs, key)
    order = torch.randperm(97, generator=torch.Generator().manual_seed(1))
    assert torch.equal(view(inputs[order], key[order]), whole[order])
    for size in (1, 2, 7, 64):
        parts = zip(inputs.split(size), key.split(size), strict=True)
        assert torch.equal(torch.cat([view(x, k) for x, k in parts]), whole)


@pytest.mark.parametrize(("kind", "role"), EVERY_VIEW)
def test_a_view_draws_from_no_global_generator_and_leaves_its_input_alone(kind, role):
    inputs, key = samples(kind, 20), keys(20)
    before, state = inputs.clone(), torch.get_rng_state()
    first = view_for(kind, role)(inputs, key)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(inputs, before)
    torch.manual_seed(5)
    assert torch.equal(view_for(kind, role)(inputs, key), first)
    torch.set_rng_state(state)


@pytest.mark.parametrize(("kind", "role"), [(k, r) for k, r in EVERY_VIEW if r != "plain"])
def test_another_number_of_threads_changes_nothing(kind, role):
    inputs, key = samples(kind, 64), keys(64)
    single = view_for(kind, role)(inputs, key)
    torch.set_num_threads(2)
    double = view_for(kind, role)(inputs, key)
    torch.set_num_threads(1)
    assert torch.equal(single, double)


@given(
    kind=st.sampled_from(["photo", "digits"]),
    role=st.sampled_from(["plain", "weak", "strong", "contrastive"]),
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    count=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_a_picture_of_any_shape_keeps_its_shape(kind, role, height, width, count, seed):
    inputs = samples(kind, max(count, 1), height=height, width=width, seed=seed)[:count]
    viewed = view_for(kind, role)(inputs, keys(count, seed))
    assert viewed.shape == inputs.shape
    assert viewed.dtype == torch.uint8


@pytest.mark.parametrize(
    ("kind", "role"), [pair for pair in EVERY_VIEW if pair[1] in ("strong", "contrastive")]
)
def test_another_key_gives_another_view(kind, role):
    inputs = samples(kind, 1).expand(50, *samples(kind, 1).shape[1:])
    viewed = view_for(kind, role)(inputs, keys(50)).flatten(1)
    assert len(torch.unique(viewed, dim=0)) > 45


@pytest.mark.parametrize("role", ["weak", "strong", "contrastive"])
def test_digits_stay_grey(role):
    viewed = view_for("digits", role)(samples("digits", 60, height=8, width=8), keys(60))
    assert torch.equal(viewed, viewed[:, :1].expand(-1, 3, -1, -1))


def test_pictures_stored_channels_last_are_viewed_alike():
    inputs, key = samples("photo", 30), keys(30)
    stored = inputs.permute(0, 2, 3, 1).contiguous()
    for role in ("weak", "strong", "contrastive"):
        view = view_for("photo", role)
        assert torch.equal(view(stored.permute(0, 3, 1, 2), key), view(inputs, key))


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match="Did you mean 'photo'"):
        view_for("photos", "weak")
    with pytest.raises(UsageError, match="Did you mean 'contrastive'"):
        view_for("photo", "contrastiv")


def test_samples_and_keys_of_the_wrong_type_are_refused():
    view, key = view_for("photo", "strong"), keys(4)
    with pytest.raises(DataError, match="permute"):
        view(torch.zeros(4, 32, 32, 3, dtype=torch.uint8), key)
    with pytest.raises(DataError, match="normalise after"):
        view(torch.zeros(4, 3, 32, 32), key)
    with pytest.raises(DataError, match="key a sample"):
        view(torch.zeros(5, 3, 32, 32, dtype=torch.uint8), key)
    with pytest.raises(DataError, match=r"float32\s+\[batch, features\]"):
        view_for("vector", "strong")(torch.zeros(4, 3, 3), key)


def test_the_weak_view_is_a_crop_of_the_padded_picture_mirrored_half_the_time():
    picture = samples("photo", 1)
    viewed = photo.weak(picture.expand(2000, -1, -1, -1).contiguous(), keys(2000))
    padded = torch.nn.functional.pad(picture[0], (4, 4, 4, 4))
    crops = {
        flipped(padded[:, i : i + 32, j : j + 32], mirror).numpy().tobytes(): (i, j, mirror)
        for i in range(9)
        for j in range(9)
        for mirror in (False, True)
    }
    drawn = [crops[one.numpy().tobytes()] for one in viewed]
    for position in range(3):
        observed = np.unique([d[position] for d in drawn], return_counts=True)[1]
        assert len(observed) == (9, 9, 2)[position]
        assert stats.chisquare(observed).pvalue > 1e-3


def flipped(picture: Tensor, mirror: bool) -> Tensor:
    return (picture.flip(-1) if mirror else picture).contiguous()


def test_the_policy_is_the_published_table():
    theirs = reference.AutoAugment(reference.AutoAugmentPolicy.CIFAR10).policies
    ours = [
        tuple((their_name(name), p, magnitude) for name, p, magnitude in sub)
        for sub in policy.CIFAR10
    ]
    assert ours == [tuple((name, p, m or 0) for name, p, m in sub) for sub in theirs]


def their_name(name: str) -> str:
    return THEIR_NAMES.get(name, name.capitalize())


USED = sorted({step for sub in policy.CIFAR10 for name, _, m in sub for step in [(name, m)]})


@pytest.mark.parametrize(("name", "magnitude"), USED)
@pytest.mark.parametrize("sign", [-1, 1])
def test_every_operation_of_the_policy_has_torchvisions_magnitude(name, magnitude, sign):
    pictures = samples("photo", 6, height=24)
    space = reference.AutoAugment()._augmentation_space(10, (24, 32))
    magnitudes, signed = space[their_name(name)]
    theirs = float(magnitudes[magnitude]) if magnitudes.ndim else 0.0
    sign = sign if signed else 1
    level = torch.full((6,), sign * magnitude / 9)
    ours = policy.OPERATIONS[name](pictures, level)
    assert signed == (name not in policy.UNSIGNED)
    for picture, viewed in zip(pictures, ours, strict=True):
        expected = autoaugment._apply_op(
            to_pillow(picture),
            their_name(name),
            sign * theirs,
            reference.InterpolationMode.NEAREST,
            None,
        )
        gap = (viewed.int() - from_pillow(expected).int()).abs()
        assert (gap <= 1).float().mean() > 0.99


def to_pillow(picture: Tensor) -> Image.Image:
    return Image.fromarray(picture.permute(1, 2, 0).numpy())


def from_pillow(picture: Image.Image) -> Tensor:
    return torch.tensor(np.array(picture)).permute(2, 0, 1)


def test_sub_policies_probabilities_and_signs_are_drawn_as_published():
    count = 50_000
    key = keys(count)
    drawn = policy.draw_policy(key)
    assert stats.chisquare(torch.bincount(drawn, minlength=25).numpy()).pvalue > 1e-3
    for step in (0, 1):
        operation, level = policy.draw(key, step, drawn)
        for index, sub in enumerate(policy.CIFAR10):
            name, chance, magnitude = sub[step]
            chosen = operation[drawn == index]
            applied = chosen != len(policy.OPERATIONS)
            assert set(chosen[applied].tolist()) <= {list(policy.OPERATIONS).index(name)}
            trials = len(applied)
            assert stats.binomtest(int(applied.sum()), trials, chance).pvalue > 1e-4
            levels = level[drawn == index]
            assert torch.allclose(levels.abs(), torch.tensor(magnitude / 9))
            if name not in policy.UNSIGNED and magnitude:
                negative = int((levels < 0).sum())
                assert stats.binomtest(negative, trials, 0.5).pvalue > 1e-4
            else:
                assert (levels >= 0).all()


def test_the_two_steps_of_a_policy_are_drawn_independently():
    key = keys(20_000)
    same = torch.full_like(key, 8)
    first = policy.draw(key, 0, same)[0] < len(policy.OPERATIONS)
    second = policy.draw(key, 1, same)[0] < len(policy.OPERATIONS)
    table = [[int((first == a).logical_and(second == b).sum()) for a in (0, 1)] for b in (0, 1)]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_the_hole_is_half_the_height_and_its_centre_uniform():
    """Of a hole clipped at the edges, the share of pixels it covers is known in closed form."""
    white = torch.full((4000, 3, 32, 32), 255, dtype=torch.uint8)
    centres = range(32)
    covered = np.mean([min(32, c + 8) - max(0, c - 8) for c in centres]) ** 2
    black = (photo.hole(white, keys(4000)) == 0)[:, 0].sum((1, 2)).double()
    assert black.max() == 256
    assert float(black.mean()) == pytest.approx(covered, rel=0.02)


@pytest.mark.parametrize("size", [(32, 32), (20, 32)])
def test_boxes_are_distributed_as_torchvisions(size):
    torch.manual_seed(0)
    height, width = size
    blank = torch.zeros(3, height, width)
    crop = reference.RandomResizedCrop(32, scale=(0.08, 1.0))
    theirs = np.array([crop.get_params(blank, crop.scale, crop.ratio) for _ in range(4000)])
    ours = torch.stack(photo.draw_box(keys(8000), height, width), 1).numpy()
    for summary in (
        lambda box: box[:, 0],
        lambda box: box[:, 1],
        lambda box: box[:, 2] * box[:, 3],
        lambda box: box[:, 3] / box[:, 2],
    ):
        assert stats.ks_2samp(summary(ours), summary(theirs)).pvalue > 1e-3
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 2:] >= 1).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()


def test_a_picture_too_narrow_for_any_box_gives_the_largest_central_one():
    boxes = torch.stack(photo.draw_box(keys(200), 2, 64), 1)
    largest = torch.tensor(
        reference.RandomResizedCrop.get_params(torch.zeros(3, 2, 64), (0.08, 1.0), (3 / 4, 4 / 3))
    )
    assert (boxes == largest).all()


def test_jitter_factors_orders_and_rates_are_torchvisions():
    order, factors = photo.draw_jitter(keys(24_000))
    kept = (order == 4).all(1)
    assert torch.equal(kept, (order == 4).any(1))
    assert stats.binomtest(int(kept.sum()), 24_000, 0.2).pvalue > 1e-3
    orders = np.unique(order[~kept].numpy(), axis=0, return_counts=True)[1]
    assert len(orders) == math.factorial(4)
    assert stats.chisquare(orders).pvalue > 1e-3
    for column, (low, width) in enumerate([(0.6, 0.8), (0.6, 0.8), (0.6, 0.8), (-0.1, 0.2)]):
        drawn = factors[:, column].numpy()
        assert stats.kstest(drawn, stats.uniform(low, width).cdf).pvalue > 1e-3
    # The factors do not depend on each other.
    assert np.abs(np.corrcoef(factors.numpy().T) - np.eye(4)).max() < 0.03


def test_jitter_is_torchvisions_operations_in_the_drawn_order():
    pictures, key = samples("photo", 120), keys(120)
    names = ("brightness", "contrast", "saturation", "hue")
    order, factors = photo.draw_jitter(key)
    gaps = []
    for i, viewed in enumerate(photo.colour_jitter(pictures, key)):
        expected = to_pillow(pictures[i])
        for step in (s for s in order[i].tolist() if s < 4):
            change = getattr(reference_functional, f"adjust_{names[step]}")
            expected = change(expected, float(factors[i, step]))
        gaps.append((viewed.int() - from_pillow(expected).int()).abs())
    gap = torch.stack(gaps)
    # A grey level lost before the hue is turned can become a few after it.
    assert (gap <= 1).float().mean() > 0.99
    assert gap.max() <= 16


def test_a_fifth_of_the_contrastive_views_is_grey():
    pictures = samples("photo", 1).expand(3000, -1, -1, -1).contiguous()
    viewed = photo.contrastive(pictures, keys(3000)).int()
    grey = int((viewed == viewed[:, :1]).flatten(1).all(1).sum())
    assert stats.binomtest(grey, 3000, 0.2).pvalue > 1e-3


def test_the_weak_view_of_a_digit_shifts_by_at_most_one_pixel_in_eight():
    dot = torch.zeros(900, 3, 8, 8, dtype=torch.uint8)
    dot[:, :, 4, 4] = 200
    where = digits.weak(dot, keys(900))[:, 0].nonzero()[:, 1:] - 4
    assert stats.chisquare(np.unique(where.numpy(), axis=0, return_counts=True)[1]).pvalue > 1e-3
    assert where.abs().max() == 1


def test_the_noise_on_vectors_is_normal_with_a_tenth_of_the_unit():
    zeros = torch.zeros(500, 20)
    noise = view_for("vector", "strong")(zeros, keys(500)).flatten().numpy()
    assert stats.kstest(noise, stats.norm(scale=0.1).cdf).pvalue > 1e-3


def test_a_tenth_of_the_features_is_dropped_and_the_mean_kept():
    ones = torch.ones(500, 40)
    viewed = view_for("vector", "contrastive")(ones, keys(500))
    dropped = int((viewed == 0).sum())
    assert stats.binomtest(dropped, 20_000, 0.1).pvalue > 1e-3
    assert float(viewed.mean()) == pytest.approx(1, abs=0.01)


def test_each_picture_gets_the_operation_it_drew():
    pictures = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 2, 2)
    chosen = torch.tensor([1, 0, 2, 1, 2, 0])
    number = torch.arange(6.0) * 10
    changed = apply_chosen(
        pictures,
        chosen,
        number,
        (lambda x, n: x + 100, lambda x, n: x + n.to(torch.uint8)[:, None, None, None]),
    )
    assert changed[:, 0, 0, 0].tolist() == [0, 101, 2, 33, 4, 105]
