"""Optimisation: the optimiser of a run's settings and its learning rate at any step."""

import dataclasses
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from longtail.optim import schedules
from longtail.optim.settings import Settings


@dataclasses.dataclass(frozen=True)
class ParameterGroup:
    """Parameters whose rate or weight decay differs.

    Attributes:
        prefix: of their names, e.g. "experts.1".
        lr: factor on the rate.
        weight_decay: factor on the weight decay; 0 has none.
    """

    prefix: str
    lr: float = 1.0
    weight_decay: float = 1.0


def build_optimiser(
    named: Iterable[tuple[str, nn.Parameter]],
    settings: Settings,
    groups: Sequence[ParameterGroup] = (),
    *,
    recordable: bool | None = None,
) -> torch.optim.SGD:
    """SGD with momentum and L2 weight decay on every parameter, as the papers train.

    Args:
        named: parameters by name, as of `named_parameters()`.
        settings: rate, momentum and weight decay.
        groups: exceptions; a parameter belongs to the first whose prefix its name has.
        recordable: whether a recorded step may be repeated. The rate is then a tensor beside the
            parameters, read anew each time, and the update is fused: the other forms would fetch
            the rate to the host. None does so on CUDA.
    """
    named = list(named)
    device = named[0][1].device
    recordable = device.type == "cuda" if recordable is None else recordable
    optimiser = torch.optim.SGD(
        [
            {
                "params": members,
                "lr": torch.tensor(settings.lr, device=device) if recordable else settings.lr,
                "lr_factor": group.lr,
                "weight_decay_factor": group.weight_decay,
            }
            for group, members in _members(named, groups)
        ],
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        fused=recordable or None,  # None leaves the choice to torch
    )
    set_weight_decay(optimiser, settings.weight_decay)
    if recordable:
        # The fused update takes all momenta or none, and a head may meet its first gradient late.
        for _, parameter in named:
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Take the next steps at `rate`; a rate that is a tensor is filled where it is."""
    for group in optimiser.param_groups:
        own = rate * group["lr_factor"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = own


def set_weight_decay(optimiser: torch.optim.Optimizer, weight_decay: float) -> None:
    """Take the next steps with this L2 weight decay."""
    for group in optimiser.param_groups:
        group["weight_decay"] = weight_decay * group["weight_decay_factor"]


def forget_momenta(optimiser: torch.optim.Optimizer) -> None:
    """Start from rest again, in the memory that a recorded graph knows."""
    for state in optimiser.state.values():
        if state.get("momentum_buffer") is not None:
            state["momentum_buffer"].zero_()


def _members(
    named: list[tuple[str, nn.Parameter]], groups: Sequence[ParameterGroup]
) -> list[tuple[ParameterGroup, list[nn.Parameter]]]:
    """Each group with its parameters, those of no group first; empty ones are left out."""
    rest = ParameterGroup("")
    chosen = [next((g for g in groups if has_prefix(name, g.prefix)), rest) for name, _ in named]
    listed = [
        (group, [p for (_, p), own in zip(named, chosen, strict=True) if own is group])
        for group in (rest, *groups)
    ]
    return [(group, members) for group, members in listed if members]


def has_prefix(name: str, prefix: str) -> bool:
    """Whether a dotted name is `prefix` or lies below it.

    >>> has_prefix("experts.1.classifier", "experts.1"), has_prefix("experts.10", "experts.1")
    (True, False)
    """
    return name == prefix or name.startswith(f"{prefix}.")


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
