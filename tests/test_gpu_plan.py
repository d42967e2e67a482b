"""The unattended plan for a GPU: its order, its slices and its page; stand-ins do the work."""

import importlib
import json
import re
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import gpu_plan
from gpu_plan import Outcome, Task

PLAN = [Task("parity", ("-c", "pass")), Task("a-s0", (), "a-s0/record.json"), Task("late", ())]


class Clock:
    """Seconds that pass only when a task says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def worker(clock: Clock, work: Path, *, takes: float, stops: frozenset[str] = frozenset()):
    """Each task takes so long; a run writes its record at its end, and a checkpoint before."""
    done: list[str] = []

    def execute(words, seconds):
        task = PLAN[len(done)]
        clock.now += min(takes, seconds)
        if task.resumable:
            (work / task.name).mkdir(parents=True, exist_ok=True)
            (work / task.name / "step").write_text("half")
        if task.name in stops or takes > seconds:
            return Outcome(None, seconds, "stopped")
        if task.resumable:
            (work / task.name / "record.json").write_text('{"accuracy": 1}')
        done.append(task.name)
        return Outcome(0, takes, "12 passed")

    return execute


def carry_out(tmp_path: Path, clock: Clock, execute, *, seconds: float = 100.0, **options) -> bool:
    work = tmp_path / "work"
    return gpu_plan.carry_out(
        PLAN, tmp_path / "out", work=work, seconds=seconds, execute=execute, clock=clock, **options
    )


def test_rows_come_seed_by_seed_and_the_first_file_first():
    files = [Path("cifar100-lt.npz"), Path("cifar10-lt.npz")]
    options = {"device": "cuda", "epochs": 200, "seeds": 2, "work": Path("w")}
    names = [task.name for task in gpu_plan.tasks(files, **options)]
    rows = names.index("cifar100-lt-ce-s0")
    assert names[:rows] == [
        "kernel-parity",
        "gpu-tests",
        "loss-fp32",
        "loss-bf16",
        "step",
        "end-to-end-cifar100-lt",
        "end-to-end-cifar10-lt",
        "step-compiled",
        "end-to-end-compiled-cifar100-lt",
        "end-to-end-autotuned-cifar100-lt",
    ]
    assert names[rows + 5] == "cifar10-lt-ce-s0"
    assert names[rows + 10] == "cifar100-lt-ce-s1"
    assert len(set(names)) == len(names) == rows + 20
    of_rcl = [task for task in gpu_plan.tasks(files, **options) if "--set=la_tau=1.3" in task.words]
    assert [task.name for task in of_rcl] == [n for n in names[rows:] if "-ce-" not in n]


def test_every_file_with_tests_for_a_gpu_is_in_the_plan():
    marked = {
        file.name
        for file in gpu_plan.TESTS.glob("test_*.py")
        if re.search(r"^(@pytest\.mark\.gpu|@on_a_gpu)$", file.read_text(), re.MULTILINE)
    }
    assert marked == {*gpu_plan.GPU_TESTS, "test_losses_fused.py"}
    assert gpu_plan.GPU_TESTS[-1] == "test_graph.py"


def test_its_benchmarks_know_the_words_they_are_given(monkeypatch):
    """Each script reads its own command line, and stops there."""

    class Understood(Exception):
        pass

    def parsed(parser):
        parser.parse_args()
        raise Understood

    plan = gpu_plan.tasks([Path("a.npz")], device="cuda", epochs=2, seeds=1, work=Path("w"))
    scripts = [task for task in plan if task.words[0].endswith(".py")]
    assert len(scripts) == 7
    for task in scripts:
        script = importlib.import_module(Path(task.words[0]).stem)
        monkeypatch.setattr(script, "parsed", parsed)
        monkeypatch.setattr(sys, "argv", list(task.words))
        with pytest.raises(Understood):
            script.main()


def test_everything_is_done_once(tmp_path):
    clock = Clock()
    execute = worker(clock, tmp_path / "work", takes=1.0)
    assert carry_out(tmp_path, clock, execute)
    found = gpu_plan.results_of(tmp_path / "out")
    assert list(found) == [task.name for task in PLAN]
    assert found["a-s0"]["result"] == {"accuracy": 1}
    assert found["parity"]["printed"] == "12 passed"

    def refuse(words, seconds):
        raise AssertionError("done already")

    assert carry_out(tmp_path, Clock(), refuse)


def test_a_slice_ends_in_time_and_the_next_one_goes_on(tmp_path):
    clock = Clock()
    execute = worker(clock, tmp_path / "work", takes=50.0)
    assert not carry_out(tmp_path, clock, execute)
    assert clock.now <= 100
    assert list(gpu_plan.results_of(tmp_path / "out")) == ["parity"]
    assert carry_out(tmp_path, Clock(), execute, seconds=1000.0)


def test_a_run_that_was_stopped_goes_on_on_another_machine(tmp_path):
    clock, work = Clock(), tmp_path / "work"
    gpu_plan.keep({"parity": {}}, tmp_path / "out")

    def stopped(words, seconds):
        (work / "a-s0" / "checkpoints").mkdir(parents=True)
        (work / "a-s0" / "checkpoints" / "step").write_text("half")
        clock.now += seconds
        return Outcome(75, seconds, "saved")

    assert not carry_out(tmp_path, clock, stopped)
    assert (tmp_path / "out" / "unfinished.tar").exists()
    gpu_plan.shutil.rmtree(work)

    def goes_on(words, seconds):
        folder = work / "a-s0"
        if not (folder / "record.json").exists() and folder.exists():
            assert (folder / "checkpoints" / "step").read_text() == "half"
            (folder / "record.json").write_text("{}")
        return Outcome(0, 1.0, "")

    assert carry_out(tmp_path, Clock(), goes_on)
    assert not (tmp_path / "out" / "unfinished.tar").exists()


def test_what_fails_is_kept_with_its_last_words_and_tried_again_only_when_told(tmp_path):
    tried = []

    def fails(words, seconds):
        tried.append(words)
        return Outcome(1, 2.0, "first\nno such kernel")

    assert carry_out(tmp_path, Clock(), fails)
    assert "no such kernel" in gpu_plan.results_of(tmp_path / "out")["parity"]["printed"]
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "== parity: exit 1, 2 s\nfirst\nno such kernel" in log
    assert carry_out(tmp_path, Clock(), fails)
    assert len(tried) == len(PLAN)
    assert carry_out(tmp_path, Clock(), fails, retry=True)
    assert len(tried) == 2 * len(PLAN)


def test_a_benchmark_that_a_whole_slice_was_not_enough_for_stops_no_further_slice(tmp_path):
    clock = Clock()

    def endless(words, seconds):
        clock.now += seconds
        return Outcome(None, seconds, "still at it")

    carry_out(tmp_path, clock, endless)
    assert gpu_plan.results_of(tmp_path / "out")["parity"]["failed"] == "no end in a whole slice"


def test_a_process_that_takes_too_long_is_asked_to_stop(monkeypatch):
    monkeypatch.setattr(gpu_plan, "TO_SAVE", 10.0)
    outcome = gpu_plan.execute(["-c", "print('on', flush=True); import time; time.sleep(60)"], 1.0)
    assert outcome.exit_code is None
    assert outcome.printed == "on\n"
    assert gpu_plan.execute(["-c", "raise SystemExit(3)"], 30.0).exit_code == 3


def test_children_that_do_not_stop_hold_up_nothing(monkeypatch):
    monkeypatch.setattr(gpu_plan, "TO_SAVE", 2.0)
    stays = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stays!r}])"
    began = time.monotonic()
    assert gpu_plan.execute(["-c", starts], 1.0).exit_code is None
    assert time.monotonic() - began < 30


def test_who_interrupts_the_plan_interrupts_its_task(monkeypatch):
    started = []
    real = gpu_plan.subprocess.Popen.communicate

    def communicate(self, timeout=None):
        started.append(self)
        if len(started) == 1:
            raise KeyboardInterrupt
        return real(self, timeout=timeout)

    monkeypatch.setattr(gpu_plan.subprocess.Popen, "communicate", communicate)
    with pytest.raises(KeyboardInterrupt):
        gpu_plan.execute(["-c", "import time; time.sleep(60)"], 60.0)
    assert started[0].returncode is not None


@pytest.mark.parametrize("failed", [False, True])
def test_the_page_tells_what_was_found_and_what_failed(tmp_path, failed):
    entry = {"seconds": 1.0, "printed": "5 passed"}
    found = {"parity": {**entry, "failed": "exit 1"} if failed else entry}
    gpu_plan.keep(found, tmp_path / "out")
    gpu_plan.write(tmp_path / "out", tmp_path / "gpu.md")
    text = (tmp_path / "gpu.md").read_text()
    assert "5 passed" in text
    assert ("**parity failed** (exit 1)" in text) == failed
    assert json.loads((tmp_path / "gpu" / "parity.json").read_text())["seconds"] == 1.0
