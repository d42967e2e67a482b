"""The search of knobs: what is searched, on what, by whom, and what becomes of a killed trial."""

import dataclasses
import json
import multiprocessing
import os
import re
import shlex
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from longtail.cli import app
from longtail.errors import DataError, Interrupted, NumericError, UsageError
from longtail.launch import train
from longtail.methods import METHODS
from longtail.methods.resolve import knobs_of, resolve
from longtail.methods.search import SHARED_SEARCH, as_typed, search_space
from longtail.recipe import DataInfo
from longtail.record import read_lines
from longtail.request import Request
from longtail.run import load
from postgres import PASSWORD, postgres
from tiny import pictures, tiny_dataset

optuna = pytest.importorskip("optuna")

from longtail.experiments.job import address_of  # noqa: E402
from longtail.experiments.tune import run as tuning  # noqa: E402 - needs optuna
from longtail.experiments.tune import storage as storages  # noqa: E402
from longtail.experiments.tune import study as studies  # noqa: E402
from longtail.experiments.tune import tune  # noqa: E402
from longtail.experiments.tune.result import trials_of  # noqa: E402
from longtail.experiments.tune.study import GivenUp, Search, open_study, work  # noqa: E402

INFO = DataInfo(np.array([50, 20, 6, 3]))
ON = {"compression": "both", "teacher": "somewhere"}


def silent(line: str) -> None:
    del line


@pytest.fixture(autouse=True)
def poll_often(monkeypatch):
    monkeypatch.setattr(studies, "_POLL_SECONDS", 0.1)


# What is searched


@pytest.mark.parametrize("method", METHODS)
def test_every_declared_range_is_of_a_knob_that_takes_both_ends(method):
    own = knobs_of(METHODS[method])
    for name, values in {**METHODS[method].search, **SHARED_SEARCH}.items():
        assert name in own or name in SHARED_SEARCH
        assert values.low < values.high
        assert values.low > 0 or not values.log
        fixed = {}
        if values.needs:
            assert values.needs in own
            fixed = {values.needs: ON[values.needs]}
        for end in (values.low, values.high):
            typed = as_typed(method, name, end)
            assert resolve(method, INFO, knobs={**fixed, name: typed}) is not None


@pytest.mark.parametrize("method", METHODS)
def test_a_number_that_is_the_default_lies_in_the_declared_range(method):
    for name, values in METHODS[method].search.items():
        default = knobs_of(METHODS[method])[name].default
        if isinstance(default, float):
            assert values.low <= default <= values.high, name


def test_compression_is_searched_only_where_it_is_on():
    off = search_space("rcl", INFO)
    on = search_space("rcl", INFO, knobs={"compression": "keys"})
    assert off.keys() == {"la_tau", "ce_weight", "contrastive_weight", "temperature"}
    assert on.keys() - off.keys() == {
        "compression_factor",
        "compression_threshold",
        "compression_start",
    }


def test_a_knob_that_is_set_is_not_searched_and_words_take_the_place_of_what_is_declared():
    assert "la_tau" not in search_space("bcl", INFO, knobs={"la_tau": "1"})
    asked = search_space("bcl", INFO, words=["lr", "temperature=0.05:0.2:log"])
    assert asked == {
        "lr": SHARED_SEARCH["lr"],
        "temperature": dataclasses.replace(SHARED_SEARCH["lr"], low=0.05, high=0.2),
    }


def test_a_knob_of_whole_numbers_stays_whole():
    assert search_space("ace", INFO, words=["experts=2:3"])
    assert as_typed("ace", "experts", 2.0) == 2
    assert isinstance(as_typed("ace", "experts", 2.0), int)


