"""A step that is recorded and repeated trains as the step itself does, bit for bit on a CPU."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import Tensor

from longtail.data.batches import Batch, epoch_batches, fetch_from
from longtail.data.samplers import sampler
from longtail.errors import UsageError
from longtail.losses import kernels
from longtail.methods import METHODS
from longtail.optim import build_optimiser, learning_rate, set_learning_rate
from longtail.recipe import Stage
from longtail.record import read_lines
from longtail.training import loop
from longtail.training.decisions import decide
from longtail.training.graph import SWITCH, WARM_UPS, CudaRecorder, GraphedStep, graphed
from longtail.training.loop import fit, make_step
from longtail.training.stages import enter, phases
from longtail.training.state import restore, to_json, to_tensors
from tape import TapeRecorder
from tiny import bits_of, fresh, tiny_dataset, tiny_plan

CPU = torch.device("cpu")
STEPS = 12
COMPRESSED = {"compression": "both", "compression_start": 0.34, "compression_threshold": 1.1}
CASES = {
    **{method: ("vector", method, {}) for method in METHODS},
    "pictures": ("photo", "bcl-rcl", {}),
    "compression": ("vector", "bcl-rcl", COMPRESSED),
    "a teacher": ("vector", "ride", {"teacher": "not loaded here"}),
    "before the head": ("vector", "rcl", {**COMPRESSED, "compression": "before-head"}),
}


class Stopped(BaseException):
    """Stands for whatever ends a process."""


@pytest.fixture(autouse=True)
def _as_on_a_gpu(request, monkeypatch):
    """The update and the loss that a GPU would take; the CPU's own look at what they are given."""
    if "gpu" not in request.keywords:
        monkeypatch.setattr(loop, "build_optimiser", partial(build_optimiser, recordable=True))
        monkeypatch.setattr(kernels, "suited", lambda contrast: "plain")


@pytest.fixture
def recorders(monkeypatch) -> list[TapeRecorder]:
    """Has every step of the loop recorded; one recorder a step that is made."""
    made: list[TapeRecorder] = []

    def graphed_on_the_cpu(step, device):
        made.append(TapeRecorder())
        return GraphedStep(step, made[-1])

    monkeypatch.setattr(loop, "graphed", graphed_on_the_cpu)
    return made


def case_of(name: str):
    kind, method, knobs = CASES[name]
    dataset = tiny_dataset(kind=kind, holdout=True)
    return dataset, tiny_plan(dataset, method, knobs=knobs, epochs=8 if name in METHODS else 3)


def trained(plan, dataset):
    teacher = fresh(plan, dataset).model.eval() if plan.resolved.recipe.teacher else None
    return fit(plan, dataset, fresh(plan, dataset), teacher=teacher)


@pytest.fixture(params=CASES)
def case(request):
    """A run, and how it ends when every step is taken as it is written."""
    dataset, plan = case_of(request.param)
    return dataset, plan, trained(plan, dataset)


def test_a_recorded_run_is_the_plain_run(case, request):
    dataset, plan, expected = case
    recorders = request.getfixturevalue("recorders")
    state = trained(plan, dataset)
    assert bits_of(state) == bits_of(expected)
    assert len(recorders) == len(plan.resolved.recipe.stages)
    assert all(r.aside_calls == WARM_UPS and len(r.tapes) == 1 for r in recorders)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 7, 11])
def test_a_recorded_run_goes_on_from_any_step(request, monkeypatch, number):
    dataset, plan = case_of("compression")
    expected = fit(plan, dataset, fresh(plan, dataset))
    request.getfixturevalue("recorders")
    stopped = fresh(plan, dataset)
    with monkeypatch.context() as patch:
        real, steps = loop.set_learning_rate, iter(range(STEPS))

        def set_rate(*args):
            if next(steps) == number:
                raise Stopped
            real(*args)

        patch.setattr(loop, "set_learning_rate", set_rate)
        with pytest.raises(Stopped):
            fit(plan, dataset, stopped)
    state = fresh(plan, dataset)
    restore(state, to_tensors(stopped), to_json(stopped))
    assert state.step == number
    assert bits_of(fit(plan, dataset, state)) == bits_of(expected)


def two_stages(plan):
    """The same run with its terms weighed otherwise from half of it on."""
    recipe = plan.resolved.recipe
    first = recipe.stages[0]
    terms = tuple(dataclasses.replace(term, weight=3 * term.weight) for term in first.terms)
    stages = (Stage(first.terms, share=0.5), Stage(terms, share=0.5))
    recipe = dataclasses.replace(recipe, stages=stages)
    return dataclasses.replace(plan, resolved=dataclasses.replace(plan.resolved, recipe=recipe))


def test_each_stage_is_recorded_with_its_own_terms(request):
    dataset = tiny_dataset(kind="vector")
    one_stage = tiny_plan(dataset, epochs=4)
    plan = two_stages(one_stage)
    expected = fit(plan, dataset, fresh(plan, dataset))
    assert bits_of(expected) != bits_of(fit(one_stage, dataset, fresh(plan, dataset)))
    recorders = request.getfixturevalue("recorders")
    assert bits_of(fit(plan, dataset, fresh(plan, dataset))) == bits_of(expected)
    assert [len(r.tapes) for r in recorders] == [1, 1]


