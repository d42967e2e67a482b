"""AutoAugment's CIFAR-10 policy (Cubuk et al. 2019, arXiv 1805.09501, Table 7)."""

import functools

import torch
from torch import Tensor

from longtail import keyed
from longtail.data.views import colour, geometry
from longtail.data.views.choice import Operation, apply_chosen

Step = tuple[str, float, int]
"""Operation, probability, magnitude from 0 to 9 (unused by operations that have none)."""

CIFAR10: tuple[tuple[Step, Step], ...] = (
    (("invert", 0.1, 0), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 0), ("equalize", 0.9, 0)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("colour", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 0), ("equalize", 0.5, 0)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("colour", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 0), ("autocontrast", 0.4, 0)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("colour", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 0)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 0), ("equalize", 0.6, 0)),
    (("colour", 0.9, 9), ("equalize", 0.6, 0)),
    (("autocontrast", 0.8, 0), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("colour", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 0)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 0), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 0), ("invert", 0.1, 0)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 0)),
)

# The policy was searched on 331-pixel pictures with shifts of up to 150 pixels.
_MAX_SHIFT = 150 / 331


def _shift_x(images: Tensor, level: Tensor) -> Tensor:
    return geometry.translate_x(images, level * (_MAX_SHIFT * images.shape[-1]))


def _shift_y(images: Tensor, level: Tensor) -> Tensor:
    return geometry.translate_y(images, level * (_MAX_SHIFT * images.shape[-2]))


# Each operation takes its magnitude as a level from 0 to 1, or from -1 to 1 if it has a direction;
# those that have one come first.
OPERATIONS: dict[str, Operation] = {
    "rotate": lambda images, level: geometry.rotate(images, 30 * level),
    "shear_y": lambda images, level: geometry.shear_y(images, 0.3 * level),
    "translate_x": _shift_x,
    "translate_y": _shift_y,
    "brightness": lambda images, level: colour.brightness(images, 1 + 0.9 * level),
    "colour": lambda images, level: colour.colour(images, 1 + 0.9 * level),
    "contrast": lambda images, level: colour.contrast(images, 1 + 0.9 * level),
    "sharpness": lambda images, level: colour.sharpness(images, 1 + 0.9 * level),
    "posterize": lambda images, level: colour.posterize(images, 8 - torch.round(4 * level)),
    "solarize": lambda images, level: colour.solarize(images, 255 * (1 - level)),
    "autocontrast": lambda images, _: colour.autocontrast(images),
    "equalize": lambda images, _: colour.equalize(images),
    "invert": lambda images, _: colour.invert(images),
}
UNSIGNED = ("posterize", "solarize", "autocontrast", "equalize", "invert")
_NAMES = tuple(OPERATIONS)


def draw_policy(key: Tensor) -> Tensor:
    """The sub-policy of each picture, int64 [b], an index into `CIFAR10`."""
    return keyed.integers(keyed.fold(key, "policy"), 1, len(CIFAR10))[:, 0]


def draw(key: Tensor, step: int, policy: Tensor) -> tuple[Tensor, Tensor]:
    """One step's operation and level of each picture.

    Args:
        key: int64 [b].
        step: 0 or 1.
        policy: int64 [b], the sub-policy each picture drew.

    Returns:
        int64 [b], an index into `OPERATIONS` or its length where the operation is not applied;
        float32 [b], the level with its sign.
    """
    operations, magnitudes, chances = _table(step, key.device)
    operation, magnitude, chance = operations[policy], magnitudes[policy], chances[policy]
    applied, direction = keyed.uniform(keyed.fold(key, "step", step), 2).unbind(1)
    signed = operation < _NAMES.index(UNSIGNED[0])
    level = magnitude * torch.where(signed & (direction < 0.5), -1 / 9, 1 / 9)
    return torch.where(applied < chance, operation, len(OPERATIONS)), level


@functools.lru_cache(maxsize=8)
def _table(step: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Operations, magnitudes and probabilities of a step of each sub-policy, copied once."""
    names, chances, magnitudes = zip(*(steps[step] for steps in CIFAR10), strict=True)
    operations = torch.tensor([_NAMES.index(name) for name in names], device=device)
    return operations, torch.tensor(magnitudes, device=device), torch.tensor(chances, device=device)


def auto_augment(images: Tensor, key: Tensor) -> Tensor:
    """Two operations a picture, from the sub-policy it drew; nearest neighbour, black outside.

    Args:
        images: uint8 [b, 3, h, w].
        key: int64 [b].
    """
    policy = draw_policy(key)
    for step in (0, 1):
        operation, level = draw(key, step, policy)
        images = apply_chosen(images, operation, level, tuple(OPERATIONS.values()))
    return images