@pytest.mark.parametrize(
    ("method", "knobs", "words", "message"),
    [
        ("rcl", {}, ["la_tua"], "Did you mean 'la_tau'"),
        ("rcl", {}, ["la_tau=0"], "KNOB=LOW:HIGH"),
        ("rcl", {}, ["la_tau=0:a"], "KNOB=LOW:HIGH"),
        ("rcl", {}, ["la_tau=0:1:lin"], "KNOB=LOW:HIGH"),
        ("rcl", {}, ["la_tau=2:1"], "LOW must be below HIGH"),
        ("rcl", {}, ["la_tau=0:inf"], "finite"),
        ("rcl", {}, ["la_tau=0:1:log"], "above 0 on a logarithmic scale"),
        ("rcl", {}, ["la_tau=-1:1"], "must be at least 0"),
        ("rcl", {}, ["hidden_width"], "no range is declared"),
        ("rcl", {}, ["compression=0:1"], "--set compression="),
        ("rcl", {"la_tau": 1}, ["la_tau"], "both set and searched"),
        ("rcl", {}, ["compression_start=0.1:0.2"], "no effect without compression"),
        ("rcl", {}, ["lr", "lr=0.1:1"], "twice"),
        ("ce", {}, [], "--search lr"),
        ("ace", {}, ["experts=1.5:3"], "integer"),
    ],
)
def test_what_cannot_be_searched_is_named(method, knobs, words, message):
    with pytest.raises(UsageError, match=message):
        search_space(method, INFO, knobs=knobs, words=words)


def test_the_page_of_a_method_shows_what_is_searched():
    page = CliRunner().invoke(app, ["methods", "rcl"]).output
    assert "temperature=0.1  (tune: 0.03:0.5:log)" in page
    assert "compression_start=0.8  (tune: 0.3:0.9, with compression)" in page
    assert "lr=0.2  (tune: 0.01:1:log)" in page


# A study, with trials that train nothing


def search(folder: Path, **changes: object) -> Search:
    options = {
        "name": "study",
        "where": str(folder / "study.journal"),
        "folder": folder / "trials",
        "fingerprint": {"method": "none"},
        "source": "s",
        "distributions": {
            "a": optuna.distributions.FloatDistribution(0, 1),
            "b": optuna.distributions.FloatDistribution(0.01, 1, log=True),
        },
        "address": lambda knobs: str(dict(knobs)),
    }
    return Search(**{**options, **changes})


def height(knobs, report) -> float:
    del report
    return 1 - (knobs["a"] - 0.3) ** 2


def run(folder: Path, trials: int, evaluate=height, **changes: object):
    asked = search(folder, **changes)
    with storages.answering(asked.where):
        study = open_study(asked)
        work(study, asked, trials, evaluate, silent)
    return trials_of(study)


def test_a_study_that_is_gone_on_with_tries_what_it_would_have_tried(tmp_path):
    whole = run(tmp_path / "whole", 14)
    for trials in (1, 5, 14):
        parts = run(tmp_path / "parts", trials)
        assert len(parts) == trials
    assert [t.knobs for t in parts] == [t.knobs for t in whole]
    drawn = np.array([list(t.knobs.values()) for t in whole])
    assert len(np.unique(drawn[:, 0])) == 14
    # Knobs of one trial are drawn apart: not all of them at the same quantile.
    quantiles = np.log(drawn[:, 1] / 0.01) / np.log(100)
    assert np.abs(drawn[:10, 0] - quantiles[:10]).max() > 0.2


def test_another_seed_tries_other_knobs(tmp_path):
    one, two = (run(tmp_path / str(seed), 3, seed=seed) for seed in (0, 1))
    assert all(a.knobs != b.knobs for a, b in zip(one, two, strict=True))


def test_the_defaults_are_tried_first(tmp_path):
    first = {"a": 0.5, "b": 0.1}
    assert [t.knobs == first for t in run(tmp_path, 3, first=first)] == [True, False, False]


