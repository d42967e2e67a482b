"""The fast paths of training follow the plain one, loss by loss, over twenty steps.

Plain: float32, the loss that holds every score, one thread, nothing compiled; its losses are also
kept in golden/plain_path.json (`python tests/test_fast_path.py` writes it), since a change to both
paths would go unnoticed otherwise.
"""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from longtail.data import batches
from longtail.data.load import load_dataset
from longtail.methods.resolve import resolve
from longtail.recipe import DataInfo
from longtail.training import loop
from longtail.training.decisions import decide
from longtail.training.loop import fit, initial_state
from longtail.training.plan import make_plan
from loss_batches import computed

GOLDEN = Path(__file__).parent / "golden" / "plain_path.json"
METHODS = ("rcl", "bcl-rcl")
STEPS = 20
LR = 0.002
"""A gentle rate: at 0.02 another rounding grows tenfold every two steps, from any source. Float64
has so many digits that it may be trained ten times as fast."""


def losses(
    method: str,
    precision: str = "fp32",
    way: str = "streamed",
    compiled: str = "off",
    *,
    lr: float = LR,
    double: bool = False,
):
    """The total loss of each of twenty steps on a long tail of digits."""
    dataset = load_dataset("digits-lt")
    knobs = {"lr": lr, "warmup": 0.0, "la_tau": 1.3}
    settings = {"epochs": STEPS, "batch_size": 256, "knobs": knobs}
    plan = make_plan(
        dataset,
        resolve(method, DataInfo(dataset.counts), **settings),
        backbone="resnet8",
        seed=0,
        eval_every=STEPS,
        decisions=decide("cpu", precision, 1, compiled),
    )
    dataset = dataclasses.replace(dataset, test=None)
    seen: list[float] = []
    make_step = loop.make_step

    def recording(*arguments):
        step = make_step(*arguments)

        def taken(batch):
            values = step(batch)
            seen.append(values[0].item())
            return values

        return taken

    with computed(way), pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_step", recording)
        state = initial_state(plan, dataset)
        if double:
            state.model.double()
            normalise = batches.normalise
            patch.setattr(batches, "normalise", lambda *given: normalise(*given).double())
        fit(plan, dataset, state)
    assert len(seen) == STEPS
    return torch.tensor(seen, dtype=torch.float64)


@pytest.fixture(scope="module", params=METHODS)
def plain(request: pytest.FixtureRequest):
    return request.param, losses(request.param, way="plain")


def assert_near(found, expected, relative: float) -> None:
    off = ((found - expected).abs() / expected.abs()).max().item()
    assert off <= relative, f"a loss is {100 * off:.3g} % off"


def test_the_plain_path_is_the_recorded_one(plain):
    method, expected = plain
    golden = json.loads(GOLDEN.read_text())[method]
    # Other processors and versions add up in other orders.
    assert_near(expected, torch.tensor(golden, dtype=torch.float64), 1e-3)


def test_the_streamed_loss_changes_nothing_that_matters(plain):
    method, expected = plain
    assert_near(losses(method), expected, 1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_in_float64_the_streamed_loss_changes_nothing_at_a_tenfold_rate(method):
    plain, streamed = (
        losses(method, way=way, lr=10 * LR, double=True) for way in ("plain", "streamed")
    )
    assert_near(streamed, plain, 1e-10)


def test_bf16_stays_within_two_per_cent(plain):
    method, expected = plain
    assert_near(losses(method, "bf16"), expected, 0.02)


@pytest.mark.slow
def test_a_compiled_model_follows_too(plain):
    method, expected = plain
    assert_near(losses(method, compiled="on"), expected, 1e-4)
    assert_near(losses(method, "bf16", compiled="on"), expected, 0.02)


def write() -> None:
    torch.set_num_threads(1)
    found = {method: losses(method, way="plain").tolist() for method in METHODS}
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    write()
