"""Optimisation: the optimiser of a run's settings and its learning rate at any step."""

from collections.abc import Iterable

import torch
from torch import nn

from longtail.optim import schedules
from longtail.optim.settings import Settings


def build_optimiser(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.SGD:
    """SGD with momentum and L2 weight decay on every parameter, as the papers train."""
    return torch.optim.SGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
    )


def learning_rate(settings: Settings, step: int, num_steps: int) -> float:
    """The rate of 0-based `step` out of `num_steps`.

    Warm-up counts the step about to be taken, so the first one already moves; the decay counts the
    steps already taken.
    """
    done = step / num_steps
    if settings.schedule == "cosine":
        decay = schedules.cosine(done)
    else:
        decay = schedules.step(done, settings.milestones, settings.decay)
    return settings.lr * decay * schedules.warmup((step + 1) / num_steps, settings.warmup)
