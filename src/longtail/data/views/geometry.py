"""Where pixels go: shifts, flips, affine maps, crops, holes; each picture with its own parameters.

Pictures are uint8 [b, c, h, w]; a parameter is one number a picture, [b]. Nearest-neighbour maps
run in 16.16 fixed point as Pillow's do, so their result is exact on every device.
"""

import torch
from torch import Tensor
from torch.nn import functional

_ONE = 1 << 16  # 1.0 in 16.16 fixed point
# 8-bit pixels times 14-bit weights sum exactly in float32, so no order of summation (batch size,
# number of threads, device) can change a resampled picture.
_WEIGHT_STEPS = 1 << 14


def hflip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror left and right where `chosen` (bool [b]) says so."""
    differs = (images ^ images.flip(-1)) * chosen[:, None, None, None]
    return images ^ differs


def affine(images: Tensor, matrix: Tensor) -> Tensor:
    """Affine map with nearest-neighbour sampling; what falls outside is black.

    Args:
        images: uint8 [b, c, h, w], sides of at most 8,192 pixels.
        matrix: float64 [b, 6], (a, b, c, d, e, f): the output pixel centred at (x, y) shows the
            input at (a x + b y + c, d x + e y + f). Pillow's convention.

    Returns:
        uint8 [b, c, h, w].
    """
    a, b, c, d, e, f = _fixed_point(matrix)
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device, dtype=torch.int32)
    y = torch.arange(height, device=images.device, dtype=torch.int32)[:, None]
    column = (a * x + (b * y + c)) >> 16
    row = (d * x + (e * y + f)) >> 16
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return _pick(images, (row * width + column) * inside) * inside[:, None]


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn counter-clockwise about the centre, nearest neighbour, black outside."""
    height, width = images.shape[-2:]
    # In float64 the last bit of a sine cannot reach the 16 bits that are kept of it.
    angle = torch.deg2rad(degrees.double())
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y = width / 2, height / 2
    rows = [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y]
    return affine(images, torch.stack(rows, 1))


def shear_x(images: Tensor, slope: Tensor) -> Tensor:
    """Move each row left by `slope` pixels a pixel of its distance from the top edge."""
    m = slope.double()
    one, zero = torch.ones_like(m), torch.zeros_like(m)
    return affine(images, torch.stack([one, m, zero, zero, one, zero], 1))


def shear_y(images: Tensor, slope: Tensor) -> Tensor:
    """Move each column up by `slope` pixels a pixel of its distance from the left edge."""
    m = slope.double()
    one, zero = torch.ones_like(m), torch.zeros_like(m)
    return affine(images, torch.stack([one, zero, zero, m, one, zero], 1))


