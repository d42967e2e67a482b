"""The training step alone: forward over all views, loss, backward, update; views made beforehand.

    python benchmarks/step.py [--methods ce rcl bcl-rcl] [--no-compile] [--json FILE]

longtail's step in float32, in bf16 and compiled, beside that of the ordinary loop, in turns, each
in a process of its own. A roofline line puts the time beside a floor: the step's FLOPs at the
machine's measured matrix product, or its bytes at its measured copy, whichever takes longer.
"""

import argparse
import itertools
import statistics
from typing import NamedTuple

import end_to_end
import numpy as np
import ordinary
import torch
from measure import (
    Alternative,
    Run,
    Segment,
    interleave,
    interleave_apart,
    machine,
    parsed,
    parser,
    synchronise,
    typed_command,
)
from ordinary import Task
from results import Case, Report, Timing, publish, ratio
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from longtail.data.batches import Batch
from longtail.data.dataset import Dataset
from longtail.methods import METHODS
from longtail.record import Decisions
from longtail.training.decisions import Switch, decide, usable_cores
from longtail.training.epoch import start_of_epoch
from longtail.training.loop import initial_state, make_step
from longtail.training.memory import reused_memory
from longtail.training.plan import Plan
from longtail.training.stages import enter, phases

# A convolution's output is written, read by the next layer and read again backward, and its
# gradient is written and read: no step does with less unless it recomputes.
PASSES = 5
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Ready(NamedTuple):
    """longtail's step and what it is taken on."""

    run: Run
    model: nn.Module
    views: Tensor


def ready(method: str, batch_size: int, decisions: Decisions) -> Ready:
    """A step of `method`'s first stage on random pictures, with the classes of `photographs`."""
    dataset = end_to_end.photographs()
    plan = plan_of(dataset, method, batch_size, decisions)
    state, recipe = initial_state(plan, dataset), plan.resolved.recipe
    first, *_ = phases(recipe.stages, plan.resolved.settings)
    enter(state, first)
    start_of_epoch(plan, dataset, state, first, 0, resumed=False)
    take_step = make_step(plan, state, first)
    labels = torch.from_numpy(end_to_end.some(dataset.train, batch_size).labels).to(plan.device)
    views = torch.randn(len(recipe.views), batch_size, 3, 32, 32)
    batch = Batch(views.to(plan.device), labels, labels)
    return Ready(lambda: take_step(batch), state.model, batch.views)


def plan_of(dataset: Dataset, method: str, batch_size: int, decisions: Decisions) -> Plan:
    """Of a run that is long enough for every stage of any method."""
    return end_to_end.plan_of(dataset, method, batch_size, end_to_end.PAPER_EPOCHS, decisions)


def prepare(
    method: str, batch_size: int, steps: int, threads: int, decisions: Decisions
) -> Segment:
    """A step of longtail, warmed up: long enough for a recorded graph."""
    torch.set_num_threads(threads)
    end_to_end.HELD.enter_context(reused_memory())  # as `fit` does
    run, device = ready(method, batch_size, decisions).run, decisions.device
    return warmed(run, steps, device, warm_ups=3 if device == "cpu" else 6)


def prepare_ordinary(task: Task) -> Segment:
    """The ordinary loop's step on random pictures."""
    torch.set_num_threads(task.threads)
    views = [torch.randn(task.batch_size, 3, 32, 32).to(task.device) for _ in ordinary.VIEWS]
    labels = torch.from_numpy(task.labels).to(task.device)
    loop = ordinary.make_loop(itertools.repeat((views, labels)), task)
    return warmed(lambda: ordinary.take_step(loop), task.steps, task.device, task.warm_ups)


def warmed(run: Run, steps: int, device: str, warm_ups: int) -> Segment:
    def several(number: int = steps) -> None:
        for _ in range(number):
            run()

    several(warm_ups)
    synchronise(device)
    return Segment(several, device=device)


class Count(NamedTuple):
    """What a step does at least.

    Attributes:
        flops: of its matrix products and convolutions, as torch's FlopCounterMode counts them.
        elements: of the outputs of all convolutions, as hooks see them.
    """

    flops: int
    elements: int


