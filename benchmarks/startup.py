"""How long `longtail train` takes from the start of its process to its first training step.

    python benchmarks/startup.py [--data digits-lt] [--json FILE]

On the CPU without compilation, on cached CIFAR-10 where it is on this machine, else on the digits
that scikit-learn brings. A fresh process each time, split into the interpreter, torch's own import
and the rest, which is longtail's to answer for: its imports, the data, the plan, the first views.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

CHILD = "--child"
NO_BYTECODE = ("PYTHONDONTWRITEBYTECODE",)
GOAL = 2.0
STAGES = (
    "interpreter",
    "torch's import",
    "from there to the first step",
    "the first step",
)


def child(words: list[str]) -> None:
    """Run `longtail train` up to the end of its first step, and print when it came to what."""
    marks = [time.time()]
    import torch

    marks.append(time.time())
    from longtail.data.batches import Batch
    from longtail.training import loop
    from longtail.training.graph import Step

    make_step: Callable[..., Step] = loop.make_step

    def watched(*arguments: object, **named: object) -> Step:
        take_step = make_step(*arguments, **named)

        def first(batch: Batch) -> torch.Tensor:
            marks.append(time.time())
            take_step(batch)
            marks.append(time.time())
            loaded = sorted({name.partition(".")[0] for name in sys.modules})
            found = {"marks": marks, "threads": torch.get_num_threads(), "loaded": loaded}
            print(json.dumps(found), flush=True)
            os._exit(0)  # there is nothing to clean up, and nothing more to see

        return first

    loop.make_step = watched
    from longtail.cli import main as longtail

    sys.argv = ["longtail", *words]
    longtail()


def start(data: str, threads: int | None, bytecode: str) -> tuple[list[float], list[str]]:
    """Seconds of each stage of one start, and the packages that it loaded.

    Args:
        data: as typed after `longtail train`.
        threads: of the CPU.
        bytecode: a folder for Python's compiled modules, kept between starts as on any machine
            where these may be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", data, "--device", "cpu", "--compile", "off", "--out", f"{folder}/run"]
        words += ["--threads", str(threads)] if threads else []
        kept = {key: value for key, value in os.environ.items() if key not in NO_BYTECODE}
        began = time.time()
        done = subprocess.run(
            [sys.executable, __file__, CHILD, *words],
            env={**kept, "PYTHONPYCACHEPREFIX": bytecode},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout.splitlines()[-1])
    return stages([began, *found["marks"]]), found["loaded"]


def stages(marks: Sequence[float]) -> list[float]:
    """Seconds from each mark to the next.

    >>> stages([1.0, 1.5, 4.5])
    [0.5, 3.0]
    """
    return [later - earlier for earlier, later in itertools.pairwise(marks)]


def main() -> None:
    # Out of the way of the child, which must not import what the benchmarks do.
    from end_to_end import PHOTOGRAPHS, default_data
    from measure import machine, parsed, parser, typed_command
    from results import Case, Goal, Report, Timing, publish

    made = parser(__doc__)
    made.add_argument("--data", help="cifar10-lt if it is here, else digits-lt")
    made.add_argument("--turns", type=int, default=9)
    arguments = parsed(made)
    data = arguments.data or default_data()
    data = "digits-lt" if data == PHOTOGRAPHS else data
    with tempfile.TemporaryDirectory() as bytecode:
        start(data, arguments.threads, bytecode)  # fills the caches of the system and of Python
        starts = [start(data, arguments.threads, bytecode) for _ in range(arguments.turns)]
    columns = zip(*(seconds for seconds, _ in starts), strict=True)
    timings = tuple(
        Timing(name, tuple(seconds)) for name, seconds in zip(STAGES, columns, strict=True)
    )
    loaded = "is" if "torchvision" in starts[0][1] else "is not"
    report = Report(
        benchmark="startup",
        title="Start-up",
        command=typed_command(),
        machine=machine(),
        cases=(
            Case(
                title=f"longtail train {data}, without compilation",
                timings=timings,
                goals=(
                    Goal(
                        "seconds from torch's import to the first step",
                        GOAL,
                        timings[2].median,
                        at_most=True,
                    ),
                ),
                notes=(f"torchvision {loaded} imported on this path.",),
            ),
        ),
    )
    publish(report, arguments.json)


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        # `python FILE` puts the file's folder first, where the benchmarks' names would win.
        del sys.path[0]
        child(sys.argv[2:])
    else:
        main()
