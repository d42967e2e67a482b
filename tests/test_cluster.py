"""Engine "ray" against a real Ray on this machine."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from longtail import launch
from longtail.errors import Interrupted, UsageError
from longtail.experiments import cluster, joining, worker
from longtail.experiments.bench import run_tasks
from longtail.experiments.cluster import ray_engine
from longtail.experiments.engines import Share
from longtail.experiments.job import Job, Task, plan_tasks
from longtail.experiments.joining import joined
from longtail.experiments.local import RETRIES, output_of
from longtail.record import read_lines
from longtail.request import Request
from longtail.training import loop
from tiny import without_times

SHARE = Share(at_once=2, threads=1)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of two cores, started as the engine starts its own."""
    module = pytest.importorskip("ray")
    with joined(SHARE, None):
        yield module


def tasks_in(out: Path, *, seeds: int = 1, epochs: int = 2, **knobs: object) -> list[Task]:
    """Runs of small networks on scikit-learn's digits."""
    request = {"data": "digits-lt", "backbone": "resnet8-w4", "epochs": epochs, "batch_size": 64}
    how = {"device": "cpu", "precision": "fp32", "threads": 1, "compile": "off", "eval_every": 1}
    jobs = [
        Job("digits", method, Request(method=method, seed=seed, knobs=knobs, **request, **how))
        for seed in range(seeds)
        for method in ("ce", "logit-adjustment")
    ]
    return list(plan_tasks(jobs, out))


def left_by(folder: Path) -> dict[str, Any]:
    record = json.loads((folder / "record.json").read_text())
    return {
        "weights": (folder / "model.safetensors").read_bytes(),
        "predictions": (folder / "predictions-test.npz").read_bytes(),
        "metrics": record["metrics"],
        "log": without_times(read_lines(folder / "log.jsonl")),
    }


def wait_until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def holder_of(folder: Path) -> int | None:
    """The process that has a run's lock file open."""
    lock = str((folder / ".lock").resolve())
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == lock:
                return int(link.parts[2])
    return None


def trained_here(out: Path, epochs: int = 2) -> Task:
    """The first of the runs, without an engine."""
    task = tasks_in(out, epochs=epochs)[0]
    launch.train(**{**vars(task.job.request), "out": task.folder, "progress": False})
    return task