def count(method: str, batch_size: int) -> Count:
    """Count one step in float32 on the CPU; FLOPs and elements do not depend on either."""
    found = ready(method, batch_size, decide("cpu", "fp32", torch.get_num_threads(), "off"))
    elements = 0

    def seen(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal elements
        elements += output.numel()

    for module in found.model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(seen)
    with FlopCounterMode(display=False) as counter:
        found.run()
    return Count(counter.get_total_flops(), elements)


class Peak(NamedTuple):
    """What the machine does at best: FLOP/s of a matrix product, bytes/s of a copy."""

    flops: float
    bandwidth: float


def peak(precision: str, device: str) -> Peak:
    """Measured: the quickest of several large products and copies (bytes read and written).

    On CUDA float32 is TF32, as convolutions are there.
    """
    if torch.device(device).type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
    on_cpu = device == "cpu"
    side, size = (2048, 1 << 26) if on_cpu else (8192, 1 << 30)
    matrix = torch.randn(side, side, device=device).to(DTYPES[precision])
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    product, copy = interleave(
        {"product": lambda: matrix @ matrix, "copy": lambda: target.copy_(source)},
        turns=9,
        warm_ups=2,
        device=device,
    )
    return Peak(2 * side**3 / min(product.seconds), 2 * size / min(copy.seconds))


def roofline(timing: Timing, steps: int, precision: str, counted: Count, best: Peak) -> str:
    """The floor of a step in words, and a timing's distance from it."""
    moved = PASSES * counted.elements * DTYPES[precision].itemsize
    compute, memory = counted.flops / best.flops, moved / best.bandwidth
    seconds = statistics.median(timing.seconds) / steps
    return (
        f"Roofline, {timing.name}: {counted.flops / 1e9:,.0f} GFLOP at {best.flops / 1e9:,.0f} "
        f"GFLOP/s is {1e3 * compute:,.1f} ms; {moved / 1e9:.2f} GB ({PASSES} passes over the "
        f"convolutions' outputs) at {best.bandwidth / 1e9:,.1f} GB/s is {1e3 * memory:,.1f} ms; a "
        f"step takes {1e3 * seconds:,.1f} ms, {seconds / max(compute, memory):.2f} times its floor."
    )


def variants(arguments: argparse.Namespace) -> dict[str, tuple[str, Switch]]:
    """Name -> precision and compile."""
    found: dict[str, tuple[str, Switch]] = {
        "fp32": ("fp32", "off"),
        "bf16": ("bf16", "off"),
        "bf16 compiled": ("bf16", "on"),
    }
    return {
        f"longtail, {name}": settings
        for name, settings in found.items()
        if settings[1] == "off" or not arguments.no_compile
    }


def compare(method: str, peaks: dict[str, Peak], arguments: argparse.Namespace) -> Case:
    """All variants of a method's step in turns."""
    threads, steps, batch = torch.get_num_threads(), arguments.steps, arguments.batch_size
    plain = decide(arguments.device, "fp32", threads, "off")
    plan = plan_of(end_to_end.photographs(), method, batch, plain)
    views = len(plan.resolved.recipe.views)
    counted = count(method, batch)
    work = float(views * batch * steps)
    alternatives = {}
    if method in ordinary.KINDS:
        task = ordinary_task(method, arguments)
        alternatives["ordinary loop, fp32"] = Alternative(prepare_ordinary, (task,), work)
    for name, (precision, compiled) in variants(arguments).items():
        decisions = decide(arguments.device, precision, threads, compiled)
        given = (method, batch, steps, threads, decisions)
        alternatives[name] = Alternative(prepare, given, work)
    timings = interleave_apart(alternatives, turns=arguments.turns, budget=arguments.seconds)
    first, *others = [timing.name for timing in timings]
    return Case(
        title=f"{method}: {steps} steps of {batch} pictures in {views} views a sample",
        timings=tuple(timings),
        ratios=tuple(ratio(timings, first, other) for other in others),
        counts="views",
        memory="highest resident memory of the process",
        notes=tuple(
            roofline(timing, steps, precision, counted, peaks[precision])
            for timing in timings
            for precision in [variants(arguments).get(timing.name, ("fp32",))[0]]
        ),
    )


def ordinary_task(method: str, arguments: argparse.Namespace) -> Task:
    dataset = end_to_end.photographs()
    return Task(
        pictures=np.empty((0, 32, 32, 3), np.uint8),
        labels=end_to_end.some(dataset.train, arguments.batch_size).labels,
        statistics=((), ()),
        num_classes=dataset.num_classes,
        method=method,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        threads=torch.get_num_threads(),
        workers=0,
        warm_ups=2,
        device=arguments.device,
    )


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--methods", nargs="+", default=["rcl"], choices=tuple(METHODS))
    made.add_argument("--batch-size", type=int, default=256)
    made.add_argument("--steps", type=int, help="a sample; 1, or 20 on CUDA")
    made.add_argument("--turns", type=int, default=9)
    made.add_argument("--no-compile", action="store_true", help="leave the compiled step out")
    arguments = parsed(made)
    arguments.steps = arguments.steps or (1 if arguments.device == "cpu" else 20)
    if not arguments.threads:
        torch.set_num_threads(usable_cores())
    peaks = {precision: peak(precision, arguments.device) for precision in DTYPES}
    report = Report(
        benchmark="step",
        title="The training step alone",
        command=typed_command(),
        machine=machine(arguments.device),
        cases=tuple(compare(method, peaks, arguments) for method in arguments.methods),
        notes=(
            "ResNet-32, 32x32 pictures, 10 classes. FLOPs are counted by torch's FlopCounterMode, "
            "bytes by hooks on the convolutions; the peaks were measured just before.",
        ),
    )
    publish(report, arguments.json)


if __name__ == "__main__":
    main()
