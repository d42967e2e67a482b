"""Each operation against Pillow and torchvision's Pillow backend, on real photographs."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as reference
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms import InterpolationMode

from longtail.data.views import colour, geometry

SIDE = 32


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiles() -> Tensor:
    """160 tiles of two photographs, the last four flat, nearly flat, black and white."""
    pictures = np.stack(load_sample_images().images)[:, :416, :640]
    cut = pictures.reshape(2, 13, SIDE, 20, SIDE, 3).transpose(0, 1, 3, 5, 2, 4)
    chosen = torch.tensor(cut.reshape(-1, 3, SIDE, SIDE)[::3][:160].copy())
    chosen[-4] = 77
    chosen[-3] = torch.randint(90, 93, (3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    chosen[-2], chosen[-1] = 0, 255
    return chosen


def each(tiles: Tensor, parameters: Tensor, change: Callable[[Image.Image, float], Image.Image]):
    pictures = [Image.fromarray(tile.permute(1, 2, 0).numpy()) for tile in tiles]
    done = [change(p, n) for p, n in zip(pictures, parameters.tolist(), strict=True)]
    return torch.stack([torch.tensor(np.array(p)).permute(2, 0, 1) for p in done])


def spread(low: float, high: float, count: int = 160) -> Tensor:
    return torch.linspace(low, high, count)


def difference(ours: Tensor, theirs: Tensor) -> Tensor:
    assert ours.dtype == torch.uint8
    assert ours.shape == theirs.shape
    assert ours.is_contiguous()
    return (ours.int() - theirs.int()).abs()


LOOK_UPS = {
    "posterize": (
        colour.posterize,
        spread(1, 8).round(),
        lambda p, n: ImageOps.posterize(p, int(n)),
    ),
    "solarize": (colour.solarize, spread(0, 256), ImageOps.solarize),
    "invert": (lambda x, _: colour.invert(x), spread(0, 1), lambda p, _: ImageOps.invert(p)),
    "autocontrast": (
        lambda x, _: colour.autocontrast(x),
        spread(0, 1),
        lambda p, _: ImageOps.autocontrast(p),
    ),
    "equalize": (
        lambda x, _: colour.equalize(x),
        spread(0, 1),
        lambda p, _: ImageOps.equalize(p),
    ),
    "greyscale": (
        lambda x, _: colour.greyscale(x),
        spread(0, 1),
        lambda p, _: reference.to_grayscale(p, 3),
    ),
}


@pytest.mark.parametrize("name", LOOK_UPS)
def test_a_look_up_equals_pillow(tiles, name):
    ours, parameters, theirs = LOOK_UPS[name]
    assert difference(ours(tiles, parameters), each(tiles, parameters, theirs)).max() == 0


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
@pytest.mark.parametrize("side", [8, 15, 64])
def test_a_histogram_operation_equals_pillow_for_other_sizes(name, side):
    noise = torch.Generator().manual_seed(side)
    pictures = torch.randint(0, 256, (20, 3, side, side), generator=noise, dtype=torch.uint8)
    pictures[:10] = pictures[:10] // 7 * 3 + 5
    ours, _, theirs = LOOK_UPS[name]
    unused = torch.zeros(20)
    assert difference(ours(pictures, unused), each(pictures, unused, theirs)).max() == 0


BLENDS = {
    "brightness": (colour.brightness, ImageEnhance.Brightness),
    "contrast": (colour.contrast, ImageEnhance.Contrast),
    "colour": (colour.colour, ImageEnhance.Color),
    "sharpness": (colour.sharpness, ImageEnhance.Sharpness),
}


@pytest.mark.parametrize("name", BLENDS)
def test_a_blend_is_within_one_grey_level_of_pillow(tiles, name):
    ours, enhancer = BLENDS[name]
    factors = spread(0.1, 1.9)
    theirs = each(tiles, factors, lambda p, n: enhancer(p).enhance(n))
    gap = difference(ours(tiles, factors), theirs)
    assert gap.max() <= 1
    assert (gap == 0).float().mean() > 0.999


def test_hue_equals_torchvision_but_for_roundings(tiles):
    turns = spread(-0.5, 0.5)
    gap = difference(colour.hue(tiles, turns), each(tiles, turns, reference.adjust_hue))
    assert (gap <= 1).float().mean() > 0.999
    assert (gap == 0).float().mean() > 0.99


def moved(picture: Image.Image, right: float, down: float) -> Image.Image:
    return reference.affine(picture, 0.0, [int(right), int(down)], 1.0, [0.0, 0.0])


def sheared(picture: Image.Image, x: float, y: float) -> Image.Image:
    degrees = [float(np.degrees(np.arctan(x))), float(np.degrees(np.arctan(y)))]
    return reference.affine(picture, 0.0, [0, 0], 1.0, degrees, center=[0, 0])


MOVES = {
    "rotate": (geometry.rotate, spread(-30, 30), reference.rotate),
    "shear_x": (geometry.shear_x, spread(-0.3, 0.3), lambda p, n: sheared(p, n, 0)),
    "shear_y": (geometry.shear_y, spread(-0.3, 0.3), lambda p, n: sheared(p, 0, n)),
    "translate_x": (geometry.translate_x, spread(-15, 15), lambda p, n: moved(p, n, 0)),
    "translate_y": (geometry.translate_y, spread(-15, 15), lambda p, n: moved(p, 0, n)),
    "hflip": (
        lambda x, n: geometry.hflip(x, n > 0),
        spread(-1, 1),
        lambda p, n: ImageOps.mirror(p) if n > 0 else p,
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_geometric_operation_shows_the_same_pixels_as_torchvision(tiles, name):
    ours, parameters, theirs = MOVES[name]
    gap = difference(ours(tiles, parameters), each(tiles, parameters, theirs))
    assert (gap.amax(1) == 0).float().mean() >= 0.999


@pytest.mark.parametrize("name", MOVES)
def test_a_geometric_operation_takes_pictures_that_are_not_square(tiles, name):
    ours, parameters, theirs = MOVES[name]
    wide = tiles[:, :, 4:24]
    gap = difference(ours(wide, parameters), each(wide, parameters, theirs))
    assert (gap.amax(1) == 0).float().mean() >= 0.999


@pytest.mark.parametrize("rows", [32, 20])
def test_a_resized_crop_is_within_one_grey_level_of_pillow(tiles, rows):
    pictures = tiles[:, :, :rows]
    noise = torch.Generator().manual_seed(1)
    height = torch.randint(1, rows + 1, (160,), generator=noise)
    width = torch.randint(1, SIDE + 1, (160,), generator=noise)
    top = (torch.rand(160, generator=noise) * (rows - height + 1)).long()
    left = (torch.rand(160, generator=noise) * (SIDE - width + 1)).long()
    boxes = torch.stack([top, left, height, width], 1)

    def cut(picture: Image.Image, index: float) -> Image.Image:
        box = boxes[int(index)].tolist()
        return reference.resized_crop(picture, *box, [rows, SIDE], InterpolationMode.BILINEAR)

    theirs = each(pictures, torch.arange(160.0), cut)
    gap = difference(geometry.resized_crop(pictures.contiguous(), *boxes.unbind(1)), theirs)
    assert gap.max() <= 1
    assert (gap == 0).float().mean() > 0.95


def test_a_warp_that_does_nothing_returns_the_picture(tiles):
    zero, one = torch.zeros(160), torch.ones(160)
    assert difference(geometry.warp(tiles, zero, one, zero, zero), tiles).max() == 0


def test_a_warp_by_whole_pixels_is_a_shift(tiles):
    zero, one, eighth = torch.zeros(160), torch.ones(160), torch.full((160,), 1 / 8)
    shifted = geometry.translate_x(tiles, torch.full((160,), 4))
    assert difference(geometry.warp(tiles, zero, one, eighth, zero), shifted).max() <= 1


def test_a_warp_turns_and_enlarges_as_pillow_does(tiles):
    """Pillow blends no black in at the border, so the border is left out."""
    zero = torch.zeros(160)
    degrees, scale = spread(-15, 15), 1.2

    def turned(picture: Image.Image, angle: float) -> Image.Image:
        bilinear = InterpolationMode.BILINEAR
        return reference.affine(picture, -angle, [0, 0], scale, [0.0, 0.0], bilinear)

    ours = geometry.warp(tiles, degrees, torch.full((160,), scale), zero, zero)
    gap = difference(ours, each(tiles, degrees, turned))[..., 4:-4, 4:-4]
    assert gap.max() <= 2


def test_a_hole_is_black_and_clipped_at_the_edges():
    white = torch.full((3, 3, 8, 12), 255, dtype=torch.uint8)
    holed = geometry.cutout(white, torch.tensor([4, 0, 7]), torch.tensor([6, 0, 11]), 4)
    expected = white.clone()
    expected[0, :, 2:6, 4:8] = 0
    expected[1, :, :2, :2] = 0
    expected[2, :, 5:, 9:] = 0
    assert torch.equal(holed, expected)
