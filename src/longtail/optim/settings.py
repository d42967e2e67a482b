"""How long and how fast a model is trained."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How long and how fast to train; the defaults are RCL's CIFAR settings.

    Attributes:
        epochs: passes over the training data.
        batch_size: pictures a step (each in all views); the last, smaller batch is dropped.
        lr: base learning rate, after warm-up.
        momentum: of SGD.
        nesterov: Nesterov's form of it.
        weight_decay: L2 on every parameter.
        schedule: "step" (times `decay` at each milestone) or "cosine" (to 0).
        milestones: fractions of training in [0, 1].
        decay: factor at each milestone.
        warmup: fraction of training over which the rate rises linearly; 0.025 is 5 in 200 epochs.
    """

    epochs: int = 200
    batch_size: int = 256
    lr: float = 0.2
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[float, ...] = (0.8, 0.9)
    decay: float = 0.1
    warmup: float = 0.025
