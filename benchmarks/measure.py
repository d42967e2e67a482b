"""How every benchmark here measures: the machine, timings in turns, memory, the command line.

Alternatives are timed in turns, A B C A B C, so that whatever else the machine does falls on all of
them, and every sample is kept (see `results` for what is made of them).
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from results import Timing

from longtail.record import hardware, revision, versions

PEERS = ("pytorch-metric-learning", "kornia")
DISTRIBUTIONS = ("longtail", "torch", "torchvision", "numpy", "pillow", *PEERS)

Run = Callable[[], object]


def machine(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Hardware, versions and revision, as JSON values."""
    device = torch.device(device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        **dataclasses.asdict(hardware(gpu)),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "allocator": _preloaded_allocator(),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "versions": versions(DISTRIBUTIONS),
        "revision": revision(),
    }


def _preloaded_allocator() -> str:
    """The allocator that stands in for the system's, which changes CPU timings by a lot."""
    preloaded = Path(os.environ.get("LD_PRELOAD", "").split(":")[0]).name
    return preloaded or "system"


def absent_peers(*names: str) -> list[str]:
    """A sentence for each peer (of all, unless named) that is not installed."""
    missing = [name for name, found in versions(names or PEERS).items() if found is None]
    return [f"{name} is not installed, so it is absent (pip install {name})." for name in missing]


def synchronise(device: torch.device | str) -> None:
    """Wait for what is queued on an accelerator."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def interleave(
    runs: Mapping[str, Run],
    *,
    turns: int = 11,
    warm_ups: int = 1,
    device: torch.device | str = "cpu",
    budget: float = float("inf"),
    work: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Time several functions in turns in this process.

    Args:
        runs: by name; each call is one sample.
        turns: samples of each, unless the budget ends before; three at least.
        warm_ups: calls of each before the first sample.
        device: waited for before and after each sample.
        budget: seconds after which no further turn begins.
        work: done in a sample, for `Timing.work`.
        clock: `time.process_time` counts this process's CPU seconds, for one thread on a machine
            that others use.
    """
    for run in runs.values():
        for _ in range(warm_ups):
            run()
    samples: dict[str, list[float]] = {name: [] for name in runs}
    began = time.perf_counter()
    for turn in range(turns):
        if turn >= 3 and time.perf_counter() - began > budget:
            break
        for name, run in runs.items():
            samples[name].append(_seconds(run, device, clock))
    return [Timing(name, tuple(seconds), work) for name, seconds in samples.items()]


def _seconds(run: Run, device: torch.device | str, clock: Callable[[], float]) -> float:
    synchronise(device)
    began = clock()
    run()
    synchronise(device)
    return clock() - began


class Segment(NamedTuple):
    """One alternative, ready to be timed.

    Attributes:
        run: is one sample.
        settle: is called after each, out of the time: what runs on must not disturb the others.
        device: waited for.
    """

    run: Run
    settle: Run = lambda: None
    device: str = "cpu"


class Alternative(NamedTuple):
    """How a fresh process gets an alternative ready.

    Attributes:
        prepare: a function of a module, which returns a `Segment`; its time is the set-up's.
        arguments: of it.
        work: done in a sample.
    """

    prepare: Callable[..., Segment]
    arguments: tuple[Any, ...] = ()
    work: float | None = None


def interleave_apart(
    alternatives: Mapping[str, Alternative], *, turns: int, budget: float = float("inf")
) -> list[Timing]:
    """Time alternatives in turns, each in a process of its own, as it is used in life.

    So no allocator, thread pool or cache is shared, and the peak of a process's memory is its own:
    everything resident, with torch and the data, at the highest (`Timing.peak_bytes`).

    Raises:
        RuntimeError: a process ended before its turn; what it wrote to stderr says why.
    """
    context = multiprocessing.get_context("spawn")
    ends: dict[str, Connection] = {}
    for name, alternative in alternatives.items():
        ends[name], theirs = context.Pipe()
        # Not daemonic: an alternative may have workers itself.
        context.Process(target=_serve, args=(theirs, *alternative[:2])).start()
        theirs.close()
    try:
        # One after the other: what one sets up would be in the way of the next.
        setups = {name: _ask(end, name) for name, end in ends.items()}
        samples: dict[str, list[float]] = {name: [] for name in ends}
        began = time.perf_counter()
        for turn in range(turns):
            if turn >= 3 and time.perf_counter() - began > budget:
                break
            for name, end in ends.items():
                samples[name].append(_ask(end, name))
        peaks = {name: int(_ask(end, name, last=True)) for name, end in ends.items()}
    finally:
        for end in ends.values():
            end.close()
    return [
        Timing(name, tuple(samples[name]), alternatives[name].work, peaks[name], setups[name])
        for name in alternatives
    ]


def _ask(end: Connection, name: str, *, last: bool = False) -> float:
    try:
        end.send(not last)
        return float(end.recv())
    except (EOFError, OSError) as error:
        raise RuntimeError(
            f"The process of {name!r} ended early; see its message above."
        ) from error


def _serve(end: Connection, prepare: Callable[..., Segment], arguments: tuple[Any, ...]) -> None:
    """Answer with seconds while told to go on: of the set-up first, then of each sample."""
    segment: Segment | None = None
    try:
        while end.recv():
            began = time.perf_counter()
            if segment is None:
                segment = prepare(*arguments)
                seconds = time.perf_counter() - began
            else:
                seconds = _seconds(segment.run, segment.device, time.perf_counter)
            if segment is not None:
                segment.settle()
            end.send(seconds)
        end.send(peak_resident())
    except EOFError:
        pass  # the other side has given up


def peak_resident() -> int:
    """Highest resident memory of this process in bytes.

    The kernel's own mark, where there is one: what `getrusage` tells begins with the size of the
    process that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    marks = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(next(marks).split()[1]) * 1024


def peak_allocated(run: Run, device: torch.device | str = "cpu") -> int:
    """Highest number of bytes that tensors made during one call hold at once.

    What was there before (inputs, weights) does not count, nor do buffers that a library takes from
    the system past torch's allocator. This is what two ways of computing the same are compared by:
    resident memory has torch's own hundreds of megabytes in it.
    """
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    return highest(allocations(run))


def allocations(run: Run) -> list[int]:
    """Bytes of each allocation (positive) and release (negative) of CPU memory, in order."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        run()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    memory = [event for event in events if event.get("name") == "[memory]"]
    memory.sort(key=lambda event: event["ts"])
    return [event["args"]["Bytes"] for event in memory if event["args"]["Device Type"] == 0]


def highest(changes: Sequence[int]) -> int:
    """The highest running total, at least 0.

    >>> highest([4, 3, -4, 2])
    7
    """
    level = peak = 0
    for change in changes:
        level += change
        peak = max(peak, level)
    return peak


def parser(document: str | None) -> argparse.ArgumentParser:
    """An argument parser with what every benchmark takes."""
    made = argparse.ArgumentParser(
        description=document, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", type=Path, help="write the report here")
    made.add_argument("--device", default="cpu")
    made.add_argument("--threads", type=int, help="of the CPU; torch's own choice when left out")
    made.add_argument(
        "--seconds", type=float, default=60.0, help="a case: no further turn begins after these"
    )
    return made


def parsed(made: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line, and let torch use as many threads as it says."""
    arguments = made.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return arguments


def typed_command() -> str:
    """The command line of this process, without the place of the checkout or of the output."""
    words = ["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    if "--json" in words[:-1]:
        at = words.index("--json")
        words[at + 1] = Path(words[at + 1]).name
    return shlex.join(words)
