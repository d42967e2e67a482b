"""A run stopped anywhere and resumed ends as if it had never stopped, bit for bit."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

import tiny
from longtail import launch
from longtail.errors import CheckpointError, Interrupted, UsageError
from longtail.methods import METHODS
from longtail.record import read_lines
from longtail.training import epoch as epoch_module
from longtail.training import loop
from longtail.training.folder import open_folder, stored_configuration
from longtail.training.log import append_line, truncate
from longtail.training.loop import fit
from longtail.training.plan import configuration
from longtail.training.stages import phases
from tiny import bits_of, corrupt, fresh, tiny_dataset, tiny_plan, without_times


class Stopped(BaseException):
    """Stands for whatever ends a process."""


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def go(folder: Path, plan, dataset, *, seconds: float = 0.0):
    """Start or resume a run in `folder`, as `launch.train` does; the state and what was said."""
    state = fresh(plan, dataset)
    stored = stored_configuration(folder, resume=True)
    notes = open_folder(folder, stored, configuration(plan, dataset, None), state)
    return fit(plan, dataset, state, folder=folder, checkpoint_seconds=seconds), notes


def stop_before_step(monkeypatch, number: int) -> None:
    steps = iter(range(1000))
    real = loop.train_step

    def train_step(*args, **kwargs):
        if next(steps) == number:
            raise Stopped
        return real(*args, **kwargs)

    monkeypatch.setattr(loop, "train_step", train_step)


def stop_a_run(number: int, folder: Path, plan, dataset, *, seconds: float = 0.0) -> None:
    """Start or resume a run and end it before the given step of this session."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_before_step(monkeypatch, number)
        with pytest.raises(Stopped):
            go(folder, plan, dataset, seconds=seconds)


def assert_alike(folder: Path, state, reference: Path, expected) -> None:
    assert bits_of(state) == bits_of(expected)
    assert state.step == expected.step
    for name in ("selected_epoch", "selected_score", "best_on_test"):
        assert getattr(state, name) == getattr(expected, name), name
    lines = read_lines(folder / "log.jsonl")
    assert without_times(lines) == without_times(read_lines(reference / "log.jsonl"))


