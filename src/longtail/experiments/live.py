"""What a person sees while an experiment runs: a live table on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from longtail.errors import printable
from longtail.experiments.job import Task
from longtail.experiments.ledger import Entry
from longtail.experiments.local import Outcome, how_ended
from longtail.record import read_lines

_SHOWN = 12


class Display:
    """Shows nothing; the interface of the others."""

    def surveyed(self, entries: Sequence[Entry]) -> None:
        """How the tasks stand before any is run."""

    def started(self, task: Task) -> None:
        """A task began; called from any thread."""

    def ended(self, outcome: Outcome) -> None:
        """A task ended."""

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(self, *error: object) -> None:
        """Show no more."""


class Lines(Display):
    """A line a task, for files and pipes."""

    def __init__(self) -> None:
        self._total = self._ended = 0

    def surveyed(self, entries: Sequence[Entry]) -> None:
        """Print how many are left."""
        self._total = sum(entry.state != "done" for entry in entries)
        print(f"{len(entries) - self._total} of {len(entries)} runs are done.", flush=True)

    def ended(self, outcome: Outcome) -> None:
        """Print how a task ended and its accuracy."""
        self._ended += 1
        how = _accuracy(outcome.task.folder) if outcome.code == 0 else how_ended(outcome.code)
        print(f"[{self._ended}/{self._total}] {_name(outcome.task)}  {how}", flush=True)


class Live(Display):
    """A table of what runs now, read from the runs' own logs, with the time left."""

    def __init__(self) -> None:
        self._running: dict[Path, tuple[Task, float]] = {}
        self._total = self._ended = self._done = 0
        self._began = time.monotonic()
        self._last: list[Outcome] = []
        self._live: Any = None

    def surveyed(self, entries: Sequence[Entry]) -> None:
        """Count what is left."""
        self._total = sum(entry.state != "done" for entry in entries)
        self._done = len(entries) - self._total

    def started(self, task: Task) -> None:
        """Add a row."""
        self._running[task.folder] = task, time.monotonic()

    def ended(self, outcome: Outcome) -> None:
        """Move a row to the ended ones."""
        self._running.pop(outcome.task.folder, None)
        self._ended += 1
        self._last = [*self._last, outcome][-_SHOWN:]

    def __enter__(self) -> Self:
        """Draw from now on, twice a second."""
        from rich.live import Live as RichLive

        self._live = RichLive(get_renderable=self._table, refresh_per_second=2)
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the last state on the screen."""
        self._live.stop()

    def _table(self) -> Any:
        from rich.table import Table

        table = Table("run", "", "epoch", "balanced", "images/s", "time", title=self._title())
        for outcome in self._last:
            how = how_ended(outcome.code)
            table.add_row(_name(outcome.task), how, "", _accuracy(outcome.task.folder), "", "")
        for folder, (task, began) in list(self._running.items()):
            line = (read_lines(folder / "log.jsonl") or [{}])[-1]
            table.add_row(
                _name(task),
                "running",
                str(line.get("epoch", "–")),
                _accuracy(folder),
                f"{line['images_per_second']:,.0f}" if line else "–",
                _clock(time.monotonic() - began),
            )
        return table

    def _title(self) -> str:
        spent = time.monotonic() - self._began
        text = f"{self._done} runs were done, {self._ended} of {self._total} ended"
        if self._ended:
            text += f", about {_clock(spent / self._ended * (self._total - self._ended))} left"
        return text


def display() -> Display:
    """The display that suits where the output goes."""
    return Live() if sys.stdout.isatty() else Lines()


def _name(task: Task) -> Any:
    """A task's table, row and seed, as text in which nothing is markup."""
    from rich.text import Text

    job = task.job
    return Text(printable(f"{job.group}: {job.row}, seed {job.request.seed}"))


def _accuracy(folder: Path) -> str:
    """The last live accuracy in a run's log, and which split it is of."""
    for line in reversed(read_lines(folder / "log.jsonl")):
        if "accuracy" in line:
            return f"{line['split']}: balanced {100 * line['accuracy']['balanced_accuracy']:.1f} %"
    return "–"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