def test_a_study_of_something_else_is_refused(tmp_path):
    run(tmp_path, 1)
    with pytest.raises(UsageError, match='method: "none" then, "other" now'):
        run(tmp_path, 2, fingerprint={"method": "other"})
    with pytest.raises(UsageError, match=r"settings\.epochs: null then, 3 now"):
        run(tmp_path, 2, fingerprint={"method": "none", "settings": {"epochs": 3}})
    with pytest.raises(UsageError, match='source: "s" then, "t" now'):
        run(tmp_path, 2, source="t")
    assert len(run(tmp_path, 2, source="t", accept_source=True)) == 2
    assert len(run(tmp_path, 1, name="another", fingerprint={"method": "other"})) == 1


def test_bad_knobs_are_noted_and_an_error_that_is_not_theirs_leaves_the_trial_waiting(tmp_path):
    def diverges(knobs, report):
        raise NumericError("The loss is not finite.")

    (trial,) = run(tmp_path, 1, diverges)
    assert (trial.state, trial.value, trial.note) == ("pruned", None, "The loss is not finite.")

    def stopped(knobs, report):
        report(1, 0.5)
        raise Interrupted("Stopped.")

    with pytest.raises(Interrupted):
        run(tmp_path, 2, stopped)
    (waiting,) = [t for t in trials_of(open_study(search(tmp_path))) if t.state == "waiting"]
    again = run(tmp_path, 2)
    assert [t.state for t in again] == ["pruned", "complete"]
    assert again[1].knobs == waiting.knobs
    assert again[1].curve == {1: 0.5}


def test_a_trial_below_the_median_is_given_up_and_not_before_it_may_be(tmp_path):
    told: list[tuple[float, int]] = []

    def climbs(knobs, report):
        for epoch in range(1, 11):
            told.append((knobs["a"], epoch))
            if report(epoch, knobs["a"]):
                raise GivenUp
        return knobs["a"]

    ended = run(tmp_path, 20, climbs, judged_from=4)
    pruned = [t for t in ended if t.state == "pruned"]
    assert pruned
    assert all(max(t.curve) >= 4 for t in pruned)
    assert min(t.knobs["a"] for t in ended[6:] if t.value) > min(t.knobs["a"] for t in ended[:5])
    assert all(t.state == "complete" for t in run(tmp_path / "all", 12, climbs))


def test_a_line_that_a_full_disk_cut_off_is_dropped(tmp_path):
    run(tmp_path, 2)
    with (tmp_path / "study.journal").open("ab") as file:
        file.write(b'{"op_code":4,"wor')
    assert [t.state for t in run(tmp_path, 3)] == ["complete"] * 3


def test_a_file_that_is_no_journal_is_named(tmp_path):
    (tmp_path / "study.journal").write_bytes(b"hello\nthere\n")
    with pytest.raises(DataError, match="no journal of a study"):
        run(tmp_path, 1)


# Several processes

forked = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


def slow(knobs, report) -> float:
    time.sleep(0.05)
    return height(knobs, report)


def hangs(knobs, report) -> float:
    report(1, 0.25)
    time.sleep(60)
    return 0.0


