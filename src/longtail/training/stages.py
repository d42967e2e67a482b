"""Stages of a recipe, laid out on a run's epochs, and what happens on entering one."""

import dataclasses
from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from longtail.errors import UsageError
from longtail.optim import (
    forget_momenta,
    has_prefix,
    learning_rate,
    set_weight_decay,
)
from longtail.optim.settings import Settings
from longtail.recipe import Recipe, Stage
from longtail.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stage with its place in a run; epochs count from 0, `end` is the first one after.

    Attributes:
        number: of the stage, from 0.
        stage: of the recipe.
        first, end: its epochs.
        settings: of the schedule that it follows.
        schedule_first, schedule_end: epochs of that schedule, which stages without a restart share.
    """

    number: int
    stage: Stage
    first: int
    end: int
    settings: Settings
    schedule_first: int
    schedule_end: int

    def learning_rate(self, step: int, per_epoch: int) -> float:
        """The rate of the run's 0-based `step`, at `per_epoch` steps an epoch."""
        begun = self.schedule_first * per_epoch
        return learning_rate(self.settings, step - begun, self.schedule_end * per_epoch - begun)


def phases(stages: Sequence[Stage], settings: Settings) -> tuple[Phase, ...]:
    """Every stage with its epochs, at least one each.

    Raises:
        UsageError: fewer epochs than stages, or shares that do not add up to 1.
    """
    ends = _ends([stage.share for stage in stages], settings.epochs)
    firsts = [0, *ends[:-1]]
    starts = [n for n, stage in enumerate(stages) if n == 0 or stage.restart]
    laid_out = []
    for number, stage in enumerate(stages):
        begun = max(start for start in starts if start <= number)
        following = min((start for start in starts if start > number), default=len(stages))
        laid_out.append(
            Phase(
                number,
                stage,
                firsts[number],
                ends[number],
                _restarted(settings, stages[begun]),
                schedule_first=firsts[begun],
                schedule_end=ends[following - 1],
            )
        )
    return tuple(laid_out)


def phase_at(laid_out: Sequence[Phase], epoch: int) -> Phase:
    """The phase that the 0-based `epoch` belongs to."""
    return next(phase for phase in laid_out if epoch < phase.end)


def check_names(recipe: Recipe, model: nn.Module) -> None:
    """Raise `UsageError` where a recipe speaks of a part that the model does not have."""
    prefixes = {group.prefix for group in recipe.groups}
    prefixes |= {name for stage in recipe.stages for name in (*stage.trainable, *stage.reset)}
    known = model.state_dict()
    for prefix in sorted(prefixes):
        if not any(has_prefix(name, prefix) for name in known):
            parts = sorted({name.split(".")[0] for name in known})
            raise UsageError(f"The recipe names {prefix!r}, and the model has {', '.join(parts)}.")


def begin(state: TrainState, phase: Phase, fresh: nn.Module | None) -> None:
    """What happens once, at a phase's first step: parts start anew, momenta from zero.

    Args:
        state: changed in place.
        phase: that begins.
        fresh: a model whose values the stage's `reset` parts take; None where it has none.
    """
    if fresh is not None:
        values = fresh.state_dict()
        for name, value in state.model.state_dict().items():
            if any(has_prefix(name, prefix) for prefix in phase.stage.reset):
                value.copy_(values[name])
    if phase.stage.restart:
        forget_momenta(state.optimiser)


def enter(state: TrainState, phase: Phase) -> None:
    """Make a phase's parts learn and hold the others still, also after a resumption."""
    stage, model = phase.stage, state.model
    for name, parameter in model.named_parameters():
        learns = not stage.trainable or any(has_prefix(name, prefix) for prefix in stage.trainable)
        parameter.requires_grad_(learns)
    set_weight_decay(state.optimiser, phase.settings.weight_decay)
    model.train()
    for part in model.modules():
        if _is_frozen(part):
            part.eval()  # dropout as well
    for part in model.modules():
        if stage.moving_norm and isinstance(part, _BatchNorm):
            part.train()


def _is_frozen(part: nn.Module) -> bool:
    """Whether a part has parameters and none of them learns."""
    parameters = list(part.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)


def _ends(shares: Sequence[float], epochs: int) -> list[int]:
    """The epoch after each stage's last one."""
    if epochs < len(shares):
        raise UsageError(
            f"epochs is {epochs}, but this method has {len(shares)} stages of at least one epoch; "
            f"type --epochs {len(shares)} or more."
        )
    if abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"The stages' shares of training add up to {sum(shares):g}, not to 1.")
    ends: list[int] = []
    begun = 0.0
    for number, share in enumerate(shares):
        begun += share
        later = len(shares) - number - 1
        earliest = (ends[-1] if ends else 0) + 1
        ends.append(min(max(round(begun * epochs), earliest), epochs - later))
    return ends


def _restarted(settings: Settings, stage: Stage) -> Settings:
    if stage.restart is None:
        return settings
    changes = dataclasses.asdict(stage.restart)
    if changes["weight_decay"] is None:
        del changes["weight_decay"]
    return dataclasses.replace(settings, **changes)