def test_every_call_is_one_step_on_its_own_batch():
    total, calls = torch.zeros(1), []

    def step(batch: Batch) -> Tensor:
        calls.append(batch.views.data_ptr())
        total.add_(batch.views.sum())
        return batch.views.sum()[None]

    take, given = GraphedStep(step, TapeRecorder()), []
    for value in range(8):
        labels = torch.zeros(2, dtype=torch.int64)
        batch = Batch(torch.full((1, 2, 1), float(value)), labels, labels)
        assert take(batch).tolist() == [2 * value]
        given.append(batch.views.neg_())  # the caller's tensors are its own again
    assert [-views[0, 0, 0].item() for views in given] == list(range(8))
    assert total.item() == sum(2 * value for value in range(8))
    assert len(calls) == WARM_UPS + 1  # Python has no part in the others
    assert len(set(calls)) == 1  # all in the same memory


def test_a_number_from_python_stays_what_it_was_when_recorded():
    """What the tape is for: a step that a graph would get wrong is wrong on it too."""
    rate = 0.0

    def step(batch: Batch) -> Tensor:
        return batch.views.sum()[None] * rate

    take = GraphedStep(step, TapeRecorder())
    labels = torch.zeros(1, dtype=torch.int64)
    taken = []
    for number in range(6):
        rate = float(number)
        taken.append(take(Batch(torch.ones(1, 1, 1), labels, labels)).item())
    assert taken == [0, 1, 2, 3, 3, 3]


def test_a_cpu_takes_steps_as_they_are_and_so_does_a_gpu_on_demand(monkeypatch):
    def step(batch: Batch) -> Tensor:
        return batch.views

    assert graphed(step, CPU) is step
    monkeypatch.setenv(SWITCH, "0")
    assert graphed(step, torch.device("cuda")) is step


def on_a_gpu(test):
    there = torch.cuda.is_available()
    return pytest.mark.gpu(pytest.mark.skipif(not there, reason="there is no CUDA device")(test))


def on_cuda(plan, precision: str = "fp32"):
    return dataclasses.replace(plan, decisions=decide("cuda", precision, 1, "off"))


def cuda_batches(plan, dataset):
    settings = plan.resolved.settings
    order = sampler("instance")(torch.tensor(dataset.train.labels), plan.seed, 0, 0.0)
    made = epoch_batches(
        dataset.train,
        fetch_from(dataset.train, plan.device),
        order,
        first=0,
        batch_size=settings.batch_size,
        kind=dataset.kind,
        roles=plan.resolved.recipe.views,
        statistics=plan.statistics,
        seed=plan.seed,
        epoch=0,
        device=plan.device,
    )
    return list(made)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["ce", "rcl", "bcl-rcl"])
@on_a_gpu
def test_a_graph_trains_as_the_step_does(tmp_path, monkeypatch, method, precision):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee")
    dataset = tiny_dataset()
    plan = on_cuda(tiny_plan(dataset, method, epochs=5), precision)  # 20 steps
    losses = []
    for switch in ("1", "0"):
        monkeypatch.setenv(SWITCH, switch)
        folder = tmp_path / switch
        folder.mkdir()
        fit(plan, dataset, fresh(plan, dataset), folder=folder)
        losses.append([line["loss"] for line in read_lines(folder / "log.jsonl")])
    tolerance = 1e-3 if precision == "fp32" else 2e-2
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("switch", ["1", "0"])
@pytest.mark.parametrize("method", ["ce", "rcl", "bcl-rcl"])
@on_a_gpu
def test_no_step_makes_the_host_wait(monkeypatch, method, switch):
    monkeypatch.setenv(SWITCH, switch)
    dataset = tiny_dataset()
    plan = on_cuda(tiny_plan(dataset, method), "bf16")
    state = fresh(plan, dataset)
    first, *_ = phases(plan.resolved.recipe.stages, plan.resolved.settings)
    enter(state, first)
    take_step = make_step(plan, state, first)
    batches = 2 * cuda_batches(plan, dataset)
    for batch in batches[: WARM_UPS + 1]:
        take_step(batch)
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        for number, batch in enumerate(batches):
            rate = learning_rate(plan.resolved.settings, number, len(batches))
            set_learning_rate(state.optimiser, rate)
            losses = take_step(batch)
            state.loss_sums[: len(losses)].add_(losses)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert state.is_finite()


# The last one: a recording that has failed leaves the process unable to record another.
@on_a_gpu
def test_a_step_that_waits_is_refused_with_the_way_out():
    def waits(batch: Batch) -> Tensor:
        return batch.views * batch.views.sum().item()

    take = GraphedStep(waits, CudaRecorder(torch.device("cuda")))
    labels = torch.zeros(2, device="cuda").long()
    batch = Batch(torch.ones(1, 2, 1, device="cuda"), labels, labels)
    for _ in range(WARM_UPS):
        take(batch)
    with pytest.raises(UsageError, match=rf"cannot be recorded.*{SWITCH}=0"):
        take(batch)
