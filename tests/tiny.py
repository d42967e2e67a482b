"""A classification problem and a run small enough to train in the blink of an eye."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from longtail.data.batches import Batch
from longtail.data.dataset import Dataset, Split, split_of
from longtail.methods import METHODS
from longtail.methods.resolve import knobs_of, resolve, shared_knobs
from longtail.nn.outputs import Scales
from longtail.recipe import DataInfo, Recipe
from longtail.training import loop
from longtail.training.decisions import decide
from longtail.training.loop import fit, initial_state
from longtail.training.plan import Plan, make_plan
from longtail.training.state import TrainState, to_tensors

COUNTS = (12, 6, 4)
KNOBS = {"hidden_width": 8, "embedding_width": 4, "lr": 0.05}


def pictures(counts: tuple[int, ...] = COUNTS, *, seed: int = 0) -> Split:
    """Dark, grey and bright 8x8 pictures in random order, easily told apart."""
    draw = np.random.RandomState(seed)
    labels = draw.permutation(np.repeat(np.arange(len(counts)), counts))
    noise = draw.randint(0, 60, (len(labels), 8, 8, 3))
    return split_of((labels[:, None, None, None] * 80 + noise).astype(np.uint8), labels)


def vectors(counts: tuple[int, ...] = COUNTS, *, seed: int = 0) -> Split:
    draw = np.random.RandomState(seed)
    labels = draw.permutation(np.repeat(np.arange(len(counts)), counts))
    return split_of((labels[:, None] + draw.randn(len(labels), 5)).astype(np.float32), labels)


def tiny_dataset(*, holdout: bool = False, kind: str = "photo") -> Dataset:
    make = vectors if kind == "vector" else pictures
    return Dataset(
        name="tiny",
        source="made up",
        kind=kind,
        class_names=("dark", "grey", "bright"),
        train=make(),
        test=make((4, 4, 4), seed=1),
        holdout=make((3, 3, 3), seed=2) if holdout else None,
        data_hash="0" * 64,
    )


def tiny_plan(
    dataset: Dataset,
    method: str = "bcl-rcl",
    *,
    knobs: dict[str, object] | None = None,
    epochs: int = 3,
    batch_size: int = 5,
    seed: int = 0,
    eval_every: int = 1,
    threads: int = 1,
) -> Plan:
    known = knobs_of(METHODS[method]) | shared_knobs()
    shared = {name: value for name, value in KNOBS.items() if name in known}
    resolved = resolve(
        method,
        DataInfo(dataset.counts),
        knobs={**shared, **(knobs or {})},
        epochs=epochs,
        batch_size=batch_size,
    )
    return make_plan(
        dataset,
        resolved,
        backbone="mlp-w8" if dataset.kind == "vector" else "resnet8-w4",
        seed=seed,
        eval_every=eval_every,
        decisions=decide("cpu", "fp32", threads, "off"),
    )


def by_hand(plan: Plan, recipe: Recipe) -> Plan:
    """The plan with a recipe of no method."""
    return dataclasses.replace(plan, resolved=dataclasses.replace(plan.resolved, recipe=recipe))


@dataclasses.dataclass(frozen=True)
class Taken:
    """A step as it was taken; dicts of parameters are by their names in the model.

    `before` and `after` have its buffers as well; `momenta` are those before the step.
    """

    before: dict[str, Tensor]
    after: dict[str, Tensor]
    momenta: dict[str, Tensor]
    gradients: dict[str, Tensor]
    rates: dict[str, float]
    decays: dict[str, float]
    weights: list[float]
    batch: Batch
    scales: Scales | None
    further: Mapping[str, Tensor]


def steps_of(
    plan: Plan, dataset: Dataset, state: TrainState | None = None, **options: Any
) -> list[Taken]:
    """Every step of a run, which starts from `state` or afresh; the options are those of `fit`."""
    steps: list[Taken] = []
    real = loop.train_step

    def train_step(model, optimiser, terms, weights, batch, **given):
        names = {parameter: name for name, parameter in model.named_parameters()}
        groups = [(names[p], group) for group in optimiser.param_groups for p in group["params"]]
        momenta = {name: optimiser.state[p].get("momentum_buffer") for p, name in names.items()}
        before = _copied(model.state_dict())
        momenta = _copied({name: value for name, value in momenta.items() if value is not None})
        losses = real(model, optimiser, terms, weights, batch, **given)
        steps.append(
            Taken(
                before=before,
                after=_copied(model.state_dict()),
                momenta=momenta,
                gradients=_copied({n: p.grad for p, n in names.items() if p.grad is not None}),
                rates={name: float(group["lr"]) for name, group in groups},
                decays={name: group["weight_decay"] for name, group in groups},
                weights=weights[: len(terms)].tolist(),
                batch=batch,
                scales=given["scales"],
                further=_copied(given["further"]),
            )
        )
        return losses

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", train_step)
        fit(plan, dataset, state or fresh(plan, dataset), **options)
    return steps


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
    """Names of what is not bit for bit as it was."""
    return {name for name in before if not torch.equal(before[name], after[name])}


def fresh(plan: Plan, dataset: Dataset) -> TrainState:
    return initial_state(plan, dataset)


def bits_of(state: TrainState) -> dict[str, bytes]:
    """Every tensor of a state, to compare bit for bit."""
    return {name: value.numpy().tobytes() for name, value in to_tensors(state).items()}


def without_times(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in line.items() if k not in timed} for line in lines]


def corrupt(path: Path, position: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(bytes(content))
