"""Views of grey pictures whose meaning a mirror or a colour would change: digits, letters.

The three channels are equal and stay so. The background is taken to be black.
"""

from torch import Tensor

from longtail import keyed
from longtail.data.views import colour, geometry


def weak(images: Tensor, key: Tensor) -> Tensor:
    """A shift by whole pixels, at most an eighth of the side.

    Args:
        images: uint8 [b, 3, h, w].
        key: int64 [b].
    """
    height, width = images.shape[-2:]
    right = keyed.integers(keyed.fold(key, "x"), 1, 2 * (width // 8) + 1)[:, 0] - width // 8
    down = keyed.integers(keyed.fold(key, "y"), 1, 2 * (height // 8) + 1)[:, 0] - height // 8
    return geometry.translate(images, right, down)


def strong(images: Tensor, key: Tensor) -> Tensor:
    """Turned by up to 10 degrees, scaled by 0.9 to 1.1, shifted by up to an eighth; bilinear."""
    return _warped(images, key, degrees=10.0, zoom=0.1)


def contrastive(images: Tensor, key: Tensor) -> Tensor:
    """A stronger warp, dimmed or brightened, with a small hole.

    Turned by up to 15 degrees, scaled by 0.8 to 1.2, shifted by up to an eighth; brightness 0.6 to
    1.4; a black square of a quarter of the height anywhere.
    """
    warped = _warped(images, key, degrees=15.0, zoom=0.2)
    factor = 1 + 0.4 * _centred(keyed.fold(key, "brightness"), 1)[:, 0]
    height, width = images.shape[-2:]
    row = keyed.integers(keyed.fold(key, "hole", "y"), 1, height)[:, 0]
    column = keyed.integers(keyed.fold(key, "hole", "x"), 1, width)[:, 0]
    return geometry.cutout(colour.brightness(warped, factor), row, column, height // 4)


def _warped(images: Tensor, key: Tensor, *, degrees: float, zoom: float) -> Tensor:
    turn, scale, right, down = _centred(keyed.fold(key, "warp"), 4).unbind(1)
    return geometry.warp(images, degrees * turn, 1 + zoom * scale, right / 8, down / 8)


def _centred(key: Tensor, draws: int) -> Tensor:
    """Uniform numbers in [-1, 1)."""
    return 2 * keyed.uniform(key, draws) - 1
