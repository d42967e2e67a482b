"""A bench: the jobs of a grid, what is done by the disk, and how runs that end badly are met."""

import contextlib
import dataclasses
import io
import json
import os
import shutil
import signal
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from longtail.cli import dispatch
from longtail.errors import Interrupted, LongtailError, UsageError
from longtail.experiments import job as job_module
from longtail.experiments import local
from longtail.experiments.bench import run_tasks, summary_lines
from longtail.experiments.engines import engine_named, machine_share
from longtail.experiments.grid import as_grid, baseline_of, jobs_of, read_grid
from longtail.experiments.job import Job, address_of, plan_tasks
from longtail.experiments.ledger import survey
from longtail.experiments.live import Lines, Live
from longtail.experiments.local import Children, Outcome
from longtail.experiments.table import markdown_tables, tables_of
from longtail.record import read_lines
from longtail.request import Request
from longtail.training.folder import locked
from tiny import corrupt, vectors

QUICK = {"device": "cpu", "precision": "fp32", "threads": 1}
SMALL = {"backbone": "mlp-w8", "batch_size": 5, "set": {"lr": 0.05}}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A table of vectors in the working directory, as its name is typed."""
    monkeypatch.chdir(tmp_path)
    train, test = vectors((12, 6, 4)), vectors((4, 4, 4), seed=1)
    arrays = {"train_inputs": train.inputs, "train_labels": train.labels}
    np.savez("mine.npz", **arrays, test_inputs=test.inputs, test_labels=test.labels)
    return "mine.npz"


def planned(data, out="runs", **grid):
    wanted = as_grid({"data": data, "methods": ["ce"], "seeds": 1, "epochs": 2, **SMALL, **grid})
    return list(plan_tasks(jobs_of(wanted, QUICK), Path(out)))


def in_process(tasks, started):
    """The commands of the tasks, without the seconds that a process takes to import torch."""
    for task in tasks:
        started(task)
        yield Outcome(task, run_here(task.words))


def run_here(words) -> int:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            dispatch(list(words))
    except LongtailError as error:
        return error.exit_code
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def run(tasks, out="runs", engine=in_process, **options):
    return run_tasks(tasks, Path(out), engine, **options)


def states(tasks, out="runs", **options):
    return [entry.state for entry in survey(tasks, Path(out), **options)]


# Grids


def test_seeds_are_the_outer_loop_and_tables_the_next():
    grid = as_grid(
        {"data": ["a.npz", "b.npz"], "methods": ["ce", "rcl"], "seeds": 2, "epochs": [1, 2]}
    )
    jobs = jobs_of(grid)
    assert len(jobs) == 2 * 2 * 2 * 2
    assert [j.request.seed for j in jobs] == [0] * 8 + [1] * 8
    assert [(j.group, j.row) for j in jobs[:3]] == [
        ("a, 1 epochs", "CE"),
        ("a, 1 epochs", "RCL"),
        ("a, 2 epochs", "CE"),
    ]
    assert [(j.group, j.row) for j in jobs[:8]] == [(j.group, j.row) for j in jobs[8:]]


def test_a_row_has_settings_of_its_own_and_varied_knobs_make_rows():
    grid = as_grid(
        {
            "data": "a.npz",
            "methods": [{"method": "rcl", "label": "ours", "set": {"la_tau": 0}, "epochs": 7}],
            "vary": {"temperature": [0.1, 0.2]},
            "set": {"lr": 0.1, "la_tau": 1.0},
            "epochs": 3,
            "seeds": [4],
            "imbalance": 10,
        }
    )
    first, second = jobs_of(grid, {"threads": 1})
    assert (first.group, first.row) == ("a, imbalance 10", "ours temperature=0.1")
    assert second.row == "ours temperature=0.2"
    assert first.request.knobs == {"lr": 0.1, "la_tau": 0, "temperature": 0.1}
    assert (first.request.epochs, first.request.seed, first.request.threads) == (7, 4, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sed": 1}, r"sed: no such key. Did you mean 'seeds'"),
        ({"methods": [{"method": "rcl", "epohs": 3}]}, r"methods.0.epohs.*'epochs'"),
        ({"methods": [{"label": "x"}]}, r"methods.0.method: it is missing"),
        ({"methods": ["rlc"]}, r"'rlc'. Did you mean 'rcl'"),
        ({"methods": ["ce", "ce"]}, r"Two rows are called 'CE'"),
        ({"data": ["p/a.npz", "q/a.npz"]}, "Two tables would be called 'a'"),
        ({"epochs": [2, 2]}, "Two tables"),
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": [1, 1]}, "seeds is"),
        ({"epochs": 1.5}, "epochs"),
        ({"vary": {"lr": 3}}, "vary.lr.*list"),
        ({"recipe": "papr"}, "recipe.*'common' or 'paper'"),
    ],
)
def test_what_is_wrong_with_a_grid_is_named(change, words):
    with pytest.raises(UsageError, match=words):
        jobs_of(as_grid({"data": "a.npz", "methods": ["ce"], **change}))


def test_a_baseline_is_a_row_by_its_label_or_its_method():
    values = {"data": "a", "methods": ["ce", {"method": "rcl", "label": "ours"}]}
    assert baseline_of(as_grid(values)) == "CE"
    assert baseline_of(as_grid({**values, "baseline": "ours"})) == "ours"
    with pytest.raises(UsageError, match="baseline 'bcl' is no row"):
        baseline_of(as_grid({**values, "baseline": "bcl"}))


@pytest.mark.parametrize("text", ["- a list", "a: [", "\t"])
def test_a_file_that_is_no_grid_is_said_to_be_none(tmp_path, text):
    (tmp_path / "g.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"g\.yaml"):
        read_grid(tmp_path / "g.yaml")
    with pytest.raises(UsageError, match="no grid can be read"):
        read_grid(tmp_path / "absent.yaml")


def test_a_flag_goes_before_the_grids_precision_and_a_rows_own_before_both(data, capsys):
    rows = "[ce, {method: rcl, precision: bf16}]"
    text = f"{{data: {data}, methods: {rows}, seeds: 1, epochs: 1, backbone: mlp-w8, batch_size: 5"
    Path("g.yaml").write_text(f"{text}, precision: bf16}}", encoding="utf-8")
    wanted = as_grid({**read_grid(Path("g.yaml")), "precision": "fp32"})
    assert [job.request.precision for job in jobs_of(wanted)] == ["fp32", "bf16"]
    with contextlib.suppress(SystemExit):
        dispatch(["bench", "g.yaml", "--precision", "fp32", "--device", "cpu", "--dry-run"])
    typed = [line.split()[1] for line in capsys.readouterr().out.splitlines() if "waiting" in line]
    tasks = plan_tasks(jobs_of(wanted, {"device": "cpu"}), Path("o"))
    assert typed == [task.folder.name for task in tasks]


def test_only_true_and_false_are_booleans_in_a_grid(tmp_path):
    text = "{compression: off, a: on, b: yes, c: No, d: true, e: False, f: trueness, g: 0.5, h: y}"
    (tmp_path / "g.yaml").write_text(f"set: {text}", encoding="utf-8")
    read = read_grid(tmp_path / "g.yaml")["set"]
    words = {"compression": "off", "a": "on", "b": "yes", "c": "No", "f": "trueness", "h": "y"}
    assert read == {**words, "d": True, "e": False, "g": 0.5}


# Addresses


def test_an_address_is_of_what_decides_the_numbers_and_of_nothing_else(data):
    def addresses(**grid):
        return {task.address for task in planned(data, **grid)}

    base = addresses()
    assert addresses(eval_every=1) == base, "without a hold-out it decides nothing"
    wanted = as_grid({"data": data, "methods": "ce", "seeds": 1, "epochs": 2, **SMALL})
    two = list(plan_tasks(jobs_of(wanted, {**QUICK, "threads": 2}), Path("elsewhere")))
    assert {task.address for task in two} == base
    others = [
        addresses(seeds=[1]),
        addresses(epochs=3),
        addresses(methods=["logit-adjustment"]),
        addresses(batch_size=4),
        addresses(backbone="mlp-w4"),
        addresses(set={"lr": 0.1}),
        addresses(imbalance=6),
        addresses(holdout="0.3"),
        addresses(holdout="0.3", eval_every=2),
        addresses(precision="bf16"),
    ]
    assert len(set().union(base, *others)) == 1 + len(others)


def test_a_run_has_the_address_it_was_planned_with(data):
    (task,) = planned(data, methods=["rcl"], set={"lr": 0.05, "temperature": 0.2})
    assert run_here(task.words) == 0
    assert address_of(json.loads((task.folder / "config.json").read_bytes())) == task.address


def test_a_knob_that_a_method_gained_keeps_the_runs_of_its_default(data):
    (task,) = planned(data, methods=["rcl"])
    run([task])
    config = task.folder / "config.json"
    stored = json.loads(config.read_bytes())
    assert stored["knobs"].pop("class_average") is False
    assert address_of(stored) == task.address
    stored["knobs"]["la_tau"] = 1.3
    assert address_of(stored) != task.address


def test_other_data_of_the_same_name_are_another_address(data):
    (before,) = planned(data)
    arrays = dict(np.load(data))
    np.savez(data, **{**arrays, "train_inputs": arrays["train_inputs"] + 1})
    (after,) = planned(data)
    assert before.address != after.address


def test_the_row_of_a_job_that_cannot_run_is_named(data):
    with pytest.raises(UsageError, match=r"mine, CE: .*no knob 'temperature'"):
        planned(data, set={"temperature": 1})
    with pytest.raises(UsageError, match="absent"):
        planned("absent.npz")
    arrays = Job("g", "r", Request(data=None, method="ce"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a name or a path"):
        list(plan_tasks([arrays], Path("runs")))


# What is done


def test_what_is_done_is_not_run_again(data):
    tasks = planned(data, methods=["ce", "logit-adjustment"], seeds=2)
    assert states(tasks) == ["waiting"] * 4
    first = run(tasks)
    assert [entry.state for entry in first.entries] == ["done"] * 4
    asked = []

    def noting(todo, started):
        asked.extend(todo)
        yield from ()

    assert len(run(tasks, engine=noting).done) == 4
    assert asked == []


def test_a_run_that_was_begun_is_gone_on_with(data):
    (task,) = planned(data, epochs=4)
    (longer,) = planned(data, epochs=4, out="whole")
    run([longer], out="whole")
    # As a kill after an epoch leaves it: a configuration, a checkpoint and part of the log.
    shutil.copytree(longer.folder, task.folder)
    for name in ("record.json", "model.safetensors", "predictions-test.npz"):
        (task.folder / name).unlink()
    assert states([task]) == ["begun"]
    done = run([task]).done[0]
    whole = survey([longer], Path("whole"))[0]
    assert done.record
    assert whole.record
    assert done.record.metrics == whole.record.metrics
    assert [line["epoch"] for line in read_lines(task.folder / "log.jsonl")] == [1, 2, 3, 4]


@pytest.mark.parametrize("how", ["flipped", "half", "metrics", "missing predictions", "other"])
def test_a_record_that_does_not_verify_is_not_done_and_is_made_again(data, how):
    (task,) = planned(data)
    good = run([task]).done[0].record
    record, predictions = task.folder / "record.json", task.folder / "predictions-test.npz"
    if how == "flipped":
        with zipfile.ZipFile(predictions) as archive:
            corrupt(predictions, archive.getinfo("predicted.npy").header_offset + 75)
    elif how == "half":
        record.write_bytes(record.read_bytes()[:300])
    elif how == "missing predictions":
        predictions.unlink()
    else:
        value = json.loads(record.read_bytes())
        if how == "metrics":
            value["metrics"]["test"]["balanced_accuracy"] += 0.01
        else:
            value["seed"] = 7
        record.write_text(json.dumps(value))
    (entry,) = survey([task], Path("runs"))
    assert (entry.state, entry.record) == ("damaged", None)
    assert str(task.folder) in entry.note
    again = run([task]).done[0].record
    assert good
    assert again
    assert again.metrics == good.metrics
    assert (task.folder / "record.json.damaged").exists()


def test_a_run_of_other_sources_serves_only_when_that_is_said(data, monkeypatch):
    (task,) = planned(data)
    run([task])
    monkeypatch.setattr(job_module, "numeric_hash", lambda: "another")
    (now,) = planned(data)
    assert now.address == task.address
    assert now.folder != task.folder
    (entry,) = survey([now], Path("runs"))
    assert entry.state == "waiting"
    assert f"{task.folder} has it" in entry.note
    assert "--accept-source" in entry.note
    (taken,) = survey([now], Path("runs"), accept_source=True)
    assert (taken.state, taken.folder) == ("done", task.folder)
    (elsewhere,) = survey([now], Path("other"), also=[Path("runs")], accept_source=True)
    assert elsewhere.state == "done"


def test_a_run_on_other_test_pictures_does_not_serve_and_stays(data):
    (task,) = planned(data)
    run([task])
    arrays = dict(np.load(data))
    np.savez(data, **{**arrays, "test_inputs": arrays["test_inputs"] + 1})
    (other,) = planned(data)
    assert (other.address, other.folder == task.folder) == (task.address, False)
    assert states([other]) == ["waiting"]
    assert states([other], accept_source=True) == ["waiting"]
    assert len(run([other]).done) == 1
    assert states([task]) == ["done"]


def test_a_begun_run_goes_on_with_the_threads_it_began_with(data):
    (task,) = planned(data, epochs=4)
    run([task])
    for name in ("record.json", "model.safetensors"):
        (task.folder / name).unlink()
    wanted = as_grid({"data": data, "methods": "ce", "seeds": 1, "epochs": 4, **SMALL})
    how = {**QUICK, "threads": 2, "eval_every": 3}
    (again,) = plan_tasks(jobs_of(wanted, how), Path("runs"))
    assert again.folder == task.folder
    assert len(run([again]).done) == 1


def test_sources_that_are_edited_meanwhile_train_nothing_more(data, monkeypatch):
    tasks = planned(data, seeds=2)
    monkeypatch.setattr(local, "numeric_hash", lambda: "edited")
    done = run(tasks, engine=local.local(1))
    assert [outcome.code for outcome in done.failed] == [2, 2]
    assert "Type the command again" in done.failed[0].text


def test_a_run_that_other_sources_finished_in_its_own_folder_is_not_done(data):
    (task,) = planned(data)
    run([task])
    record = task.folder / "record.json"
    value = json.loads(record.read_bytes())
    value["provenance"]["numeric_hash"] = "another"
    record.write_text(json.dumps(value))
    (entry,) = survey([task], Path("runs"))
    assert entry.state == "waiting"
    assert "--accept-source" in entry.note
    assert states([task], accept_source=True) == ["done"]


def test_rows_of_equal_contents_are_one_run(data):
    tasks = planned(data, methods=["ce", {"method": "ce", "label": "again"}])
    asked = []

    def noting(todo, started):
        asked.extend(todo)
        yield from in_process(todo, started)

    assert len(run(tasks, engine=noting).done) == 2
    assert len(asked) == 1


def test_data_that_nothing_can_be_compared_on_are_refused(data):
    arrays = dict(np.load(data))
    np.savez("bare.npz", train_inputs=arrays["train_inputs"], train_labels=arrays["train_labels"])
    with pytest.raises(UsageError, match="no test split"):
        planned("bare.npz")
    assert planned("bare.npz", holdout="0.3")


def test_what_is_no_run_beside_the_runs_is_passed_by(data):
    (task,) = planned(data)
    run([task])
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"method": "ce"}')):
        (Path("runs") / name).mkdir()
        (Path("runs") / name / "config.json").write_text(text)
    assert states([task]) == ["done"]


# Running


def test_a_job_that_fails_is_reported_and_stops_no_other(data):
    rows = [{"method": "ce", "label": "bad", "set": {"lr": 1e30}}, "ce"]
    tasks = planned(data, methods=rows, seeds=2)
    done = run(tasks)
    assert [entry.state for entry in done.entries] == ["begun", "done"] * 2
    assert [outcome.code for outcome in done.failed] == [5, 5]
    text = "\n".join(summary_lines(done))
    assert text.startswith("2 of 4 runs done; 2 begun.")
    assert "-s0-" in text
    assert text.count("failed, exit code 5:") == 2
    assert done.failed[0].task.command in text


def test_a_run_that_another_process_trains_is_left_to_it(data):
    tasks = planned(data, seeds=2)
    with locked(tasks[0].folder):
        done = run(tasks)
    assert [entry.state for entry in done.entries] == ["waiting", "done"]
    assert done.failed == ()


def test_the_local_engine_begins_a_killed_process_again_and_no_failed_one(data, monkeypatch):
    codes = {0: [-9, -9, 0], 1: [5], 2: [-9, -9, -9]}
    tasks = planned(data, seeds=3)
    calls = []

    def fake(self, words, output):
        seed = next(t.job.request.seed for t in tasks if t.words == words)
        output.parent.mkdir(exist_ok=True)
        output.write_text("its last words")
        calls.append(seed)
        return codes[seed][calls.count(seed) - 1]

    monkeypatch.setattr(Children, "run", fake)
    outcomes = {o.task.job.request.seed: o for o in local.local(2)(tasks, lambda task: None)}
    assert {seed: o.code for seed, o in outcomes.items()} == {0: 0, 1: 5, 2: -9}
    assert sorted(calls) == [0, 0, 0, 1, 2, 2, 2]
    assert (outcomes[0].text, outcomes[1].text) == ("", "its last words")


def test_stopping_an_experiment_stops_its_processes_and_starts_no_more(data, monkeypatch):
    begun, ended = threading.Event(), []

    class Child:
        def __init__(self, command, **files):
            self.told = threading.Event()

        def wait(self):
            begun.set()
            assert self.told.wait(20)
            ended.append(self)
            return 75

        def terminate(self):
            self.told.set()

    monkeypatch.setattr(local.subprocess, "Popen", Child)
    tasks = planned(data, seeds=3)

    def interrupt():
        begun.wait(20)
        time.sleep(0.3)  # into the engine's wait, where a person's Ctrl-C arrives as well
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted, match="The same command goes on"):
        run(tasks, engine=local.local(1))
    assert len(ended) == 1


@pytest.mark.slow
@pytest.mark.cli
@pytest.mark.timeout(300)
def test_processes_killed_in_the_middle_lose_nothing_and_run_nothing_twice(data):
    tasks = planned(data, methods=["ce", "logit-adjustment"], epochs=300)
    reference = planned(data, out="whole", methods=["ce", "logit-adjustment"], epochs=300)
    killed = []

    def kill():
        while len(killed) < 2:
            time.sleep(0.05)
            for task in tasks:
                if read_lines(task.folder / "log.jsonl")[20:] and task.folder not in killed:
                    os.system(f"pkill -9 -f {task.folder.name}")
                    killed.append(task.folder)

    threading.Thread(target=kill, daemon=True).start()
    done = run(tasks, engine=engine_named("local", machine_share(2, 1, "cpu", 2)))
    whole = run(reference, out="whole")
    assert len(killed) == 2
    for entry, other in zip(done.entries, whole.entries, strict=True):
        assert entry.record
        assert other.record
        assert entry.record.metrics == other.record.metrics
        epochs = [line["epoch"] for line in read_lines(entry.folder / "log.jsonl")]
        assert epochs == list(range(1, 301))
        weights = [f / "model.safetensors" for f in (entry.folder, other.folder)]
        assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_machine_is_shared_so_that_every_core_works(monkeypatch):
    monkeypatch.setattr("longtail.experiments.engines.usable_cores", lambda: 8)
    assert machine_share(None, None, "cpu", 100) == (8, 1)
    assert machine_share(None, None, "cpu", 2) == (2, 4)
    assert machine_share(None, 4, "cpu", 100) == (2, 4)
    assert machine_share(3, None, "cpu", 100) == (3, 2)
    assert machine_share(None, None, "cuda", 100) == (1, 8)
    with pytest.raises(UsageError, match="--jobs 0"):
        machine_share(0, None, "cpu", 1)
    with pytest.raises(UsageError, match="--engine ray"):
        engine_named("local", machine_share(1, 1, "cpu", 1), address="auto")


# What a person sees


@pytest.mark.parametrize("display", [Lines, Live])
def test_the_display_shows_what_runs_and_how_it_ended(data, display, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    tasks = planned(data, methods=["ce", {"method": "ce", "label": "bad", "set": {"lr": 1e30}}])
    run(tasks, display=display())
    text = capsys.readouterr().out
    for words in ("mine: CE, seed 0", "test: balanced", "mine: bad, seed 0", "exit code 5"):
        assert words in text
    assert (
        "0 of 2 runs are done." if display is Lines else "0 runs were done, 2 of 2 ended"
    ) in text


def test_the_table_pairs_seeds_corrects_for_rows_and_ranks_nothing_below_three(data):
    tasks = planned(data, methods=["ce", "logit-adjustment", "balanced-softmax"], seeds=3)
    done = run(tasks).done
    (rows,) = tables_of(done, "CE").values()
    base, adjusted, _ = rows
    assert base.paired is None
    assert adjusted.paired
    ours, theirs = adjusted.values("balanced_accuracy"), base.values("balanced_accuracy")
    assert adjusted.paired.mean == pytest.approx(np.mean([ours[s] - theirs[s] for s in range(3)]))
    text = "\n".join(markdown_tables(done, "CE"))
    assert text.count("| 3 |") == 3
    two = [entry for entry in done if entry.task.job.request.seed < 2]
    short = "\n".join(markdown_tables(two, "CE"))
    assert short.count("not ranked") == 2
    other = dataclasses.replace(
        done[0].record.provenance, numeric_hash="another", revision="f" * 40
    )
    mixed = [
        dataclasses.replace(done[0], record=dataclasses.replace(done[0].record, provenance=other)),
        *done[1:],
    ]
    text = "\n".join(markdown_tables(mixed, "CE"))
    assert "Rows differ in numeric sources: " in text
    assert "fffffff" in text


def test_the_command_line_runs_a_grid_and_writes_its_table(data, capsys, monkeypatch):
    monkeypatch.setattr("longtail.experiments.engines.local", lambda at_once: in_process)
    Path("g.yaml").write_text(
        "data: mine.npz\nmethods: [ce, logit-adjustment]\nseeds: 2\nepochs: 2\n"
        "backbone: mlp-w8\nbatch_size: 5\nset: {momentum: 0.8}\n"
    )
    words = ["bench", "g.yaml", "--seeds", "1", "--set", "lr=0.05", "--out", "runs/b"]
    assert run_here([*words, "--dry-run"]) == 0
    assert not Path("runs/b").exists()
    with pytest.raises(SystemExit) as left:
        dispatch(words)
    assert left.value.code in (0, None)
    text = capsys.readouterr().out
    assert "2 of 2 runs done." in text
    assert Path("runs/b/table.md").read_text() in text
    for config in Path("runs/b").glob("*/config.json"):
        settings = json.loads(config.read_bytes())["settings"]
        assert (settings["lr"], settings["momentum"]) == (0.05, 0.8)
    assert run_here([*words[:-1], "runs/c", "--set", "weight_decay=1e30"]) == 1
