"""Everything that changes while training, and how it becomes tensors and JSON and back."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from longtail.nn.model import AnyModel
from longtail.record import BestOnTest
from longtail.training.meta import MetaState

_KEPT = ("loss_sums", "class_scale", "class_means")


@dataclasses.dataclass
class TrainState:
    """Where training is.

    Since every draw is keyed, `step` is all there is to know of the data and the randomness.

    Attributes:
        model: its parameters and batch-norm statistics.
        optimiser: SGD, for its momentum.
        loss_sums: of the current epoch, float32 [1 + terms]: the total, then each weighted term.
        class_scale: RCL's compression factor a class, float32 [c].
        class_means: mean features of each class at the start of the epoch, float32 [c, d]; zeros
            where no term reads them.
        term_weights: of the stage's terms, float32 [terms]; they follow from the epoch.
        feature_factors: FCC's, float32 [c]; they follow from the epoch.
        meta: the meta sampler's class weights and Adam's moments of them.
        step: steps taken.
        seconds: spent training, over all resumptions.
        selected_epoch: 1-based epoch the hold-out likes best; None without a hold-out.
        selected_score: its balanced accuracy on the hold-out.
        selected_model: its weights.
        best_on_test: the epoch best on test, for comparison with papers only.
    """

    model: AnyModel
    optimiser: torch.optim.SGD
    loss_sums: Tensor
    class_scale: Tensor
    class_means: Tensor
    term_weights: Tensor
    feature_factors: Tensor
    meta: MetaState
    step: int = 0
    seconds: float = 0.0
    selected_epoch: int | None = None
    selected_score: float = -1.0
    selected_model: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    best_on_test: BestOnTest | None = None

    def images_per_second(self, batch_size: int) -> float:
        """Training pictures a second so far."""
        return self.step * batch_size / max(self.seconds, 1e-9)  # some clocks tick seldom

    def is_finite(self) -> bool:
        """Whether the losses of this epoch, the weights and the batch-norm statistics all are."""
        values = [self.loss_sums, *self.model.state_dict().values()]
        # As one tensor: an accelerator has few launches, and the host waits for one answer.
        flat = torch.cat([value.flatten() for value in values if value.is_floating_point()])
        return bool(flat.isfinite().all())


def to_tensors(state: TrainState) -> dict[str, Tensor]:
    """Every tensor of the state, by name, on the CPU."""
    named = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    for name, parameter in state.model.named_parameters():
        momentum = state.optimiser.state[parameter].get("momentum_buffer")
        if momentum is not None:
            named[f"momentum.{name}"] = momentum
    named |= {f"selected.{name}": value for name, value in state.selected_model.items()}
    named |= {f"meta.{name}": value for name, value in state.meta._asdict().items()}
    named |= {name: getattr(state, name) for name in _KEPT}
    return {name: value.detach().cpu() for name, value in named.items()}


def to_json(state: TrainState) -> dict[str, Any]:
    """The rest of the state."""
    best = state.best_on_test
    return {
        "step": state.step,
        "seconds": state.seconds,
        "selected_epoch": state.selected_epoch,
        "selected_score": state.selected_score,
        "best_on_test": None if best is None else dataclasses.asdict(best),
    }


def restore(state: TrainState, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Put a saved state into a fresh one of the same configuration."""
    state.model.load_state_dict(_under("model.", tensors))
    momenta = _under("momentum.", tensors)
    for name, parameter in state.model.named_parameters():
        if name in momenta:
            # Laid out as the parameter, so that the update adds up in the same order.
            state.optimiser.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(
                momenta[name]
            )
    for name in _KEPT:
        getattr(state, name).copy_(tensors[name])
    for name, value in state.meta._asdict().items():
        value.copy_(tensors[f"meta.{name}"])
    state.selected_model = _under("selected.", tensors)
    state.step = values["step"]
    state.seconds = values["seconds"]
    state.selected_epoch = values["selected_epoch"]
    state.selected_score = values["selected_score"]
    best = values["best_on_test"]
    state.best_on_test = None if best is None else BestOnTest(**best)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
