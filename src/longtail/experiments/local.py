"""Engine "local": each task is a `longtail train` process on this machine."""

import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple, Protocol

from longtail.errors import DataError, FolderInUse, Interrupted, UsageError
from longtail.experiments.job import Task
from longtail.record import numeric_hash

RETRIES = 2
"""How often a task whose process was killed is begun again, from its checkpoint."""
_LAST_LINES = 12
_EDITED = (
    "The numeric sources were edited since the experiment was planned: what is left would be of "
    "another code. Type the command again."
)


class Outcome(NamedTuple):
    """How an engine's attempts at a task ended.

    Attributes:
        task: the task.
        code: 0 for done, else an exit code of `longtail.errors`; negative for a signal.
        text: the end of what the process wrote; empty when done.
    """

    task: Task
    code: int
    text: str = ""


class Engine(Protocol):
    """Runs tasks and yields how each ended, in any order; what it leaves is in their folders."""

    def __call__(
        self, tasks: Sequence[Task], started: Callable[[Task], None]
    ) -> Generator[Outcome]:
        """Run the tasks in their order, calling `started` from any thread when one begins."""


def local(at_once: int) -> Engine:
    """An engine of as many processes at a time on this machine.

    A process that a signal kills (the system, when memory runs out) is begun again and resumes; one
    that ends with an error is not. When the caller goes away the processes are told to stop, and
    save.
    """

    def run(tasks: Sequence[Task], started: Callable[[Task], None]) -> Generator[Outcome]:
        children = Children()
        with ThreadPoolExecutor(at_once) as pool:
            try:
                futures = [pool.submit(attempt, task, started, children) for task in tasks]
                for future in as_completed(futures):
                    yield future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                children.stop()

    return run


class Children:
    """The processes that run now, so that they can be told to stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    def run(self, words: Sequence[str], output: Path) -> int:
        """Run `longtail WORDS` to its end, its output appended to a file; the exit code."""
        command = [sys.executable, "-m", "longtail", *words]
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as file:
            with self._lock:
                if self.stopped:
                    return 75
                child = subprocess.Popen(command, stdout=file, stderr=file)
                self._running.add(child)
            code = child.wait()
        with self._lock:
            self._running.discard(child)
        return code

    def stop(self) -> None:
        """Ask every process to save and end; none is started any more."""
        with self._lock:
            self.stopped = True
            for child in self._running:
                child.terminate()


def attempt(task: Task, started: Callable[[Task], None], children: Children) -> Outcome:
    """Run a task's process, again where it was killed."""
    started(task)
    if numeric_hash() != task.source:
        return Outcome(task, UsageError.exit_code, _EDITED)
    code = -1
    for _ in range(1 + RETRIES):
        try:
            code = children.run(task.words, output_of(task))
        except OSError as error:  # no process to be had, or no place for its output
            return Outcome(task, DataError.exit_code, str(error))
        if code >= 0 or children.stopped:
            break
    return Outcome(task, code, last_lines(output_of(task)) if code else "")


def output_of(task: Task) -> Path:
    """The file beside the run's folder that has what its process printed."""
    return task.folder.with_name(f"{task.folder.name}.txt")


def last_lines(path: Path) -> str:
    """The end of a text file."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:])


def how_ended(code: int) -> str:
    """An exit code in words.

    >>> how_ended(0), how_ended(5), how_ended(-9)
    ('done', 'failed, exit code 5', 'killed by signal 9')
    """
    if code == FolderInUse.exit_code:
        return "another process has it"
    if code == Interrupted.exit_code:
        return "was told to stop, and saved"
    if code < 0:
        return f"killed by signal {-code}"
    return f"failed, exit code {code}" if code else "done"