def begun_and_saved(task: Task, monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Leave a run as one that was told to stop in its first epochs."""
    log = task.folder / "log.jsonl"

    @contextlib.contextmanager
    def stop() -> Iterator[Any]:
        yield lambda: len(read_lines(log)) >= epochs

    asked = {**vars(task.job.request), "out": task.folder, "resume": True, "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr(loop, "stop_on_signals", stop)
        with pytest.raises(Interrupted):
            launch.train(**asked)


@pytest.mark.slow
def test_runs_by_ray_leave_what_runs_by_processes_leave(ray, tmp_path):
    task = tasks_in(tmp_path / "ray")[0]
    bench = run_tasks([task], tmp_path / "ray", ray_engine(SHARE))
    assert [entry.state for entry in bench.entries] == ["done"]
    whole = trained_here(tmp_path / "here")
    assert left_by(task.folder) == left_by(whole.folder)


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_is_begun_again_and_nothing_is_lost_or_run_twice(
    ray, tmp_path, monkeypatch
):
    killed, other = tasks_in(tmp_path / "ray", epochs=60)
    whole = trained_here(tmp_path / "whole", epochs=60)
    begun_and_saved(killed, monkeypatch, epochs=2)
    log, began, codes = killed.folder / "log.jsonl", [], {}
    engine = ray_engine(SHARE)([killed, other], began.append)
    pids = kill_once_at_work(killed.folder, log)
    for outcome in engine:
        codes[outcome.task.folder] = outcome.code
    assert pids() == 1
    assert codes == {killed.folder: 0, other.folder: 0}
    assert sorted(task.folder for task in began) == sorted([killed.folder, other.folder])
    assert left_by(killed.folder) == left_by(whole.folder)
    assert [line["epoch"] for line in read_lines(log)] == list(range(1, 61))
    text = output_of(killed).read_text()
    assert text.count("Resuming") == 2, text
    assert "Resuming" not in output_of(other).read_text()


def kill_once_at_work(folder: Path, log: Path) -> Callable[[], int]:
    """Kill, from a thread, the process that writes a run once it has gone on by two epochs."""
    at_first, kills = len(read_lines(log)), []

    def kill() -> None:
        wait_until(lambda: len(read_lines(log)) >= at_first + 2)
        pid = holder_of(folder)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        kills.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()

    def joined_thread() -> int:
        thread.join()
        return len(kills)

    return joined_thread


@pytest.mark.slow
def test_a_run_that_is_killed_every_time_is_given_up(ray, tmp_path, monkeypatch):
    def dies(words: Sequence[str], output: str, *rest: object) -> Iterator[worker.Said]:
        yield worker.Said("began")
        with (Path(output).parent / "attempts").open("a") as file:
            file.write(".")
        time.sleep(0.5)  # until Ray has what was said
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(cluster, "work", dies)
    task, began = tasks_in(tmp_path)[0], []
    (outcome,) = ray_engine(SHARE)([task], began.append)
    assert outcome.code == -signal.SIGKILL
    assert outcome.text.endswith("Killed 3 times.")
    assert began == [task]
    assert (tmp_path / "attempts").read_text() == "." * (1 + RETRIES)


@pytest.mark.slow
def test_a_failing_run_is_reported_with_its_code_and_stops_no_other(ray, tmp_path):
    good, bad = tasks_in(tmp_path, epochs=1)
    bad = dataclasses.replace(bad, words=(*bad.words, "--set", "no_such_knob=1"))
    lost = dataclasses.replace(good, folder=tmp_path / "elsewhere")
    said = {o.task.folder: o for o in ray_engine(SHARE)([bad, good], lambda task: None)}
    assert said[bad.folder].code == UsageError.exit_code
    assert "no_such_knob" in said[bad.folder].text
    assert said[good.folder].code == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "_SEEN_SECONDS", 0.1)
        (outcome,) = ray_engine(SHARE)([lost], lambda task: None)
    assert outcome.code == 4
    assert "shares" in outcome.text


@pytest.mark.slow
def test_relative_paths_start_where_the_bench_was_started(ray, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = tasks_in(Path("runs"), epochs=1)[0]
    (outcome,) = ray_engine(SHARE)([task], lambda task: None)
    assert outcome.code == 0, outcome.text
    assert (tmp_path / task.folder / "record.json").exists()


@pytest.mark.slow
def test_when_the_caller_goes_away_runs_are_saved_and_go_on(ray, tmp_path):
    first, second = tasks_in(tmp_path, epochs=500)[:2]
    engine = ray_engine(Share(1, 1))([first, second], lambda task: None)
    log = first.folder / "log.jsonl"

    def close() -> None:
        wait_until(lambda: len(read_lines(log)) >= 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=close)
    thread.start()
    with contextlib.closing(engine), pytest.raises(KeyboardInterrupt):
        next(engine)
    thread.join()
    assert holder_of(first.folder) is None
    assert "--resume" in output_of(first).read_text()
    assert list((first.folder / "checkpoints").iterdir())
    assert not (first.folder / "record.json").exists()


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "auto", ":6379", "head:port"])
def test_an_address_that_is_none_is_refused_at_once(address):
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="give HOST:PORT"):
        ray_engine(SHARE, address=address)


@pytest.mark.parametrize("gpus", [-1, 1.5])
def test_gpus_that_ray_cannot_share_out_are_refused(gpus):
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="--gpus"):
        ray_engine(SHARE, gpus=gpus)


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "longtail\[ray\]"'):
        ray_engine(SHARE)


def test_an_address_where_nobody_listens_is_one_sentence_at_once():
    pytest.importorskip("ray")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(UsageError, match=f"{address}: no Ray cluster to join there") as caught:
        joining._join(address)
    assert "ray start --head" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 10


@pytest.mark.slow
@pytest.mark.cli
def test_what_listens_but_is_no_ray_is_given_up_soon(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr(joining, "_ANSWER_SECONDS", 4)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UsageError, match="no answer in 4 s"):
            joining._join(address)


def test_a_run_that_fits_on_no_machine_is_refused(ray, tmp_path):
    task = tasks_in(tmp_path)[0]
    with pytest.raises(UsageError, match="has 64 CPU cores and 0 GPUs"):
        list(ray_engine(Share(1, 64))([task], lambda task: None))


@pytest.mark.slow
def test_another_version_of_the_sources_is_refused(ray, tmp_path, monkeypatch):
    task = tasks_in(tmp_path)[0]
    monkeypatch.setattr(cluster, "numeric_hash", lambda: "another")
    (outcome,) = ray_engine(SHARE)([task], lambda task: None)
    assert outcome.code == UsageError.exit_code
    assert "other sources of longtail" in outcome.text
    assert not task.folder.exists()


def test_joining_keeps_the_environment_and_the_handler_of_sigterm(ray):
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with joined(SHARE, None):
        assert ray.is_initialized()
    assert ray.is_initialized(), "a Ray that others started is theirs to end"
