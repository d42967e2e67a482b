"""No method's step does what a CUDA graph cannot hold, seen on tensors that have no data.

A number of a meta tensor cannot be fetched, as fetching it would make a host wait for its GPU.
"""

import contextlib
import dataclasses
from importlib import import_module
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from longtail.data.batches import Batch
from longtail.losses import kernels
from longtail.methods import METHODS
from longtail.training.loop import initial_state, make_step, new_model
from longtail.training.stages import begin, enter, phases
from tape import tensors_of
from tiny import tiny_dataset, tiny_plan

META = torch.device("meta")
FROM_PYTHON = ("tensor", "as_tensor", "new_tensor", "from_numpy")
SIZED_BY_DATA = (torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output)
BY_INDEX = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
}
MASKS = (torch.bool, torch.uint8)


class OnDevice(TorchDispatchMode):
    """Refuses operations that touch the host's memory, or whose result is as large as data say."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        seen = tensors_of((args, kwargs, made))
        assert {tensor.device for tensor in seen} <= {META}, f"{func} reads or writes the host"
        if func in BY_INDEX:
            # One number goes where a mask says without a look at it.
            one = len(args) > 2 and args[2].numel() == 1
            masked = any(tensor.dtype in MASKS for tensor in tensors_of(args[1]))
            assert one or not masked, "as many rows as a mask has"
        else:
            assert not set(SIZED_BY_DATA) & set(func.tags), f"{func} makes the host wait"
        return made


class FromDevice(TorchFunctionMode):
    """Refuses tensors made of Python's numbers, which are copied from the host."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        assert name not in FROM_PYTHON, f"torch.{name} copies from the host"
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            assert not any(isinstance(part, list) for part in index), "a list is copied"
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def nothing_waits():
    with OnDevice(), FromDevice():
        yield


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch):
    """There is none for the meta device."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())


@pytest.fixture(params=["plain", "streamed", "triton"])
def kernel(request, monkeypatch):
    """Has every contrastive loss take this kernel, of Triton's all but its programs."""
    if request.param == "triton":
        pytest.importorskip("triton", reason="Triton is not installed")
        fused = import_module("longtail.losses.fused")
        monkeypatch.setattr(kernels, "_unfit", lambda features: None)
        monkeypatch.setattr(fused, "_launch", lambda *args, **kwargs: None)
    monkeypatch.setattr(kernels, "suited", lambda contrast: request.param)


def plan_of(method: str, kind: str, **knobs: Any):
    dataset = tiny_dataset(kind=kind, holdout=True)
    plan = tiny_plan(dataset, method, knobs=knobs)
    decisions = dataclasses.replace(plan.decisions, device="meta")
    return dataset, dataclasses.replace(plan, decisions=decisions)


def batch_of(plan, dataset) -> Batch:
    size, views = plan.resolved.settings.batch_size, len(plan.resolved.recipe.views)
    shape = (5,) if dataset.kind == "vector" else (3, 8, 8)
    labels = torch.empty(size, dtype=torch.int64, device=META)
    return Batch(torch.empty(views, size, *shape, device=META), labels, labels)


def take_steps(plan, dataset) -> int:
    """A step of every stage, watched; how many there were."""
    state = initial_state(plan, dataset)
    teacher = initial_state(plan, dataset).model.eval() if plan.resolved.recipe.teacher else None
    laid_out = phases(plan.resolved.recipe.stages, plan.resolved.settings)
    for phase in laid_out:
        if phase.number:
            begin(state, phase, new_model(plan, dataset, 1).to(META))
        enter(state, phase)
        take_step, batch = make_step(plan, state, phase, teacher), batch_of(plan, dataset)
        take_step(batch)
        with nothing_waits():
            losses = take_step(batch)
        assert losses.shape == (1 + len(phase.stage.terms),)
    return len(laid_out)


@pytest.mark.parametrize("method", METHODS)
def test_no_step_of_any_method_waits(method, kernel):
    dataset, plan = plan_of(method, "vector")
    assert take_steps(plan, dataset) == len(plan.resolved.recipe.stages)


@pytest.mark.parametrize(
    ("method", "knobs"),
    [
        ("bcl-rcl", {}),
        ("bcl-rcl", {"compression": "both"}),
        ("rcl", {"compression": "before-head"}),
        ("ride", {"teacher": "not loaded here"}),
    ],
)
def test_nor_does_one_on_pictures(method, knobs, kernel):
    dataset, plan = plan_of(method, "photo", **knobs)
    take_steps(plan, dataset)


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.sum() > 0),
        lambda x: x[x > 0],
        lambda x: (x > 0).nonzero(),
        lambda x: torch.unique(x),
        lambda x: x.cpu(),
        lambda x: x + torch.ones(()),
        lambda x: x + torch.tensor(1.0, device=META),
        lambda x: x.new_tensor([1.0]),
        lambda x: torch.arange(3).to(x.device),
        lambda x: x[[0, 1]],
        lambda x: x.index_put_((x > 0,), x),
        lambda x: x.__setitem__(x > 0, x),
    ],
)
def test_a_step_that_waits_is_noticed(waits):
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)), nothing_waits():
        waits(torch.empty(4, device=META))