def child(folder: Path, trials: int, evaluate, changes: dict[str, object]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    run(folder, trials, evaluate, **changes)


def start(folder: Path, trials: int, evaluate=slow, **changes: object):
    process = multiprocessing.get_context("fork").Process(
        target=child, args=(folder, trials, evaluate, changes)
    )
    process.start()
    return process


def wait_for_a_curve(asked: Search) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with storages.answering(asked.where):
            if any(t.curve for t in trials_of(open_study(asked))):
                return
        time.sleep(0.05)
    raise AssertionError("no trial has begun")


@forked
def test_two_processes_share_the_trials_of_a_journal(tmp_path):
    processes = [start(tmp_path, 12) for _ in range(2)]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    ended = trials_of(open_study(search(tmp_path)))
    assert [t.state for t in ended] == ["complete"] * 12
    assert len({t.knobs["a"] for t in ended}) == 12


@forked
def test_two_folders_share_a_journal_and_train_no_trial_twice(tmp_path):
    trained = tmp_path / "trained"
    trained.mkdir()

    def counted(knobs, report) -> float:
        (trained / f"{time.monotonic_ns()}-{os.getpid()}").touch()
        return slow(knobs, report)

    where = str(tmp_path / "study.journal")
    processes = [start(tmp_path / name, 12, counted, where=where) for name in ("one", "two")]
    for process in processes:
        process.join(15)
        process.kill()
        assert process.exitcode == 0
    assert len(list(trained.iterdir())) == 12
    ended = trials_of(open_study(search(tmp_path / "one", where=where)))
    assert [t.state for t in ended] == ["complete"] * 12


def test_a_trial_that_another_process_took_for_dead_is_dropped_in_words(tmp_path):
    asked, said = search(tmp_path), []
    study = open_study(asked)

    def is_taken_up(knobs, report):
        if not said[1:]:
            studies._hand_on(study, study.get_trials()[0])
        return height(knobs, report)

    work(study, asked, 1, is_taken_up, said.append)
    assert said[0].startswith("Trial 0 begins  a 0.")
    assert "another process took this one for dead" in said[1]
    assert [line.split()[:2] for line in said[1:]] == [["trial", "0"], ["trial", "1"]]
    (trial,) = trials_of(study)
    assert (trial.number, trial.state) == (1, "complete")


@forked
def test_a_killed_process_s_trial_is_taken_up_with_its_knobs_and_curve(tmp_path):
    process = start(tmp_path, 3, hangs)
    wait_for_a_curve(search(tmp_path))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (left,) = trials_of(open_study(search(tmp_path)))
    assert left.state == "running"
    ended = run(tmp_path, 3)
    assert [t.state for t in ended] == ["complete"] * 3
    assert [t.curve for t in ended if t.knobs == left.knobs] == [{1: 0.25}]


# On data


def tunable(**changes: object) -> Request:
    options = {
        "data": tiny_dataset(),
        "method": "logit-adjustment",
        "knobs": {"lr": 0.05},
        "backbone": "resnet8-w4",
        "epochs": 3,
        "batch_size": 5,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
    }
    return Request(**{**options, **changes})


def test_knobs_are_chosen_on_a_hold_out_that_is_no_part_of_train_or_test(tmp_path):
    said: list[str] = []
    tuned = tune(tunable(), trials=3, out=tmp_path, tell=said.append)
    assert [t.state for t in tuned.trials] == ["complete"] * 3
    assert tuned.holdout == "0.1"
    assert tuned.trials[0].knobs == {"la_tau": 1.0}
    assert tuned.best.value == max(t.value for t in tuned.trials)
    assert any("standard error" in line for line in said)

    runs = [load(path.parent) for path in tmp_path.glob("trials/*/record.json")]
    assert len(runs) == 3
    for run_ in runs:
        assert run_.record.metrics.test is None
        assert run_.record.data.test_size == 0
        assert run_.record.best_on_test is None
        assert run_.record.data.holdout == "0.1"
        (trial,) = [t for t in tuned.trials if t.knobs["la_tau"] == run_.record.knobs["la_tau"]]
        lines = read_lines(run_.folder / "log.jsonl")
        curve = {line["epoch"]: line["accuracy"]["balanced_accuracy"] for line in lines}
        assert trial.curve == curve
        assert trial.value == curve[3]
        assert {line["split"] for line in lines} == {"holdout"}
    assert not list(tmp_path.glob("trials/*/predictions-test.npz"))

    kept = json.loads((tmp_path / "tune.json").read_text())
    assert kept["best"] == tuned.best.number
    assert [t["knobs"] for t in kept["trials"]] == [t.knobs for t in tuned.trials]
    assert {"revision", "source_hash", "numeric_hash", "hardware", "versions"} <= kept.keys()
    assert f"--set la_tau={tuned.best.knobs['la_tau']!r}" in tuned.command
    assert "--set lr=0.05" in tuned.command
    assert "holdout" not in tuned.command


def test_nothing_is_trained_again_by_the_same_call(tmp_path, monkeypatch):
    first = tune(tunable(), trials=2, out=tmp_path, tell=silent)
    monkeypatch.setattr(tuning, "train", None)
    assert tune(tunable(), trials=2, out=tmp_path, tell=silent) == first


def test_a_study_with_another_objective_or_range_finds_what_is_on_disk(tmp_path):
    options = {"trials": 1, "out": tmp_path, "tell": silent}
    for study, search_, objective in (
        ("one", ["la_tau"], "last"),
        ("two", ["la_tau"], "selected"),
        ("three", ["la_tau=1:2", "lr=0.01:1:log"], "last"),
    ):
        request = tunable(knobs={"lr": 0.2} if len(search_) == 1 else {})
        tune(request, search=search_, objective=objective, study=study, **options)
    (folder,) = {path.parent for path in tmp_path.glob("trials/*/record.json")}
    other = tunable(knobs={"lr": 0.1})
    tune(other, objective="last", study="four", **options)
    assert len(list(tmp_path.glob("trials/*/record.json"))) == 2
    configured = json.loads((folder / "config.json").read_text())
    address = tuning._addressed(configured)(configured["knobs"] | {"lr": 0.2})
    assert address.startswith(address_of(configured))


def test_a_stopped_trial_s_run_is_gone_on_with(tmp_path, monkeypatch):
    real, steps = tuning.train, []

    def stops(*arguments, watch, **options):
        def look(line):
            watch(line)
            raise Interrupted("Stopped.")

        return real(*arguments, watch=look, checkpoint_seconds=0, **options)

    monkeypatch.setattr(tuning, "train", stops)
    with pytest.raises(Interrupted, match="the same command goes on"):
        tune(tunable(), trials=1, out=tmp_path, tell=silent)

    def counts(*arguments, watch, **options):
        return real(
            *arguments, watch=lambda line: (steps.append(line["epoch"]), watch(line)), **options
        )

    monkeypatch.setattr(tuning, "train", counts)
    tuned = tune(tunable(), trials=1, out=tmp_path, tell=silent)
    assert steps == [2, 3]
    assert sorted(tuned.trials[0].curve) == [1, 2, 3]


def test_a_classifier_that_is_computed_after_training_is_valued_by_what_it_then_predicts(tmp_path):
    tuned = tune(tunable(method="tau-norm"), trials=2, out=tmp_path, tell=silent)
    (run_,) = [
        load(path.parent)
        for path in tmp_path.glob("trials/*/record.json")
        if load(path.parent).record.knobs["norm_tau"] == tuned.trials[0].knobs["norm_tau"]
    ]
    assert tuned.trials[0].value == run_.record.metrics.holdout.balanced_accuracy


def test_the_selected_epoch_counts_where_the_data_bring_the_hold_out_that_selects_it(tmp_path):
    said: list[str] = []
    request = tunable(data=tiny_dataset(holdout=True))
    chosen = tune(request, trials=2, out=tmp_path, tell=said.append)
    assert (chosen.holdout, chosen.objective) == (None, "selected")
    assert any("at the epoch that it selects" in line for line in said)
    for trial in chosen.trials:
        assert trial.value == max(trial.curve.values())


def test_the_default_hold_out_is_of_what_a_cut_threw_away_where_that_costs_train_little():
    data = tiny_dataset()
    assert tuning.default_holdout(data) == "0.1"
    assert tuning.default_holdout(tiny_dataset(holdout=True)) is None
    plenty = dataclasses.replace(data, discarded=pictures((20, 20, 20)))
    assert tuning.default_holdout(plenty) == "discarded:20"
    scarce = dataclasses.replace(data, discarded=pictures((20, 20, 18)))
    assert tuning.default_holdout(scarce) == "0.1"


def test_trials_are_not_judged_before_they_show_how_they_will_end():
    def from_epoch(method: str, *words: str, **knobs: object) -> int | None:
        each, held = tuning.held_out(tunable(method=method, epochs=20, knobs=knobs))
        ranges = search_space(method, DataInfo(held.counts), knobs=knobs, words=words)
        return tuning._judged_from(tuning._plans_at_ends(each, held, ranges))

    assert from_epoch("ce", "lr") == 11
    assert from_epoch("ldam-drw", "max_margin") == 17
    assert from_epoch("ldam-drw") == 20  # drw_start to 0.95
    assert from_epoch("ride", "reweight_start", routing=False) == 20
    assert from_epoch("fcc") == 16  # fcc_start to 0.75
    assert from_epoch("rcl", "la_tau", compression="both", compression_start=0.7) == 15
    assert from_epoch("rcl", compression="both") == 19  # compression_start to 0.9
    assert from_epoch("ncm", "lr") is None


def command(method: str, objective: str = "last", **knobs: object) -> str:
    request = tunable(method=method, knobs=knobs)
    each, held = tuning.held_out(request)
    return tuning.train_command(request, tuning.plan_run(each, held), each.holdout, objective)


def test_the_command_holds_out_only_what_the_method_or_the_objective_needs():
    assert "--holdout" not in command("ce")
    assert "--holdout 0.1" in command("ce", "selected")
    assert "--holdout 0.1" in command("rcl", compression="both")
    assert "--holdout 0.1" in command("tau-norm")
    assert "--holdout" not in command("tau-norm", norm_tau=0.7)
    assert "--holdout" not in command("tau-norm", "selected", norm_tau=0.7)


def test_a_student_is_held_out_what_its_teacher_was(tmp_path):
    options = {**vars(tunable(method="ride")), "knobs": {"experts": 2, "routing": False}}
    train(**{**options, "holdout": "0.1", "epochs": 2}, out=tmp_path / "teacher", progress=False)
    taught = {**options["knobs"], "teacher": str(tmp_path / "teacher"), "lr": 0.05}
    request = tunable(method="ride", knobs=taught, epochs=2)
    words = ["teacher_weight"]
    tuned = tune(request, trials=1, search=words, out=tmp_path / "out", tell=silent)
    assert (tuned.holdout, tuned.objective) == ("0.1", "selected")
    assert "--holdout 0.1" in tuned.command


def test_a_searched_exponent_needs_no_hold_out_once_it_is_found(tmp_path):
    tuned = tune(tunable(method="tau-norm", epochs=1), trials=1, out=tmp_path, tell=silent)
    assert "--set norm_tau=" in tuned.command
    assert "--holdout" not in tuned.command


# The command line and databases


@pytest.fixture
def vector_file(tmp_path: Path) -> Path:
    data = tiny_dataset(kind="vector")
    arrays = {
        f"{name}_{key}": getattr(split, key)
        for name, split in (("train", data.train), ("test", data.test))
        for key in ("inputs", "labels")
    }
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def words(data: Path, *more: str) -> list[str]:
    given = "--method logit-adjustment --epochs 2 --batch-size 5 --backbone mlp-w8 --threads 1"
    return ["tune", str(data), *given.split(), "--device", "cpu", *more]


def test_the_command_that_is_printed_trains_with_what_was_found(vector_file, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, words(vector_file, "--trials", "2", "--out", str(out)))
    assert done.exit_code == 0, done.output
    kept = json.loads((out / "tune.json").read_text())
    assert kept["command"] in done.output
    typed = [*shlex.split(kept["command"])[1:], "--out", str(tmp_path / "run")]
    assert CliRunner().invoke(app, typed).exit_code == 0
    best = kept["trials"][kept["best"]]
    record = load(tmp_path / "run").record
    assert record.knobs["la_tau"] == best["knobs"]["la_tau"]
    assert (record.settings["epochs"], record.backbone) == (2, "mlp-w8")
    assert record.metrics.test is not None
    assert record.metrics.holdout is None


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (["--trials", "0"], UsageError, "at least 1"),
        (["--set", "la_tua=1"], UsageError, "Did you mean 'la_tau'"),
        (["--search", "tau=0:1"], UsageError, "no knob 'tau'"),
        (["--holdout", "discarded:2"], DataError, "was not cut"),
        (["--storage", "nosuch://host/base"], UsageError, "neither a path nor the address"),
        (["--storage", "."], UsageError, r"is a folder; name a file, such as study\.journal"),
    ],
)
def test_a_wrong_word_is_named_before_anything_is_trained(
    vector_file, tmp_path, more, error, message
):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, words(vector_file, "--out", str(out), *more))
    assert isinstance(done.exception, error)
    assert re.search(message, str(done.exception))
    assert not list(out.glob("trials/*/config.json"))