def translate(images: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Shift by whole pixels (int64 [b] each); black moves in."""
    height, width = images.shape[-2:]
    column = torch.arange(width, device=images.device) - right[:, None]
    row = torch.arange(height, device=images.device) - down[:, None]
    inside = _within(row, height)[:, :, None] & _within(column, width)[:, None, :]
    source = row.clamp(0, height - 1)[:, :, None] * width + column.clamp(0, width - 1)[:, None, :]
    return _pick(images, source) * inside[:, None]


def translate_x(images: Tensor, pixels: Tensor) -> Tensor:
    """Shift right by whole pixels; fractions are cut off towards zero."""
    return translate(images, pixels.long(), torch.zeros_like(pixels.long()))


def translate_y(images: Tensor, pixels: Tensor) -> Tensor:
    """Shift down by whole pixels; fractions are cut off towards zero."""
    return translate(images, torch.zeros_like(pixels.long()), pixels.long())


def cutout(images: Tensor, row: Tensor, column: Tensor, size: int) -> Tensor:
    """Black out a square of side `size` centred at (row, column), clipped at the edges.

    DeVries & Taylor 2017, arXiv 1708.04552. The hole covers [centre - size // 2, centre - size // 2
    + size) along each axis.
    """
    height, width = images.shape[-2:]
    in_rows = _within(torch.arange(height, device=images.device) - (row - size // 2)[:, None], size)
    in_columns = _within(
        torch.arange(width, device=images.device) - (column - size // 2)[:, None], size
    )
    keep = ~(in_rows[:, :, None] & in_columns[:, None, :])
    return images * keep[:, None]


def resized_crop(
    images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor
) -> Tensor:
    """Cut one box a picture and resize it back to the full size, bilinear.

    Resizing is a product with one sparse matrix an axis, horizontally first and rounded to whole
    grey levels in between as Pillow does. A box is never larger than the output, so nothing is
    shrunk and Pillow's antialiasing has no part in it. Within one grey level of Pillow.

    Args:
        images: uint8 [b, c, h, w].
        top: int64 [b], the box's first row.
        left: int64 [b], its first column.
        height: int64 [b], its rows, at least 1; the box lies inside the picture.
        width: int64 [b], its columns, at least 1.
    """
    across = _triangle_weights(left, width, images.shape[-1])
    along = _triangle_weights(top, height, images.shape[-2])
    rows = _whole(images.float().flatten(1, 2) @ across.transpose(1, 2))
    resized = _whole(along[:, None] @ rows.view(images.shape))
    return resized.short().to(torch.uint8)


def warp(images: Tensor, degrees: Tensor, scale: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Turn counter-clockwise, enlarge and shift about the centre, bilinear, black outside.

    Args:
        images: uint8 [b, c, h, w].
        degrees: float [b].
        scale: float [b], 2 doubles the size of what is seen.
        right: float [b], the shift as a fraction of the width.
        down: float [b], the shift as a fraction of the height.
    """
    height, width = images.shape[-2:]
    angle = torch.deg2rad(degrees.double())
    cos = (torch.cos(angle) / scale).float()[:, None, None]
    sin = (torch.sin(angle) / scale).float()[:, None, None]
    x = _centred(width, images.device) * width - (right * width)[:, None, None]
    y = _centred(height, images.device)[:, None] * height - (down * height)[:, None, None]
    grid = torch.stack([(cos * x - sin * y) * (2 / width), (sin * x + cos * y) * (2 / height)], -1)
    warped = functional.grid_sample(images.float(), grid, align_corners=False)
    return _whole(warped).short().to(torch.uint8)


def _centred(size: int, device: torch.device) -> Tensor:
    """Pixel centres of one axis in (-0.5, 0.5)."""
    return (torch.arange(size, device=device) + 0.5) / size - 0.5


def _triangle_weights(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Weights [b, size, size] that resample `length` pixels from `start` to `size` pixels."""
    pixel = torch.arange(size, device=start.device) + 0.5
    centre = start[:, None] + pixel * (length / size)[:, None]
    distance = (pixel - centre[:, :, None]).abs_()
    in_box = _within(pixel - start[:, None], length[:, None])[:, None, :]
    weights = torch.round((1 - distance).clamp_(min=0) * in_box * _WEIGHT_STEPS)
    return (weights * (_WEIGHT_STEPS / weights.sum(-1, keepdim=True))).round_() / _WEIGHT_STEPS


def _whole(grey: Tensor) -> Tensor:
    return grey.add_(0.5).floor_()


def _within(offset: Tensor, length: Tensor | int) -> Tensor:
    return (offset >= 0) & (offset < length)


def _pick(images: Tensor, source: Tensor) -> Tensor:
    """The pixels at flat positions `source` [b, h, w] of every channel."""
    b, c, h, w = images.shape
    index = source.long().view(b, 1, h * w).expand(b, c, h * w)
    return images.reshape(b, c, h * w).gather(2, index).view(b, c, h, w)


def _fixed_point(matrix: Tensor) -> tuple[Tensor, ...]:
    """The six coefficients in 16.16 fixed point, int32 [b, 1, 1] each, for corner-based pixels."""
    half_x = (matrix[:, 0::3] + matrix[:, 1::3]) * 0.5
    centred = torch.stack(
        [
            *(matrix[:, 0], matrix[:, 1], matrix[:, 2] + half_x[:, 0]),
            *(matrix[:, 3], matrix[:, 4], matrix[:, 5] + half_x[:, 1]),
        ]
    )
    fixed = torch.floor(centred * _ONE + 0.5).to(torch.int32)
    return fixed[:, :, None, None].unbind(0)
