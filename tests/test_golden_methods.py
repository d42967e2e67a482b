"""Twenty steps of every method give the losses that were recorded.

A change that should not change numbers is held to these; one that should says so where it writes
them anew (`python tests/test_golden_methods.py`). Five epochs of four steps on a long tail of
digits pass through every stage.
"""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from longtail.data.load import load_dataset
from longtail.experiments.paper.cells import knobs_in_paper
from longtail.methods import METHODS
from longtail.methods.resolve import resolve
from longtail.recipe import DataInfo
from longtail.training import loop
from longtail.training.decisions import decide
from longtail.training.loop import fit, initial_state
from longtail.training.plan import make_plan
from longtail.training.stages import phases

GOLDEN = Path(__file__).parent / "golden" / "methods.json"
EPOCHS, STEPS = 5, 20
GENTLE = {"lr": 0.001, "warmup": 0.0}
"""At usual rates the rounding of another processor would grow into other losses."""
OWN = {"tau-norm": {"norm_tau": 1.0}}  # without a hold-out
OWN |= {method: knobs_in_paper(method) for method in METHODS if knobs_in_paper(method)}


def losses(method: str) -> list[float]:
    """The total loss of each step."""
    dataset = dataclasses.replace(load_dataset("digits-lt"), test=None)
    knobs = GENTLE | OWN.get(method, {})
    resolved = resolve(method, DataInfo(dataset.counts), knobs=knobs, epochs=EPOCHS, batch_size=100)
    plan = make_plan(
        dataset,
        resolved,
        backbone="resnet8-w4",
        seed=0,
        eval_every=EPOCHS,
        decisions=decide("cpu", "fp32", 1, "off"),
    )
    assert len(phases(resolved.recipe.stages, resolved.settings)) == len(resolved.recipe.stages)
    seen: list[float] = []
    real = loop.train_step

    def train_step(*arguments, **given):
        values = real(*arguments, **given)
        seen.append(values[0].item())
        return values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", train_step)
        fit(plan, dataset, initial_state(plan, dataset))
    assert len(seen) == STEPS
    return seen


def test_every_method_is_recorded():
    assert json.loads(GOLDEN.read_text()).keys() == METHODS.keys()


@pytest.mark.parametrize("method", METHODS)
def test_a_methods_first_twenty_losses_are_the_recorded_ones(method):
    golden = json.loads(GOLDEN.read_text())[method]
    # Other processors and versions add up in other orders.
    assert losses(method) == pytest.approx(golden, rel=1e-3)


def write() -> None:
    torch.set_num_threads(1)
    GOLDEN.write_text(json.dumps({method: losses(method) for method in METHODS}, indent=1) + "\n")


if __name__ == "__main__":
    write()
