"""Views of photographs, in proportion to the 32x32 pictures they were published for."""

import math

import torch
from torch import Tensor

from longtail import keyed
from longtail.data.views import colour, geometry
from longtail.data.views.choice import Operation, apply_chosen
from longtail.data.views.policy import auto_augment

_CROP_ATTEMPTS = 10
_JITTER: tuple[Operation, ...] = (colour.brightness, colour.contrast, colour.colour, colour.hue)


def weak(images: Tensor, key: Tensor) -> Tensor:
    """A crop from zero padding of an eighth of the side, mirrored half the time.

    Args:
        images: uint8 [b, 3, h, w].
        key: int64 [b].
    """
    height, width = images.shape[-2:]
    draw = keyed.fold(key, "crop")
    right = keyed.integers(keyed.fold(draw, "x"), 1, 2 * (width // 8) + 1)[:, 0] - width // 8
    down = keyed.integers(keyed.fold(draw, "y"), 1, 2 * (height // 8) + 1)[:, 0] - height // 8
    return _half_mirrored(geometry.translate(images, right, down), key)


def strong(images: Tensor, key: Tensor) -> Tensor:
    """`weak`, then AutoAugment's CIFAR-10 policy, then a black square of half the height.

    The strong CIFAR view of Balanced Meta-Softmax (Ren et al. 2020) and those after it.
    """
    return hole(auto_augment(weak(images, key), key), key)


def hole(images: Tensor, key: Tensor) -> Tensor:
    """Cutout: a black square of half the height, its centre uniform over the pixels."""
    height, width = images.shape[-2:]
    row = keyed.integers(keyed.fold(key, "hole", "y"), 1, height)[:, 0]
    column = keyed.integers(keyed.fold(key, "hole", "x"), 1, width)[:, 0]
    return geometry.cutout(images, row, column, height // 2)


def contrastive(images: Tensor, key: Tensor) -> Tensor:
    """SimCLR's view (Chen et al. 2020, arXiv 2002.05709) without blur, as for CIFAR.

    A box of 8 to 100 % of the area and an aspect of 3/4 to 4/3, resized bilinearly; mirrored half
    the time; brightness, contrast, saturation (each 0.6 to 1.4) and hue (a tenth of a turn either
    way) in a random order with probability 0.8; grey with probability 0.2.
    """
    box = draw_box(key, images.shape[-2], images.shape[-1])
    cropped = _half_mirrored(geometry.resized_crop(images, *box), key)
    jittered = colour_jitter(cropped, key)
    grey = keyed.uniform(keyed.fold(key, "grey"), 1)[:, 0]
    return apply_chosen(
        jittered, (grey >= 0.2).long(), grey, (lambda chosen, _: colour.greyscale(chosen),)
    )


def colour_jitter(images: Tensor, key: Tensor) -> Tensor:
    """The four colour changes of `contrastive`, in each picture's own order."""
    order, factors = draw_jitter(key)
    for step in order.unbind(1):
        factor = factors.gather(1, step.clamp(max=len(_JITTER) - 1)[:, None])[:, 0]
        images = apply_chosen(images, step, factor, _JITTER)
    return images


def draw_jitter(key: Tensor) -> tuple[Tensor, Tensor]:
    """Each picture's order of colour changes and their factors.

    Returns:
        int64 [b, 4], 0 to 3 for brightness, contrast, saturation and hue in order of application,
        or 4 throughout where the picture keeps its colours (one in five);
        float32 [b, 4], the factors, indexed by change.
    """
    draw = keyed.fold(key, "jitter")
    order = torch.argsort(keyed.integers(keyed.fold(draw, "order"), 4, 1 << 24), stable=True)
    kept = keyed.uniform(keyed.fold(draw, "applied"), 1) >= 0.8
    centred = 2 * keyed.uniform(keyed.fold(draw, "factors"), 4) - 1
    spread = torch.tensor([0.4, 0.4, 0.4, 0.1], device=key.device)
    centre = torch.tensor([1.0, 1.0, 1.0, 0.0], device=key.device)
    return torch.where(kept, len(_JITTER), order), centre + centred * spread


def draw_box(key: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Top, left, height and width of each picture's box, int64 [b] each.

    The area is uniform and the aspect log-uniform; of ten attempts the first that fits is taken,
    and the largest central box of an allowed aspect where none does.
    """
    draw = keyed.fold(key, "box")
    area = keyed.uniform(keyed.fold(draw, "area"), _CROP_ATTEMPTS).double() * 0.92 + 0.08
    log_aspect = keyed.uniform(keyed.fold(draw, "aspect"), _CROP_ATTEMPTS).double() * 2 - 1
    aspect = torch.exp(log_aspect * math.log(4 / 3))
    widths = torch.round(torch.sqrt(area * aspect * (height * width)))
    heights = torch.round(torch.sqrt(area / aspect * (height * width)))
    fits = (widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height)
    first = fits.int().argmax(1, keepdim=True)
    found = fits.any(1)
    box_h = torch.where(found, heights.gather(1, first)[:, 0], min(height, round(width * 4 / 3)))
    box_w = torch.where(found, widths.gather(1, first)[:, 0], min(width, round(height * 4 / 3)))
    y, x = keyed.uniform(keyed.fold(draw, "place"), 2).double().unbind(1)
    free_y, free_x = height - box_h, width - box_w
    top = torch.where(found, y * (free_y + 1), free_y / 2)
    left = torch.where(found, x * (free_x + 1), free_x / 2)
    return top.long(), left.long(), box_h.long(), box_w.long()


def _half_mirrored(images: Tensor, key: Tensor) -> Tensor:
    return geometry.hflip(images, keyed.uniform(keyed.fold(key, "mirror"), 1)[:, 0] < 0.5)
