"""Engine "ray": each task is a Ray task, on this machine or on a cluster.

The run happens inside Ray's worker, never in a process of its own: if the worker is killed nothing
lives on that holds the run's folder, and the next attempt goes on from the checkpoint.
"""

import importlib.util
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from longtail.errors import CheckpointError, LongtailError, UsageError
from longtail.experiments.job import Task
from longtail.experiments.joining import host_and_port, joined
from longtail.experiments.local import RETRIES, Engine, Outcome, output_of
from longtail.experiments.worker import Said, work
from longtail.record import numeric_hash

if TYPE_CHECKING:
    from longtail.experiments.engines import Share

_SAVING_SECONDS = 120
# A shared disk shows another machine's new file only after a while.
_SEEN_SECONDS = 10.0
_KILLED = -int(signal.SIGKILL)


def ray_engine(share: "Share", *, address: str | None = None, gpus: float = 0.0) -> Engine:
    """An engine of Ray tasks, each in a fresh worker.

    A task whose worker is killed, or whose machine is lost, is begun again and resumes; one that
    ends with an error is not. When the caller goes away the runs at work are told to stop, and
    save. A Ray that this process has joined already is used as it is, and left running.

    Args:
        share: `threads` is what each run takes of its machine; a Ray that is started here has
            room for `at_once` runs, a cluster for as many as fit on it.
        address: HOST:PORT of a cluster that this machine is part of; None starts a Ray here.
        gpus: of each run, a fraction of one or a whole number; 0 gives one to each run that was
            planned for a GPU.

    Raises:
        UsageError: Ray is not installed, or `gpus` or `address` cannot be; when run, that no
            cluster answers or no machine of it has room for a run.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError('--engine ray needs Ray: pip install "longtail[ray]"')
    if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
        raise UsageError(f"--gpus {gpus}: give a fraction between 0 and 1, or a whole number.")
    if address is not None:
        host_and_port(address)

    def run(tasks: Sequence[Task], started: Callable[[Task], None]) -> Generator[Outcome]:
        if not tasks:
            return
        need = {"CPU": float(share.threads), "GPU": gpus or float(any(map(_on_gpu, tasks)))}
        with joined(share, address):
            if not _room(need):
                raise UsageError(
                    f"No machine of the Ray cluster has {need['CPU']:g} CPU cores and "
                    f"{need['GPU']:g} GPUs for a run: use --threads, --gpus or --device."
                )
            yield from _outcomes(tasks, started, need)

    return run


class _Attempt(NamedTuple):
    """A task that Ray has, and how often it was killed before."""

    task: Task
    kills: int


def _outcomes(
    tasks: Sequence[Task], started: Callable[[Task], None], need: Mapping[str, float]
) -> Generator[Outcome]:
    """Run the tasks in their order, with never more in Ray's hands than keep it busy.

    Ray would put a killed task behind all others; here it is the next to be begun.
    """
    import ray

    submit = _submitter(need)
    waiting = deque(_Attempt(task, 0) for task in tasks)
    running: dict[Any, _Attempt] = {}
    try:
        while waiting or running:
            for _ in range(min(len(waiting), 2 * max(1, _room(need)) - len(running))):
                attempt = waiting.popleft()
                running[submit(attempt.task)] = attempt
            stream = ray.wait(list(running), num_returns=1, fetch_local=False)[0][0]
            said, attempt = _next_of(stream), running[stream]
            if said.what == "began":
                if attempt.kills == 0:
                    started(attempt.task)
                continue
            del running[stream]
            if said.what == "killed" and attempt.kills < RETRIES:
                waiting.appendleft(_Attempt(attempt.task, attempt.kills + 1))
            else:
                yield _outcome(attempt.task, said)
    finally:
        _stop(list(running))


def _submitter(need: Mapping[str, float]) -> Callable[[Task], Any]:
    """What hands a task to Ray; the stream it returns gives "began", then how it ended."""
    import ray

    # Retries are counted here: Ray's own have no end where memory ran out. The one call a worker
    # gives memory and GPU back.
    remote = ray.remote(
        num_cpus=need["CPU"],
        num_gpus=need["GPU"],
        max_calls=1,
        max_retries=0,
        num_returns="streaming",
    )(work)
    ours = {name: value for name, value in os.environ.items() if name.startswith("LONGTAIL_")}
    here, source = str(Path.cwd()), numeric_hash()
    return lambda task: remote.remote(task.words, str(output_of(task)), here, ours, source)


def _next_of(stream: Any) -> Said:
    import ray
    from ray import exceptions

    killed = (
        exceptions.WorkerCrashedError,
        exceptions.OutOfMemoryError,
        exceptions.NodeDiedError,
        exceptions.LocalRayletDiedError,
    )
    try:
        what, code, text = ray.get(next(stream))
        return Said(what, code, text)
    except killed as error:
        return Said("killed", _KILLED, str(error))
    except exceptions.RayError as error:
        return Said("ended", LongtailError.exit_code, str(error))


def _outcome(task: Task, said: Said) -> Outcome:
    if said.what == "killed":
        return Outcome(task, said.code, f"{said.text}\nKilled {1 + RETRIES} times.")
    if said.code == 0 and not _is_seen(task.folder / "record.json"):
        text = (
            f"It was trained, but {task.folder} is not to be seen from here: --out must be a "
            "folder that every machine of the cluster shares."
        )
        return Outcome(task, CheckpointError.exit_code, text)
    return Outcome(task, said.code, said.text)


def _is_seen(path: Path) -> bool:
    end = time.monotonic() + _SEEN_SECONDS
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _stop(streams: list[Any]) -> None:
    """Take back what has not begun, and wait until what has is saved."""
    import ray

    for stream in streams:
        ray.cancel(stream)  # to a run at work this is Ctrl-C: training ends with a checkpoint
    if streams:
        ends = [stream.completed() for stream in streams]
        ray.wait(ends, num_returns=len(ends), timeout=_SAVING_SECONDS, fetch_local=False)


def _room(need: Mapping[str, float]) -> int:
    """How many runs fit on the cluster's machines as they are now."""
    import ray

    nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
    machines = [node["Resources"] for node in nodes() if node["Alive"]]
    wanted = {name: amount for name, amount in need.items() if amount}
    return sum(
        min(int(machine.get(name, 0) / amount) for name, amount in wanted.items())
        for machine in machines
    )


def _on_gpu(task: Task) -> bool:
    return task.words[task.words.index("--device") + 1].startswith("cuda")
