"""What a person sees while training: a bar on a terminal, a line an evaluation elsewhere."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from longtail.data.dataset import Dataset
from longtail.errors import printable
from longtail.training.plan import Plan


class Silent:
    """Shows nothing; the interface of the others."""

    def advance(self, images_per_second: float) -> None:
        """One step was taken."""

    def report(self, line: dict[str, Any]) -> None:
        """An epoch was logged."""


class Lines(Silent):
    """One line of text an evaluation, for files and pipes."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def report(self, line: dict[str, Any]) -> None:
        """Print an epoch that was evaluated."""
        if "accuracy" in line:
            print(f"epoch {line['epoch']}/{self.epochs}  {_summary(line)}", flush=True)


class Bar(Silent):
    """A live bar with the time left, images a second and the last accuracy."""

    def __init__(self, bar: Any, task: Any) -> None:
        self.bar = bar
        self.task = task

    def advance(self, images_per_second: float) -> None:
        """Move on by a step."""
        self.bar.update(self.task, advance=1, speed=f"{images_per_second:,.0f} images/s")

    def report(self, line: dict[str, Any]) -> None:
        """Show the epoch's numbers beside the bar."""
        self.bar.update(self.task, summary=_summary(line))


@contextlib.contextmanager
def show_progress(
    enabled: bool, plan: Plan, dataset: Dataset, done: int, num_steps: int
) -> Iterator[Silent]:
    """The display that suits where the output goes, for a run of which `done` steps are taken."""
    if not enabled:
        yield Silent()
        return
    if not sys.stdout.isatty():
        yield Lines(plan.resolved.settings.epochs)
        return
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[speed]}  {task.fields[summary]}", markup=False),
    )
    with progress.Progress(*columns) as bar:
        title = f"{printable(dataset.name)} {plan.resolved.method}"
        task = bar.add_task(title, total=num_steps, completed=done, speed="", summary="")
        yield Bar(bar, task)


def _summary(line: dict[str, Any]) -> str:
    parts = [f"loss {line['loss']:.3f}", f"{line['images_per_second']:,.0f} images/s"]
    accuracy = line.get("accuracy")
    if accuracy:
        shown = (f"{name} {_percent(accuracy[name])}" for name in ("many", "medium", "few"))
        parts.append(
            f"{line['split']}: balanced {_percent(accuracy['balanced_accuracy'])} "
            f"({', '.join(shown)})"
        )
    return "  ".join(parts)


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}"