def test_without_optuna_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r'pip install "longtail\[tune\]"'):
        tune(tunable())


def test_a_database_that_does_not_answer_is_one_sentence_without_the_password(tmp_path):
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        where = f"postgresql://me:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}/studies"
        with pytest.raises(DataError, match="does not answer") as caught:
            tune(tunable(), trials=1, out=tmp_path, storage=where, tell=silent)
    message = str(caught.value)
    assert "\n" not in message
    assert "me:***@127.0.0.1" in message
    assert PASSWORD not in message + "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("postgresql://me:a:b@c@host:1/base?password=x", "postgresql://me:***@host:1/base"),
        ("postgresql://host/base", "postgresql://host/base"),
        ("folder/study.journal", "folder/study.journal"),
    ],
)
def test_no_secret_of_a_url_is_shown(where, shown):
    assert storages.shown(where) == shown


@pytest.fixture(scope="module")
def server():
    with postgres() as running:
        yield running


@forked
def test_processes_share_a_postgresql_study_and_a_dead_one_s_trial_is_taken_up(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(storages, "BEAT_SECONDS", 1)
    monkeypatch.setattr(storages, "_MISSED_BEATS", 2)
    asked = search(tmp_path, where=server.url, name="shared")
    process = start(tmp_path / "one", 6, hangs, where=server.url, name="shared")
    wait_for_a_curve(asked)
    # Another machine: another folder, whose locks say nothing.
    other = start(tmp_path / "two", 6, where=server.url, name="shared")
    time.sleep(3)  # longer than the dead are waited for: the first one lives, and beats
    assert [t.state for t in trials_of(open_study(asked))].count("running") >= 1
    (left,) = [t for t in trials_of(open_study(asked)) if t.curve]
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    other.join(30)
    assert other.exitcode == 0
    ended = trials_of(open_study(asked))
    assert [t.state for t in ended] == ["complete"] * 6
    assert [t.curve for t in ended if t.knobs == left.knobs] == [{1: 0.25}]


@pytest.mark.slow
def test_a_database_that_goes_away_leaves_what_is_finished(server, tmp_path):
    asked = {"where": server.url, "name": "interrupted"}

    def pulls_the_plug(knobs, report):
        if knobs["a"] != first["a"]:
            server.stop()
        return height(knobs, report)

    first = {"a": 0.5, "b": 0.5}
    try:
        with pytest.raises(DataError, match="Finished trials stay"):
            run(tmp_path, 3, pulls_the_plug, first=first, **asked)
    finally:
        server.start()
    study = trials_of(open_study(search(tmp_path, **asked)))
    assert [t.state for t in study] == ["complete", "running"]


@pytest.mark.slow
def test_a_real_search_on_postgresql(server, tmp_path):
    tuned = tune(tunable(), trials=2, storage=server.url, out=tmp_path, tell=silent)
    assert [t.state for t in tuned.trials] == ["complete"] * 2
    assert PASSWORD not in (tmp_path / "tune.json").read_text()