COMPRESSED = {"compression": "both", "compression_start": 0.34, "compression_threshold": 1.1}
EVERY = range(12)
CASES = {
    "pictures": ("photo", "bcl-rcl", {}, False, (0, 1, 4, 5, 11)),
    "vectors": ("vector", "bcl", {}, False, EVERY),
    "compression": ("vector", "bcl-rcl", COMPRESSED, True, EVERY),
    "before the head": ("vector", "rcl", {**COMPRESSED, "compression": "before-head"}, True, EVERY),
    "nesterov": ("vector", "ce", {"schedule": "cosine", "nesterov": True}, True, EVERY),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_stopped_before_any_step_resumes_bit_for_bit(tmp_path, case):
    kind, method, knobs, holdout, stops = CASES[case]
    dataset = tiny_dataset(holdout=holdout, kind=kind)
    plan = tiny_plan(dataset, method, knobs=knobs)
    expected, _ = go(tmp_path / "reference", plan, dataset)
    assert expected.step == 12
    if "compression" in knobs:
        assert expected.class_scale.min() < 1
    for number in stops:
        folder = tmp_path / str(number)
        stop_a_run(number, folder, plan, dataset)
        state, notes = go(folder, plan, dataset)
        assert notes[-1].endswith(f"at step {number}.")
        assert_alike(folder, state, tmp_path / "reference", expected)


@pytest.mark.parametrize("method", METHODS)
def test_any_method_stopped_in_any_of_its_stages_resumes_bit_for_bit(tmp_path, method):
    dataset = tiny_dataset(holdout=True, kind="vector")
    plan = tiny_plan(dataset, method, batch_size=11)
    laid_out = phases(plan.resolved.recipe.stages, plan.resolved.settings)
    middles = {2 * phase.first + 1 for phase in laid_out}  # at two steps an epoch
    edges = {2 * phase.first for phase in laid_out[1:]} or {2, 3}
    expected, _ = go(tmp_path / "reference", plan, dataset)
    assert expected.step == 6
    for number in middles | edges:
        folder = tmp_path / str(number)
        stop_a_run(number, folder, plan, dataset)
        state, notes = go(folder, plan, dataset)
        assert notes[-1].endswith(f"at step {number}.")
        assert_alike(folder, state, tmp_path / "reference", expected)


@pytest.mark.parametrize("method", ["crt", "balms"])
def test_a_stage_begins_once_wherever_the_run_is_resumed(tmp_path, method):
    dataset = tiny_dataset(kind="vector")
    plan = tiny_plan(dataset, method, knobs={"head_share": 0.5}, epochs=4, batch_size=11)
    expected, _ = go(tmp_path / "reference", plan, dataset)
    for number in (4, 5, 6, 7):  # the second stage's two epochs of two steps
        folder = tmp_path / str(number)
        stop_a_run(number, folder, plan, dataset)
        state, _ = go(folder, plan, dataset)
        assert_alike(folder, state, tmp_path / "reference", expected)


def test_a_run_stopped_at_the_edge_of_an_epoch_logs_it_once(tmp_path, monkeypatch):
    dataset = tiny_dataset(holdout=True, kind="vector")
    plan = tiny_plan(dataset)
    expected, _ = go(tmp_path / "reference", plan, dataset)
    real = epoch_module.append_line
    for place in ("before the line", "half the line", "after the line"):
        folder = tmp_path / place

        def append(path, line, place=place):
            if line["epoch"] != 2:
                return real(path, line)
            if place == "half the line":
                path.write_text(path.read_text() + json.dumps(line)[:25])
            elif place == "after the line":
                real(path, line)
            raise Stopped

        monkeypatch.setattr(epoch_module, "append_line", append)
        with pytest.raises(Stopped):
            go(folder, plan, dataset)
        monkeypatch.setattr(epoch_module, "append_line", real)
        state, notes = go(folder, plan, dataset)
        assert notes[-1].endswith("at step 7.")
        assert_alike(folder, state, tmp_path / "reference", expected)


def test_a_run_stopped_again_and_again_resumes_from_rare_checkpoints(tmp_path):
    dataset = tiny_dataset(holdout=True, kind="vector")
    plan = tiny_plan(dataset, knobs=COMPRESSED)
    expected, _ = go(tmp_path / "reference", plan, dataset)
    folder = tmp_path / "run"
    for number in (5, 2, 0, 3):
        stop_a_run(number, folder, plan, dataset, seconds=0.0 if number % 2 else 1e9)
    state, _ = go(folder, plan, dataset)
    assert_alike(folder, state, tmp_path / "reference", expected)


def test_a_run_without_a_checkpoint_yet_starts_over(tmp_path):
    dataset = tiny_dataset(kind="vector")
    plan = tiny_plan(dataset, "ce")
    expected, _ = go(tmp_path / "reference", plan, dataset)
    stop_a_run(6, tmp_path / "run", plan, dataset, seconds=1e9)
    state, notes = go(tmp_path / "run", plan, dataset)
    assert notes[-1].endswith("at step 0.")
    assert_alike(tmp_path / "run", state, tmp_path / "reference", expected)


def test_a_finished_run_resumes_to_itself(tmp_path):
    dataset = tiny_dataset(holdout=True, kind="vector")
    plan = tiny_plan(dataset, "ce")
    expected, _ = go(tmp_path / "run", plan, dataset)
    shutil.copytree(tmp_path / "run", tmp_path / "reference")
    state, notes = go(tmp_path / "run", plan, dataset)
    assert notes[-1].endswith("at step 12.")
    assert_alike(tmp_path / "run", state, tmp_path / "reference", expected)


def test_a_corrupt_newest_checkpoint_falls_back_and_says_so(tmp_path):
    dataset = tiny_dataset(kind="vector")
    plan = tiny_plan(dataset)
    expected, _ = go(tmp_path / "reference", plan, dataset)
    folder = tmp_path / "run"
    stop_a_run(9, folder, plan, dataset)
    corrupt(folder / "checkpoints" / "step-9" / "tensors.safetensors", 500)
    state, notes = go(folder, plan, dataset)
    assert "step-9 is corrupt" in notes[0]
    assert notes[-1].endswith("at step 8.")
    assert_alike(folder, state, tmp_path / "reference", expected)


def stop_by_signal(monkeypatch, number: int, signals: list[int]) -> None:
    """Send the process signals while it takes a step."""
    steps = iter(range(1000))
    real = loop.train_step

    def train_step(*args, **kwargs):
        if next(steps) == number:
            for one in signals:
                os.kill(os.getpid(), one)
        return real(*args, **kwargs)

    monkeypatch.setattr(loop, "train_step", train_step)


@pytest.fixture
def heeded_signals():
    """Python's own handlers: a job started in the background is born with SIGINT ignored."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heeded_signals")
@pytest.mark.parametrize("number", [0, 2, 3, 11])
@pytest.mark.parametrize("one", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_training_after_the_step_with_a_checkpoint(tmp_path, one, number):
    dataset = tiny_dataset(kind="vector")
    plan = tiny_plan(dataset, "ce")
    expected, _ = go(tmp_path / "reference", plan, dataset)
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_by_signal(monkeypatch, number, [one])
        said = rf"after step {number + 1}, which is saved.*--resume"
        with pytest.raises(Interrupted, match=said) as caught:
            go(tmp_path / "run", plan, dataset, seconds=1e9)
    assert caught.value.exit_code == 75
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    state, notes = go(tmp_path / "run", plan, dataset)
    assert notes[-1].endswith(f"at step {number + 1}.")
    assert_alike(tmp_path / "run", state, tmp_path / "reference", expected)


@pytest.mark.usefixtures("heeded_signals")
def test_the_second_signal_of_a_kind_acts_as_usual(tmp_path, monkeypatch):
    stop_by_signal(monkeypatch, 1, [signal.SIGINT, signal.SIGINT])
    dataset = tiny_dataset(kind="vector")
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "run", tiny_plan(dataset, "ce"), dataset)


def test_an_ignored_signal_stays_ignored(tmp_path, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stop_by_signal(monkeypatch, 1, [signal.SIGINT])
        dataset = tiny_dataset(kind="vector")
        state, _ = go(tmp_path / "run", tiny_plan(dataset, "ce"), dataset)
        assert state.step == 12
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def train(folder: Path, **options):
    defaults = {
        "epochs": 2,
        "batch_size": 5,
        "backbone": "resnet8-w4",
        "precision": "fp32",
        "threads": 1,
        "progress": False,
        "checkpoint_seconds": 0,
        "out": folder,
    }
    return launch.train(tiny_dataset(), options.pop("method", "ce"), **(defaults | options))


def test_an_existing_run_is_refused_without_resume(tmp_path):
    first = train(tmp_path / "run")
    content = (tmp_path / "run" / "record.json").read_bytes()
    with pytest.raises(UsageError, match=r"exists already.*--resume.*--out"):
        train(tmp_path / "run")
    assert (tmp_path / "run" / "record.json").read_bytes() == content
    again = train(tmp_path / "run", resume=True)
    assert again.record.metrics == first.record.metrics


def test_resume_starts_a_run_that_is_missing_or_has_barely_begun(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.123.tmp").write_text("{")
    assert train(folder, resume=True).record.selected_epoch == 2
    assert train(tmp_path / "new", resume=True).record.selected_epoch == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 7}, r"seed: 0 then, 7 now"),
        ({"knobs": {"lr": 0.3}}, r"settings\.lr: 0\.2 then, 0\.3 now"),
        ({"method": "balanced-softmax"}, r'method: "ce" then, "balanced-softmax" now'),
        ({"epochs": 5}, r"settings\.epochs: 2 then, 5 now"),
        ({"backbone": "resnet8-w8"}, r'backbone: "resnet8-w4" then'),
        ({"threads": 2}, r"decisions\.threads: 1 then, 2 now"),
        ({"eval_every": 2}, r"eval_every: 1 then, 2 now"),
    ],
)
def test_another_configuration_is_refused_and_named(tmp_path, change, named):
    train(tmp_path / "run")
    with pytest.raises(CheckpointError, match=named):
        train(tmp_path / "run", resume=True, **change)


def test_a_stopped_run_keeps_its_decisions_when_nothing_is_asked(tmp_path):
    train(tmp_path / "run", threads=1, precision="bf16")
    again = train(tmp_path / "run", resume=True, threads=None, precision="auto")
    assert (again.record.decisions.threads, again.record.decisions.precision) == (1, "bf16")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"decisions": {"threads": 1}}', "null"])
def test_a_folder_that_is_no_run_is_refused_even_to_resume(tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match="not the configuration of a run"):
        train(tmp_path / "run", resume=True)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="exists already"):
        train(tmp_path / "run")
    with pytest.raises(CheckpointError):
        train(tmp_path / "run", resume=True)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    dataset = tiny_dataset(kind="vector")
    go(tmp_path / "run", tiny_plan(dataset, "ce"), dataset)
    other = tmp_path / "other"
    go(other, tiny_plan(dataset, "bcl"), dataset)
    shutil.rmtree(other / "checkpoints")
    shutil.copytree(tmp_path / "run" / "checkpoints", other / "checkpoints")
    with pytest.raises(CheckpointError, match="does not fit this model"):
        go(other, tiny_plan(dataset, "bcl"), dataset)


def test_nothing_intact_is_an_error(tmp_path):
    dataset = tiny_dataset(kind="vector")
    plan = tiny_plan(dataset, "ce")
    go(tmp_path, plan, dataset)
    for path in (tmp_path / "checkpoints").glob("step-*"):
        corrupt(path / "state.json", 4)
    with pytest.raises(CheckpointError, match="no checkpoint is intact"):
        go(tmp_path, plan, dataset)


def test_a_log_is_cut_to_what_a_checkpoint_knows(tmp_path):
    path = tmp_path / "log.jsonl"
    for number in (1, 2, 3):
        append_line(path, {"epoch": number, "step": 4 * number})
    path.write_bytes(path.read_bytes() + b'{"epoch": 4, "st\xff')
    assert [line["epoch"] for line in read_lines(path)] == [1, 2, 3]
    truncate(path, 9)
    assert path.read_text() == '{"epoch": 1, "step": 4}\n{"epoch": 2, "step": 8}\n'
    assert read_lines(tmp_path / "missing") == []


def test_a_log_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(CheckpointError, match=r"log\.jsonl: cannot be written"):
        append_line(tmp_path / "missing" / "log.jsonl", {})


def test_the_helpers_of_this_file_see_a_difference(tmp_path):
    dataset = tiny_dataset(kind="vector")
    one, _ = go(tmp_path / "one", tiny_plan(dataset, "ce"), dataset)
    two, _ = go(tmp_path / "two", tiny_plan(dataset, "ce", seed=1), dataset)
    assert tiny.COUNTS == (12, 6, 4)
    with pytest.raises(AssertionError):
        assert_alike(tmp_path / "two", two, tmp_path / "one", one)
