"""What pixels look like: Pillow's look-ups and blends, on whole batches.

Pictures are uint8 [b, 3, h, w]; a parameter is one number a picture, [b]. Every function rounds
where Pillow rounds, so look-ups are equal to it and blends differ by at most one grey level.
"""

import torch
from torch import Tensor


def invert(images: Tensor) -> Tensor:
    """The negative."""
    return ~images


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the `bits` (0 to 8) highest bits of every value."""
    mask = (0xFF00 >> bits.long()) & 0xFF
    return images & _per_picture(mask).to(torch.uint8)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert every value that is not below `threshold`."""
    # Thresholds compare as whole numbers: a byte is below t exactly when it is below ceil(t).
    limit = _per_picture(torch.ceil(threshold).clamp(0, 256).short())
    return images ^ ((images.short() >= limit).to(torch.uint8) * 255)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel so that its darkest value becomes 0 and its brightest 255."""
    low = images.amin((2, 3)).double()
    high = images.amax((2, 3)).double()
    flat = high <= low
    # In float64 and in this order, since Pillow truncates: 254.99999 and 255 are two grey levels.
    # A tensor divided, not a number: torch turns the latter into a product with the reciprocal.
    scale = torch.where(flat, 1.0, torch.full_like(high, 255.0) / (high - low))
    offset = torch.where(flat, 0.0, -low * scale)
    levels = torch.arange(256, device=images.device, dtype=torch.float64)
    table = (levels * scale[..., None] + offset[..., None]).clamp_(0, 255).to(torch.uint8)
    return _look_up(images, table)


def equalize(images: Tensor) -> Tensor:
    """Map each channel so that its histogram is as even as it can be."""
    b, c = images.shape[:2]
    values = images.reshape(b * c, -1).long()
    histogram = torch.zeros(b * c, 256, dtype=torch.int32, device=images.device)
    histogram.scatter_add_(1, values, values.new_ones(1, dtype=torch.int32).expand_as(values))
    brightest = histogram.gather(1, values.amax(1, keepdim=True))
    step = (values.shape[1] - brightest) // 255
    below = histogram.cumsum(1, dtype=torch.int32) - histogram
    even = (below + step // 2).div(step.clamp(min=1), rounding_mode="floor").clamp_(max=255)
    table = torch.where(step > 0, even, torch.arange(256, device=images.device))
    return table.to(torch.uint8).gather(1, values).view_as(images)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black: 0 is black, 1 the picture, more is brighter."""
    return _truncate(images.float() * _per_picture(factor))


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the picture's mean grey."""
    grey = _luminance(images)
    pixels = grey.shape[-1] * grey.shape[-2]
    total = grey.sum((1, 2, 3), dtype=torch.float64)
    return _blend(_per_picture(torch.floor(total / pixels + 0.5).float()), images, factor)


def colour(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey picture: 0 is grey, more is more saturated."""
    return _blend(_luminance(images), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed picture: 0 is smooth, more than 1 sharper."""
    return _blend(_smooth(images).float(), images, factor)


def greyscale(images: Tensor) -> Tensor:
    """The luminance (ITU-R 601-2) in all three channels."""
    return _as_bytes(_luminance(images)).expand(-1, 3, -1, -1).contiguous()


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the colour circle by `turn` (-0.5 to 0.5 of a full turn).

    Hue and saturation are rounded to 8 bits on the way, as in Pillow's HSV pictures.
    """
    angle, saturation, value = _to_hsv(images)
    # The 8-bit angle wraps at 256 although a full turn is 255 steps, as in Pillow.
    turned = angle + torch.trunc(turn * 255)[:, None, None]
    sixths = (turned - (turned / 256).floor_().mul_(256)) * (6 / 255)
    depth = value * (saturation / 255)
    red = 2 - (sixths - 3).abs_()
    green, blue = (sixths - 2).abs_() - 1, (sixths - 4).abs_() - 1
    losses = torch.stack([red, green, blue], 1).clamp_(0, 1)
    return _as_bytes(value[:, None] - losses.mul_(depth[:, None]) + 0.5)


def _to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, saturation and value, float32 [b, h, w] each, whole numbers from 0 to 255."""
    channels = images.float().unbind(1)
    value = torch.maximum(torch.maximum(channels[0], channels[1]), channels[2])
    darkest = torch.minimum(torch.minimum(channels[0], channels[1]), channels[2])
    spread = value - darkest
    divisor = spread.clamp(min=1)
    red, green, blue = ((value - channel) / divisor for channel in channels)
    # Products with 0 and 1 choose the brightest channel's sector: torch.where is many times slower.
    red_first = (red == 0).float()
    green_first = (green == 0).float() * (1 - red_first)
    blue_first = 1 - red_first - green_first
    sixths = red_first * (blue - green) + green_first * (2 + red - blue)
    turns = (sixths + blue_first * (4 + green - red)) / 6 + 1
    angle = ((turns - turns.floor()) * 255).floor_()
    return angle, (spread / value.clamp(min=1) * 255).floor_(), value


def _luminance(images: Tensor) -> Tensor:
    """Grey levels, float32 [b, 1, h, w], whole numbers; exact, for the sum stays below 2**24."""
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    grey = red.float().mul_(19595).add_(green.float().mul_(38470)).add_(blue.float().mul_(7471))
    return grey.add_(32768).mul_(2.0**-16).floor_()


def _smooth(images: Tensor) -> Tensor:
    """The 3x3 mean that counts its centre five times, int16; the border keeps its values."""
    wide = images.short()
    across = wide[..., :-2] + wide[..., 1:-1] + wide[..., 2:]
    total = across[..., :-2, :] + across[..., 1:-1, :] + across[..., 2:, :]
    smoothed = wide.clone()
    centre = wide[..., 1:-1, 1:-1]
    # The nearest thirteenth: adding 6 before cutting off, for 13 is odd and there are no ties.
    smoothed[..., 1:-1, 1:-1] = ((total + 4 * centre + 6).float() / 13).short()
    return smoothed


def _blend(base: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    return _truncate((images.float() - base).mul_(_per_picture(factor)).add_(base))


def _truncate(grey: Tensor) -> Tensor:
    return _as_bytes(grey.clamp_(0, 255))


def _as_bytes(grey: Tensor) -> Tensor:
    """Cut off fractions; by way of int16, since torch's direct conversion is not vectorised."""
    return grey.short().to(torch.uint8)


def _look_up(images: Tensor, table: Tensor) -> Tensor:
    """Replace each value by its entry in its picture's and channel's table, uint8 [b, c, 256]."""
    return table.gather(2, images.flatten(2).long()).view_as(images)


def _per_picture(parameter: Tensor) -> Tensor:
    return parameter[:, None, None, None]
