"""Running an experiment's tasks to verified records, whatever happened to earlier attempts."""

import contextlib
import dataclasses
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from longtail.errors import FolderInUse, Interrupted, printable
from longtail.experiments.job import Task
from longtail.experiments.ledger import Entry, find_runs, judged, survey
from longtail.experiments.live import Display
from longtail.experiments.local import Engine, Outcome, how_ended
from longtail.training.folder import locked


@dataclasses.dataclass(frozen=True)
class Bench:
    """How an experiment stands after its tasks were run.

    Attributes:
        entries: one a task, in the tasks' order.
        failed: the tasks that ended with an error or were killed too often, with their last words.
    """

    entries: tuple[Entry, ...]
    failed: tuple[Outcome, ...]

    @property
    def done(self) -> list[Entry]:
        """The entries with a verified record."""
        return [entry for entry in self.entries if entry.state == "done"]


def run_tasks(
    tasks: Sequence[Task],
    out: Path,
    engine: Engine,
    *,
    also: Sequence[Path] = (),
    accept_source: bool = False,
    display: Display | None = None,
) -> Bench:
    """Train what is not done. A task that fails is reported and stops no other.

    Args:
        tasks: of the experiment; seeds outermost.
        out: folder of the runs, made if missing. Several processes and machines may share it: a run
            has one writer, and who finds it taken goes on with the next.
        engine: runs the tasks.
        also: further folders of runs that may serve.
        accept_source: takes verified runs of other numeric sources for done.
        display: what a person sees meanwhile.

    Raises:
        Interrupted: a signal asked for the end; every run that was begun is saved.
    """
    out.mkdir(parents=True, exist_ok=True)
    before = survey(tasks, out, also=also, accept_source=accept_source)
    shown = display or Display()
    shown.surveyed(before)
    # Rows of equal contents are one run.
    todo = list({e.task.folder: e.task for e in before if e.state != "done"}.values())
    for entry in before:
        if entry.state == "damaged" and entry.folder == entry.task.folder:
            _set_aside(entry)
    outcomes = []
    with shown, _interrupted_by_sigterm():
        try:
            # Closed on the way out, whatever ends the loop: the engine stops its processes then.
            with contextlib.closing(engine(todo, shown.started)) as ended:
                for outcome in ended:
                    outcomes.append(outcome)
                    shown.ended(outcome)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Stopped with {len(outcomes)} of {len(todo)} runs ended; those at work have "
                "saved. The same command goes on."
            ) from None
    after = survey(tasks, out, also=also, accept_source=accept_source)
    failed = [o for o in outcomes if o.code not in (0, FolderInUse.exit_code)]
    return Bench(tuple(after), tuple(failed))


def _set_aside(entry: Entry) -> None:
    """Keep a record that does not verify out of the way, so that its run is finished anew."""
    record = entry.folder / "record.json"
    with contextlib.suppress(FolderInUse), locked(entry.folder):
        found = [run for run in find_runs([entry.folder.parent]) if run.folder == entry.folder]
        # Another process may have mended it, or set it aside, in the meantime.
        if found and judged(entry.task, found[0]).state == "damaged":
            record.replace(record.with_name("record.json.damaged"))


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM is taken as Ctrl-C is, so that engines can end in good order."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # outside the main thread signals cannot be caught
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def summary_lines(bench: Bench) -> Iterator[str]:
    """What a person should know at the end besides the table."""
    states = Counter(entry.state for entry in bench.entries)
    left = ", ".join(f"{states[name]} {name}" for name in sorted(states) if name != "done")
    yield f"{states['done']} of {len(bench.entries)} runs done{f'; {left}' if left else ''}."
    for outcome in bench.failed:
        yield f"{outcome.task.folder.name} {how_ended(outcome.code)}:"
        yield from (f"    {printable(line)}" for line in outcome.text.splitlines()[-4:])
        yield f"    {outcome.task.command}"
    for entry in bench.entries:
        if entry.note:
            yield f"{entry.task.folder.name}: {entry.note}"
