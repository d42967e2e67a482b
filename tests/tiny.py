"""A classification problem and a run small enough to train in the blink of an eye."""

from pathlib import Path
from typing import Any

import numpy as np

from longtail.data.dataset import Dataset, Split, split_of
from longtail.methods import METHODS
from longtail.methods.resolve import knobs_of, resolve, shared_knobs
from longtail.recipe import DataInfo
from longtail.training.decisions import decide
from longtail.training.loop import initial_state
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
