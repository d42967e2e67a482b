"""Training from pictures to updated weights: longtail's `fit` beside an ordinary loop.

    python benchmarks/end_to_end.py [--json FILE]
    python benchmarks/end_to_end.py --device cuda --epochs 200 [--json FILE]

The same ResNet-32, three views, batch and losses; segments of a few steps in turns, each loop in a
process of its own and in its steady state, set-up and warm-up (with compilation) apart. Without
CIFAR-10 on this machine the pictures are pieces of scikit-learn's two photographs, which take as
long. On CUDA a whole run of --epochs is timed as well, its evaluations included.
"""

import argparse
import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import ordinary
import torch
from measure import (
    Alternative,
    Segment,
    interleave_apart,
    machine,
    parsed,
    parser,
    synchronise,
    typed_command,
)
from ordinary import Task
from results import Case, Goal, Report, Timing, publish, ratio
from torch import Tensor

from longtail import keyed
from longtail.data.batches import Batch, input_statistics
from longtail.data.dataset import Dataset, Split, split_of
from longtail.data.load import load_dataset, prepare
from longtail.data.sources.cifar import data_roots
from longtail.evaluation import measure
from longtail.methods.resolve import Resolved, resolve
from longtail.recipe import DataInfo
from longtail.record import Decisions
from longtail.training import loop
from longtail.training.decisions import decide, pixels_seen, usable_cores
from longtail.training.graph import Step
from longtail.training.loop import fit, initial_state
from longtail.training.memory import reused_memory
from longtail.training.plan import Plan, make_plan
from longtail.training.scoring import score_split

PHOTOGRAPHS = "photographs"
CIFAR_10 = ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar10", "cifar10.zip")
VIEWS = len(ordinary.VIEWS)
PAPER_EPOCHS = 200
OPENING = 8  # steps of a run in which libraries choose kernels and a graph is recorded
HELD = contextlib.ExitStack()  # until the process ends
GOAL, STRETCH, GPU_SECONDS, GPU_STRETCH = 2.7, 3.2, 60, 30


def default_data() -> str:
    """cifar10-lt where it is on this machine; nothing is downloaded for a benchmark."""
    found = any((root / name).exists() for root in data_roots() for name in CIFAR_10)
    return "cifar10-lt" if found else PHOTOGRAPHS


def load(name: str) -> Dataset:
    return prepare(photographs()) if name == PHOTOGRAPHS else load_dataset(name)


