"""The demo: a table and a picture, from runs that really learn."""

import re
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from longtail.data.load import load_dataset
from longtail.experiments.demo import DEMO_METHODS, demo_plan, run_demo
from longtail.record import read_lines
from longtail.training.loop import fit, initial_state
from longtail.training.state import TrainState
from tiny import bits_of


def test_the_demo_ends_in_a_table_and_a_picture(tmp_path):
    lines = list(run_demo(tmp_path, seeds=(0, 1), epochs=1))
    cells = [re.findall(r"\d+\.\d ± \d+\.\d", line) for line in lines]
    assert [len(row) for row in cells if row] == [4] * len(DEMO_METHODS)
    assert any("600 test pictures; data hash 689a4dd6c06ca77d" in line for line in lines)
    assert ElementTree.parse(tmp_path / "demo.svg").getroot().tag.endswith("svg")


def test_the_demo_gives_the_same_numbers_side_by_side_as_alone(tmp_path):
    def results(seeds: tuple[int, ...]) -> list[str]:
        return [line for line in run_demo(tmp_path, seeds=seeds, epochs=1) if "seed" in line]

    torch.manual_seed(7)  # a global state that must not matter
    together = results((3, 4))[: 2 * len(DEMO_METHODS)]
    assert together == results((3,))[: len(DEMO_METHODS)] + results((4,))[: len(DEMO_METHODS)]


def test_runs_side_by_side_end_in_the_same_bits_as_alone():
    """BCL uses the classifier's weights twice a step, which is where a shared cast would show."""
    dataset = load_dataset("digits-lt")
    plan = demo_plan(dataset, "bcl", seed=0, epochs=1)

    def bits(state: TrainState) -> dict[str, bytes]:
        return bits_of(fit(plan, dataset, state))

    alone = bits(initial_state(plan, dataset))
    fresh = [initial_state(plan, dataset) for _ in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert all(together == alone for together in pool.map(bits, fresh))


@pytest.mark.slow
@pytest.mark.parametrize("method", DEMO_METHODS)
def test_a_run_of_the_demo_learns_and_has_settled(method, tmp_path):
    dataset = load_dataset("digits-lt")
    plan = demo_plan(dataset, method, seed=0, epochs=40)
    state = fit(plan, dataset, initial_state(plan, dataset), folder=tmp_path)
    assert state.step >= 150
    lines = read_lines(tmp_path / "log.jsonl")
    loss = np.array([line["loss"] for line in lines])
    last = loss[-len(loss) // 5 :]
    slope = np.polyfit(np.arange(len(last)), last, 1)[0] * len(last)
    assert abs(slope) < 0.05 * (loss[0] - loss[-1])
    assert lines[-1]["accuracy"]["balanced_accuracy"] > 0.8
