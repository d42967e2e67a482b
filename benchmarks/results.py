"""What a benchmark found: timings, ratios, goals, cases and a report, as JSON and as text."""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Timing:
    """Samples of one alternative.

    Attributes:
        name: of the alternative.
        seconds: every sample, in order.
        work: pictures (or whatever `Case.counts` says) done in a sample; None where none is told.
        peak_bytes: of memory, as `Case.memory` says; None where it was not measured.
        setup_seconds: before the first sample, apart from it; None where it was not measured.
    """

    name: str
    seconds: tuple[float, ...]
    work: float | None = None
    peak_bytes: int | None = None
    setup_seconds: float | None = None

    @property
    def median(self) -> float:
        """Seconds of the middle sample."""
        return statistics.median(self.seconds)


@dataclasses.dataclass(frozen=True)
class Ratio:
    """How many times quicker `fast` is than `slow`.

    Attributes:
        slow: name of the alternative above.
        fast: name of the one below.
        medians: ratio of the two medians.
        paired: median of the ratios of each turn.
        low: smallest ratio of a turn.
        high: largest one.
    """

    slow: str
    fast: str
    medians: float
    paired: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Goal:
    """A number that was wanted beside the one that was reached.

    Attributes:
        what: in words.
        wanted: the number.
        reached: the measured one.
        at_most: whether smaller is better.
        stretch: a further number, or None.
    """

    what: str
    wanted: float
    reached: float
    at_most: bool = False
    stretch: float | None = None

    @property
    def met(self) -> bool:
        """Whether the number was reached."""
        return self.reached <= self.wanted if self.at_most else self.reached >= self.wanted


@dataclasses.dataclass(frozen=True)
class Case:
    """Alternatives that were timed in turns on the same task.

    Attributes:
        title: the task.
        timings: of the alternatives.
        ratios: between some of them.
        goals: what was wanted of them.
        counts: what `Timing.work` counts, e.g. "views".
        memory: what `Timing.peak_bytes` is, in words.
        notes: sentences.
    """

    title: str
    timings: tuple[Timing, ...]
    ratios: tuple[Ratio, ...] = ()
    goals: tuple[Goal, ...] = ()
    counts: str = ""
    memory: str = ""
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """What one benchmark found on one machine.

    Attributes:
        benchmark: its name.
        title: a heading.
        command: that was typed.
        machine: `machine(...)`.
        cases: in order.
        notes: sentences on all of them, and the peers that are absent.
    """

    benchmark: str
    title: str
    command: str
    machine: dict[str, Any]
    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()


def ratio(timings: Sequence[Timing], slow: str, fast: str) -> Ratio:
    """How many times quicker one alternative is, per unit of work."""
    named = {timing.name: timing for timing in timings}
    above, below = named[slow], named[fast]
    scale = (below.work or 1.0) / (above.work or 1.0)
    pairs = [scale * a / b for a, b in zip(above.seconds, below.seconds, strict=False)]
    return Ratio(
        slow,
        fast,
        medians=scale * above.median / below.median,
        paired=statistics.median(pairs),
        low=min(pairs),
        high=max(pairs),
    )


def publish(report: Report, file: Path | None) -> None:
    """Print a report and write it."""
    print("\n".join(lines(report)), flush=True)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(dataclasses.asdict(report), indent=1, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")


def lines(report: Report) -> list[str]:
    """A report as plain text."""
    shown = [report.title, machine_line(report.machine), report.command]
    for case in report.cases:
        shown += ["", case.title, *(table(case) if case.timings else [])]
        shown += [ratio_line(found) for found in case.ratios]
        shown += [goal_line(goal) for goal in case.goals]
        shown += case.notes
    return [*shown, "", *report.notes]


def machine_line(known: Mapping[str, Any]) -> str:
    """Hardware, versions and revision in one line."""
    parts = [known["cpu"], f"{known['cores']} cores", f"{known['threads']} threads"]
    parts += [known["instructions"], f"allocator {known['allocator']}"]
    parts += [f"{known['gpu']}, CUDA {known['cuda']}"] if known["gpu"] else []
    parts += [f"{name} {version or 'absent'}" for name, version in known["versions"].items()]
    return ", ".join([*parts, f"revision {str(known['revision'])[:12]}"])


def table(case: Case) -> list[str]:
    """Timings in columns that line up."""
    rows = [header(case), *(cells(timing, case) for timing in case.timings)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def header(case: Case) -> list[str]:
    """Titles of the columns of `cells`."""
    titles = ["", "median ms", "min", "max", "samples"]
    titles += [f"{case.counts}/s"] if case.counts else []
    titles += ["peak MiB"] if case.memory else []
    return titles + (["set-up s"] if _has_setup(case) else [])


def cells(timing: Timing, case: Case) -> list[str]:
    """One alternative's row."""
    numbers = [timing.median, min(timing.seconds), max(timing.seconds)]
    row = [timing.name, *(rounded(1e3 * value) for value in numbers), str(len(timing.seconds))]
    if case.counts:
        row.append(f"{timing.work / timing.median:,.0f}" if timing.work else "–")
    if case.memory:
        row.append(rounded(timing.peak_bytes / 2**20) if timing.peak_bytes is not None else "–")
    if _has_setup(case):
        row.append(rounded(timing.setup_seconds) if timing.setup_seconds is not None else "–")
    return row


def ratio_line(found: Ratio) -> str:
    """A ratio in words."""
    return (
        f"{found.fast} is {found.medians:.2f} times as quick as {found.slow} by medians, "
        f"{found.paired:.2f} by turns ({found.low:.2f} to {found.high:.2f})"
    )


def goal_line(goal: Goal) -> str:
    """A goal beside what was reached."""
    further = f", aiming at {goal.stretch:,g}" if goal.stretch is not None else ""
    return (
        f"Goal: {goal.what} {'at most' if goal.at_most else 'at least'} {goal.wanted:,g}{further}; "
        f"reached {rounded(goal.reached)}: {'met' if goal.met else 'MISSED'}"
    )


def _has_setup(case: Case) -> bool:
    return any(timing.setup_seconds is not None for timing in case.timings)


def rounded(value: float) -> str:
    """At least three digits.

    >>> rounded(0.12345), rounded(1234.5)
    ('0.123', '1,234')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def read_report(file: Path) -> Report:
    """A report that `publish` wrote."""
    return report_of(json.loads(file.read_text(encoding="utf-8")))


def report_of(values: Mapping[str, Any]) -> Report:
    """A report from `dataclasses.asdict` of it, by way of JSON."""
    cases, notes = tuple(map(_case_of, values["cases"])), tuple(values["notes"])
    return Report(**{**values, "cases": cases, "notes": notes})


def _case_of(values: Mapping[str, Any]) -> Case:
    timings = (Timing(**{**v, "seconds": tuple(v["seconds"])}) for v in values["timings"])
    parts = {
        "timings": tuple(timings),
        "ratios": tuple(Ratio(**v) for v in values["ratios"]),
        "goals": tuple(Goal(**v) for v in values["goals"]),
        "notes": tuple(values["notes"]),
    }
    return Case(**{**values, **parts})