def photographs(
    counts: tuple[int, ...] = (2000, 1200, 720, 430, 260, 155, 93, 56, 33, 20),
) -> Dataset:
    """32x32 pieces of scikit-learn's two photographs; a class is a band of one of them."""
    from sklearn.datasets import load_sample_images

    sources, draw = load_sample_images().images, np.random.RandomState(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    band = sources[0].shape[1] // (1 + len(counts) // 2)
    tops = draw.randint(0, sources[0].shape[0] - 32, len(labels))
    lefts = labels // 2 * band + draw.randint(0, band, len(labels))
    pieces = [
        sources[label % 2][top : top + 32, left : left + 32]
        for label, top, left in zip(labels, tops, lefts, strict=True)
    ]
    split = split_of(np.stack(pieces), labels)
    names = tuple(f"band {number}" for number in range(len(counts)))
    return Dataset(PHOTOGRAPHS, "scikit-learn's sample images", "photo", names, split, split)


def some(split: Split, number: int) -> Split:
    """A fixed draw of `number` samples, repeated where there are fewer."""
    order = keyed.permutation(torch.tensor(0), len(split)).numpy()
    return split.take(np.resize(order, number))


def resolved_for(dataset: Dataset, method: str, batch_size: int, epochs: int) -> Resolved:
    return resolve(method, DataInfo(dataset.counts), epochs=epochs, batch_size=batch_size)


def plan_of(
    dataset: Dataset, method: str, batch_size: int, epochs: int, decisions: Decisions
) -> Plan:
    return make_plan(
        dataset,
        resolved_for(dataset, method, batch_size, epochs),
        backbone="resnet32",
        seed=0,
        eval_every=None,
        decisions=decisions,
    )


def prepare_fit(task: Task, decisions: Decisions) -> Segment:
    """`fit` in segments: an epoch is the task's steps, and each sample trains for one more."""
    torch.set_num_threads(task.threads)
    # A run enters this once; here, where every sample calls `fit`, it would begin afresh each time.
    HELD.enter_context(reused_memory())
    HELD.enter_context(mock.patch.object(loop, "reused_memory", contextlib.nullcontext))
    HELD.enter_context(mock.patch.object(loop, "make_step", made_once(loop.make_step)))
    names = tuple(map(str, range(task.num_classes)))
    train = split_of(task.pictures, task.labels)
    dataset = Dataset("segment", "", "photo", names, train, normalisation=task.statistics)
    plan = plan_of(dataset, task.method, task.batch_size, 1, decisions)
    state = initial_state(plan, dataset)

    def run() -> None:
        done = state.step // task.steps
        fit(lasting(plan, done + 1), dataset, state)

    while state.step < task.warm_ups:
        run()
    return Segment(run, device=task.device)


def made_once(make_step: Callable[..., Step]) -> Callable[..., Step]:
    """Gives the first step again, so that no later call compiles or records anew."""
    made: list[Step] = []

    def kept(*arguments: object) -> Step:
        if not made:
            made.append(make_step(*arguments))
        return made[0]

    return kept


def lasting(plan: Plan, epochs: int) -> Plan:
    """The plan with another length."""
    settings = dataclasses.replace(plan.resolved.settings, epochs=epochs)
    return dataclasses.replace(plan, resolved=dataclasses.replace(plan.resolved, settings=settings))


def task_of(dataset: Dataset, arguments: argparse.Namespace) -> Task:
    chosen = some(dataset.train, arguments.steps * arguments.batch_size)
    return Task(
        pictures=np.asarray(chosen.inputs),
        labels=chosen.labels,
        statistics=input_statistics(dataset),
        num_classes=dataset.num_classes,
        method=arguments.method,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        threads=torch.get_num_threads(),
        workers=arguments.workers,
        warm_ups=2,
        device=arguments.device,
    )


def compare(dataset: Dataset, arguments: argparse.Namespace) -> Case:
    """Both loops in turns."""
    task = task_of(dataset, arguments)
    decided = decisions_for(dataset, arguments, arguments.epochs or PAPER_EPOCHS)
    work = float(VIEWS * task.steps * task.batch_size)
    ours = f"longtail, {decided.precision}{', compiled' if decided.compile else ''}"
    theirs = "ordinary loop, fp32"
    timings = interleave_apart(
        {
            theirs: Alternative(ordinary.prepare, (task,), work),
            ours: Alternative(prepare_fit, (task, decided), work),
        },
        turns=arguments.pairs,
        budget=arguments.seconds,
    )
    found = ratio(timings, theirs, ours)
    goal = Goal("times the images/s of an ordinary loop", GOAL, found.medians, stretch=STRETCH)
    return Case(
        title=f"{task.method} on {dataset.name}: {task.steps} steps of {task.batch_size} pictures "
        f"in {VIEWS} views a sample",
        timings=tuple(timings),
        ratios=(found,),
        goals=(goal,) if decided.device == "cpu" else (),
        counts="views",
        memory="highest resident memory of the process that trains, without the loader's workers",
        notes=(
            *(f"{t.name}: {work / VIEWS / t.median:,.1f} images/s" for t in timings),
            f"The ordinary loop has {task.workers} persistent workers, whose queue is full when a "
            "sample begins; set-up is a process's own, with its warm-up steps and compilation.",
        ),
    )


def whole_run(dataset: Dataset, arguments: argparse.Namespace) -> Case:
    """A run of all epochs with its evaluations; what its first steps took stands apart."""
    torch.backends.cudnn.benchmark = arguments.autotune
    decisions = decisions_for(dataset, arguments, arguments.epochs)
    plan = plan_of(dataset, arguments.method, arguments.batch_size, arguments.epochs, decisions)
    if (steps := loop.num_steps(plan, dataset)) <= OPENING:
        enough = OPENING // loop.steps_an_epoch(plan, dataset) + 1
        raise SystemExit(
            f"--epochs {arguments.epochs} gives {steps} steps, of which the first {OPENING} are "
            f"set-up and not timed; take at least --epochs {enough}."
        )
    opened: list[float] = []
    watched = noting_time(loop.make_step, OPENING, arguments.device, opened)
    began = time.perf_counter()
    with mock.patch.object(loop, "make_step", watched):
        state = fit(plan, dataset, initial_state(plan, dataset))
    synchronise(arguments.device)
    seconds = time.perf_counter() - opened[0]
    notes = [
        f"Set-up is from the start to the end of step {OPENING} of {state.step:,}: the model, the "
        "data's move, compilation and recording; the time is from there to the end."
    ]
    if dataset.test is not None:
        scores = score_split(plan, state.model, dataset.test)
        reached = measure(scores, dataset.test, dataset.counts).balanced_accuracy
        notes.append(f"Balanced accuracy on test at the end: {reached:.4f}.")
    compiled = ", compiled" if decisions.compile else ""
    tuned = ", autotuned" if arguments.autotune else ""
    timing = Timing(
        f"longtail, {decisions.precision}{compiled}{tuned}",
        (seconds,),
        float(VIEWS * (state.step - OPENING) * plan.resolved.settings.batch_size),
        setup_seconds=opened[0] - began,
    )
    goal = Goal("seconds a run", GPU_SECONDS, seconds, at_most=True, stretch=GPU_STRETCH)
    return Case(
        title=f"{arguments.method} on {dataset.name}: a whole run of {arguments.epochs} epochs, "
        f"an evaluation every {plan.eval_every}",
        timings=(timing,),
        goals=(goal,) if plan.device.type == "cuda" and arguments.epochs >= PAPER_EPOCHS else (),
        counts="views",
        notes=tuple(notes),
    )


def noting_time(
    make_step: Callable[..., Step], calls: int, device: str, noted: list[float]
) -> Callable[..., Step]:
    """Makes steps that note when the first so many are done."""
    taken = itertools.count(1)

    def make(*arguments: object) -> Step:
        step = make_step(*arguments)

        def counted(batch: Batch) -> Tensor:
            losses = step(batch)
            if next(taken) == calls:
                synchronise(device)
                noted.append(time.perf_counter())
            return losses

        return counted

    return make


def decisions_for(dataset: Dataset, arguments: argparse.Namespace, epochs: int) -> Decisions:
    """What a run of so many epochs would decide."""
    resolved = resolved_for(dataset, arguments.method, arguments.batch_size, epochs)
    return decide(
        arguments.device,
        arguments.precision,
        torch.get_num_threads(),
        arguments.compile,
        pixels=pixels_seen(dataset, resolved),
    )


def options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--data", help="cifar10-lt if it is here, else photographs")
    made.add_argument("--method", default="rcl", choices=tuple(ordinary.KINDS))
    made.add_argument("--batch-size", type=int, default=256)
    made.add_argument("--steps", type=int, help="a sample; 3, or 40 on CUDA")
    made.add_argument("--pairs", type=int, default=5)
    made.add_argument("--workers", type=int, default=2, help="of the ordinary loop")
    made.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    made.add_argument("--compile", default="auto", choices=("auto", "on", "off"))
    made.add_argument("--autotune", action="store_true", help="let cuDNN time its convolutions")
    made.add_argument("--epochs", type=int, help="time a whole run of them; 200 on CUDA, else none")
    arguments = parsed(made)
    on_cuda = torch.device(arguments.device).type == "cuda"
    arguments.data = arguments.data or default_data()
    arguments.steps = arguments.steps or (40 if on_cuda else 3)
    arguments.epochs = PAPER_EPOCHS if arguments.epochs is None and on_cuda else arguments.epochs
    return arguments


def main() -> None:
    arguments = options()
    if not arguments.threads:
        torch.set_num_threads(usable_cores())
    dataset = load(arguments.data)
    cases = [compare(dataset, arguments)] if arguments.pairs else []
    cases += [whole_run(dataset, arguments)] if arguments.epochs else []
    report = Report(
        benchmark="end-to-end",
        title="Training end to end",
        command=typed_command(),
        machine=machine(arguments.device),
        cases=tuple(cases),
        notes=(f"Data: {dataset.source}.",),
    )
    publish(report, arguments.json)


if __name__ == "__main__":
    main()
