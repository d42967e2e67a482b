"""Optimisation: the optimiser of a run's settings and its learning rate at any step."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from longtail.optim import schedules
from longtail.optim.settings import Settings


def build_optimiser(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.SGD:
    """SGD with momentum and L2 weight decay on every parameter, as the papers train.

    On CUDA the rate is a tensor there, which a recorded graph of the step reads anew each time,
    and the update is fused: the other forms would fetch the rate to the host.
    """
    parameters = list(parameters)
    device = parameters[0].device
    on_cuda = device.type == "cuda"
    optimiser = torch.optim.SGD(
        parameters,
        lr=torch.tensor(settings.lr, device=device) if on_cuda else settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        fused=on_cuda or None,  # None leaves the choice to torch
    )
    if on_cuda:
        # The fused update takes all momenta or none, and a head may meet its first gradient late.
        for parameter in parameters:
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Take the next steps at `rate`; a rate that is a tensor is filled where it is."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


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
