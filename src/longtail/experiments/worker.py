"""What happens in a Ray worker: one run, as in a `longtail train` process of its own."""

import contextlib
import os
import runpy
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from longtail.errors import DataError, UsageError
from longtail.experiments.local import last_lines
from longtail.record import numeric_hash


class Said(NamedTuple):
    """What a task's worker, or Ray for it, says next."""

    what: Literal["began", "ended", "killed"]
    code: int = 0
    text: str = ""


def work(
    words: Sequence[str], output: str, here: str, environment: Mapping[str, str], source: str
) -> Iterator[Said]:
    """Say that a run begins, run `longtail WORDS` as a process of its own would, say how it ended.

    Args:
        words: of the run.
        output: file that what it prints is appended to.
        here: the folder that relative paths start from.
        environment: variables the caller's paths are told by.
        source: hash of the numeric sources that it must be run by.
    """
    yield Said("began")
    os.environ.update(environment)
    with contextlib.suppress(OSError):  # without it absolute paths work as well
        os.chdir(here)
    yield Said("ended", *_code_and_text(words, Path(output), source))


def _code_and_text(words: Sequence[str], output: Path, source: str) -> tuple[int, str]:
    if numeric_hash() != source:
        return UsageError.exit_code, (
            f"{socket.gethostname()} has other sources of longtail than the experiment was started "
            "with: every machine needs the same, until it ends."
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            output.open("a", buffering=1, encoding="utf-8") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
        ):
            code = _exit_code_of(words)
        return code, last_lines(output) if code else ""
    except OSError as error:
        return DataError.exit_code, f"{socket.gethostname()}: {error}"


def _exit_code_of(words: Sequence[str]) -> int:
    """Run `python -m longtail WORDS` in this process."""
    sys.argv = ["longtail", *words]
    try:
        runpy.run_module("longtail", run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return -int(signal.SIGINT)
    except Exception:
        traceback.print_exc()
        return 1
    return 0
