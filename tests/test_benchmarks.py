"""The parts of the benchmarks that time nothing: sums, text, pages, the ordinary loop."""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from longtail.data.dataset import Split
from longtail.experiments.grid import as_grid, read_grid
from longtail.losses import contrastive_loss
from longtail.training.decisions import decide

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import accuracy
import beside
import compression
import end_to_end
import knobs
import measure
import ordinary
import performance_page
import results
import startup
import step
import when

GRIDS = Path(knobs.__file__).with_name("grids")


def timing(name: str, *seconds: float, work: float | None = 10.0) -> results.Timing:
    return results.Timing(name, seconds, work)


def report() -> results.Report:
    timings = (timing("slow", 4.0, 6.0, 5.0), timing("fast", 2.0, 1.0, 2.0))
    case = results.Case(
        "a task",
        timings,
        ratios=(results.ratio(timings, "slow", "fast"),),
        goals=(
            results.Goal("times as quick", 2.0, 2.5, stretch=3.0),
            results.Goal("seconds", 1.0, 2.0, at_most=True),
        ),
        counts="pictures",
        notes=("A note.",),
    )
    known = {"cpu": "a processor", "cores": 2, "threads": 2, "instructions": "AVX2"}
    known |= {"allocator": "system", "gpu": None, "cuda": None, "revision": "abc"}
    return results.Report(
        "step", "The step", "python x.py", {**known, "versions": {"kornia": None}}, (case,)
    )


def test_a_ratio_is_of_medians_and_over_turns() -> None:
    found = results.ratio([timing("a", 4.0, 6.0, 5.0), timing("b", 2.0, 1.0, 2.0)], "a", "b")
    assert (found.medians, found.paired) == (2.5, 2.5)
    assert (found.low, found.high) == (2.0, 6.0)


def test_a_ratio_counts_the_work_and_not_the_call() -> None:
    found = results.ratio([timing("a", 1.0, work=1.0), timing("b", 1.0, work=4.0)], "a", "b")
    assert found.medians == found.paired == 4.0


def test_a_goal_that_is_missed_says_so() -> None:
    met, missed = report().cases[0].goals
    assert met.met
    assert "MISSED" not in results.goal_line(met)
    assert not missed.met
    assert "MISSED" in results.goal_line(missed)


def test_alternatives_take_turns_after_their_warm_ups() -> None:
    calls: list[str] = []
    runs = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    timings = measure.interleave(runs, turns=3, warm_ups=1, work=5.0)
    assert "".join(calls) == "ab" + 3 * "ab"
    assert [(t.name, len(t.seconds), t.work) for t in timings] == [("a", 3, 5.0), ("b", 3, 5.0)]


def test_a_spent_budget_leaves_three_turns() -> None:
    assert len(measure.interleave({"a": lambda: None}, turns=9, budget=0.0)[0].seconds) == 3


def test_the_peak_of_allocations_is_that_of_what_is_held_at_once() -> None:
    assert measure.highest([4, 3, -4, 2, -5]) == 7
    assert measure.highest([-3]) == 0


@pytest.mark.slow
def test_the_allocator_sees_two_matrices_and_not_their_inputs() -> None:
    x = torch.ones(500, 500)
    held = measure.peak_allocated(lambda: (x + 1).exp().sum())
    assert held == pytest.approx(2 * x.nbytes, rel=0.01)


def sleeper(seconds: float) -> measure.Segment:
    return measure.Segment(lambda: time.sleep(seconds))


def broken() -> measure.Segment:
    raise SystemExit(1)


@pytest.mark.slow
def test_processes_of_their_own_take_turns_and_tell_their_memory() -> None:
    given = {"quick": (0.01,), "slow": (0.05,)}
    alternatives = {n: measure.Alternative(sleeper, a, work=2.0) for n, a in given.items()}
    quick, slow = measure.interleave_apart(alternatives, turns=3)
    assert [len(found.seconds) for found in (quick, slow)] == [3, 3]
    assert min(quick.seconds) >= 0.01
    assert min(slow.seconds) >= 0.05
    assert quick.work == 2.0
    assert quick.setup_seconds is not None
    assert quick.peak_bytes is not None
    assert 2**26 < quick.peak_bytes < 2**31


@pytest.mark.slow
def test_a_process_that_ends_early_is_named() -> None:
    with pytest.raises(RuntimeError, match="'broken' ended early"):
        measure.interleave_apart({"broken": measure.Alternative(broken)}, turns=1)


def test_a_report_survives_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.publish(report(), tmp_path / "deep" / "step.json")
    assert results.read_report(tmp_path / "deep" / "step.json") == report()
    assert "fast is 2.50 times as quick as slow" in capsys.readouterr().out


def test_a_command_keeps_no_place_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/me/step.py", "--json", "/home/me/out.json"])
    assert measure.typed_command() == "python benchmarks/step.py --json out.json"


def test_the_page_shows_goals_spread_and_what_is_absent() -> None:
    other = replace(report(), benchmark="end-to-end", title="All of it")
    found = results.report_of(json.loads(json.dumps(asdict(report()))))
    text = "\n".join(performance_page.page([found, other]))
    assert "| The step | a task | AVX2 | times as quick | ≥ 2 | ≥ 3 | 2.5 | met |" in text
    assert "| The step | a task | AVX2 | seconds | ≤ 1 |  | 2 | **missed** |" in text
    assert "| fast | 2,000 | 1,000 | 2,000 | 3 | 5 |" in text
    assert "| fast | slow | 2.50 | 2.50 | 2.00 | 6.00 |" in text
    assert "kornia absent" in text
    assert text.index("## All of it") < text.index("## The step")


def test_the_page_in_the_documents_is_that_of_its_records() -> None:
    files = sorted(performance_page.PAGE.with_suffix("").glob("*.json"))
    page = "\n".join(performance_page.page([results.read_report(file) for file in files])) + "\n"
    assert performance_page.PAGE.read_text(encoding="utf-8") == page


@pytest.mark.parametrize("method", ordinary.KINDS)
def test_the_ordinary_loss_is_the_same_function(method: str) -> None:
    kind = ordinary.KINDS[method]
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(20, 8, generator=draw, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 5, (20,), generator=draw)
    prototypes = torch.randn(5, 8, generator=draw, dtype=torch.float64) if kind.prototypes else None
    counts = torch.tensor([50, 20, 10, 4, 1])
    plain = ordinary.materialised_loss(features, labels, prototypes, counts.double(), kind)
    ours = contrastive_loss(
        features,
        labels,
        prototypes,
        class_counts=counts if kind.rebalance else None,
        class_average=kind.average,
        num_classes=5,
    )
    torch.testing.assert_close(plain, ours)
    torch.testing.assert_close(*(torch.autograd.grad(x, features)[0] for x in (plain, ours)))


def ordinary_task(counts: tuple[int, ...], **changes: int) -> ordinary.Task:
    data = end_to_end.photographs(counts)
    task = ordinary.Task(
        pictures=np.asarray(data.train.inputs),
        labels=data.train.labels,
        statistics=((0.5,) * 3, (0.25,) * 3),
        num_classes=len(counts),
        method="bcl-rcl",
        steps=1,
        batch_size=4,
        threads=torch.get_num_threads(),
        workers=0,
        warm_ups=1,
        device="cpu",
    )
    return replace(task, **changes)


def test_the_ordinary_loop_takes_a_step() -> None:
    task = ordinary_task((8, 4))
    pictures = ordinary.Pictures(task.pictures, task.labels, task.statistics, 0)
    loop = ordinary.make_loop(ordinary.endless(pictures, task), task)
    before = loop.network.classifier.weight.detach().clone()
    ordinary.segment(loop, pictures, task).run()
    assert not torch.equal(before, loop.network.classifier.weight)
    assert pictures.made.sum() == 2 * task.batch_size
    views, _ = pictures[0]
    assert [tuple(view.shape) for view in views] == 3 * [(3, 32, 32)]


def test_the_ordinary_loop_learns_and_its_predictions_are_in_order() -> None:
    task = ordinary_task((40, 40), batch_size=16, depth=8)
    colours = np.array([[200, 40, 40], [40, 40, 200]], np.uint8)  # a red class and a blue one
    task = replace(task, pictures=colours[task.labels][:, None, None].repeat(32, 1).repeat(32, 2))
    network = ordinary.train(task, 40 * [0.05])
    predicted = ordinary.predictions(network, task.pictures, task)
    assert (predicted == task.labels).mean() > 0.8
    backwards = ordinary.predictions(network, task.pictures[::-1].copy(), task)
    np.testing.assert_array_equal(backwards, predicted[::-1])


def test_the_accuracies_of_two_paths_are_compared_seed_by_seed(tmp_path: Path, monkeypatch) -> None:
    ended = {"fast": (0.5, 0.6, 0.7), "ordinary": (0.4, 0.6, 0.65)}
    found = {
        (path, seed): accuracy.Found(value, "0123456789abcdef")
        for path, values in ended.items()
        for seed, value in enumerate(values)
    }
    monkeypatch.setattr(accuracy, "read", lambda path, seed, asked: found[path, seed])
    task = {"data": "cifar10-lt", "method": "rcl", "backbone": "resnet8", "epochs": 5, "seeds": 3}
    notes = accuracy.compare(SimpleNamespace(out=tmp_path, paths=tuple(ended), **task)).notes
    assert notes[0] == "The runs are of revision 0123456789ab."
    assert "fast: 60.0 ± 10.0 (50.0, 60.0, 70.0)" in notes
    assert "fast less ordinary, seed by seed: 5.0 ± 5.0 (10.0, 0.0, 5.0)" in notes[-1]
    assert "holds zero" in notes[-1]


def test_a_whole_run_is_timed_after_its_opening_steps() -> None:
    data = end_to_end.photographs((8, 4))
    options = {"method": "rcl", "batch_size": 4, "device": "cpu", "precision": "fp32"}
    options |= {"compile": "off", "autotune": False}
    with pytest.raises(SystemExit, match=r"gives 6 steps.*at least --epochs 3"):
        end_to_end.whole_run(data, SimpleNamespace(epochs=2, **options))
    case = end_to_end.whole_run(data, SimpleNamespace(epochs=3, **options))
    assert "end of step 8 of 9" in case.notes[0]
    assert case.timings[0].work == 3 * 4


@pytest.mark.slow
def test_a_run_beside_others_is_timed_by_its_log(tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    beside.write_archive(beside.prepare(end_to_end.photographs((60, 20))), data)
    with beside.busy(1):
        seconds = beside.train(data, tmp_path / "run", "asleep", 1)
    lines = beside.read_lines(tmp_path / "run" / "log.jsonl")
    assert len(lines) == beside.EPOCHS
    assert seconds == lines[-1]["seconds"] > 0


def test_the_step_alone_is_one_that_trains() -> None:
    found = step.ready("rcl", 2, decide("cpu", "fp32", torch.get_num_threads(), "off"))
    weight = next(found.model.parameters())
    before = weight.detach().clone()
    total, *terms = found.run().tolist()
    assert len(terms) == 2
    assert min(terms) > 0
    assert total == pytest.approx(sum(terms))
    assert not torch.equal(before, weight)


def test_some_samples_are_a_fixed_draw_repeated_where_there_are_fewer() -> None:
    split = end_to_end.photographs((3, 2)).train
    assert sorted(end_to_end.some(split, 5).index) == [0, 1, 2, 3, 4]
    assert len(end_to_end.some(split, 12)) == 12


def test_stages_are_the_times_between_marks() -> None:
    assert startup.stages([1.0, 1.5, 4.5]) == [0.5, 3.0]


def test_our_numbers_in_the_package_are_those_of_the_records():
    import measured

    from longtail.methods import METHODS
    from longtail.methods.measured import measured as listed

    rows = [row for name in METHODS for row in listed(name)]
    assert sorted(rows, key=repr) == sorted(measured.rows(), key=repr)
    assert rows


def test_half_the_side_averages_two_by_two_pixels():
    inputs = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    half = knobs.halved(Split(inputs, np.arange(3), np.arange(3)))
    means = [
        [p[r : r + 2, c : c + 2].mean((0, 1)) for c in (0, 2, 4)] for p in inputs for r in (0, 2)
    ]
    assert half.inputs.shape == (3, 2, 3, 3)
    assert np.array_equal(half.inputs, np.floor(np.reshape(means, (3, 2, 3, 3)) + 0.5))


@pytest.mark.parametrize("path", sorted(GRIDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_grid_of_ours_states_its_precision_and_so_is_the_same_on_every_machine(path):
    assert as_grid(read_grid(path)).precision in ("bf16", "fp32")


def test_the_pages_of_kept_records_are_what_these_records_give():
    kept = [knobs.read_kept(knobs.KEPT / name) for name in knobs.FOLDERS]
    assert "\n".join(knobs.page(*kept)) + "\n" == knobs.PAGE.read_text(encoding="utf-8")
    assert "\n".join(compression.page()) + "\n" == compression.PAGE.read_text(encoding="utf-8")
    curves = when.page(when.entries_of([when.PAGE.with_suffix("")]))
    assert "\n".join(curves) + "\n" == when.PAGE.read_text(encoding="utf-8")
    for data in knobs.HOLDOUTS:
        assert knobs.tuned_grid(data, kept[0]) == read_grid(knobs.tuned_path(data))
    assert as_grid(compression.grid(compression.KEPT / "search")).precision == "bf16"


def test_a_row_gets_the_setting_that_is_best_on_the_hold_out_whatever_test_says():
    trials = knobs.read_kept(knobs.KEPT / "trials")
    assert knobs.all_tried("cifar10-lt", trials)
    assert not knobs.all_tried("cifar10-lt", [*trials[1:], trials[1]])
    worst = min(knobs.of(trials, "cifar10-lt", "rcl"), key=knobs.on_holdout)
    lucky = replace(worst.metrics.test, balanced_accuracy=1.0)
    good = replace(worst.metrics.holdout, balanced_accuracy=1.0)

    def chosen(metrics):
        changed = [replace(r, metrics=metrics) if r is worst else r for r in trials]
        rows = knobs.tuned_grid("cifar10-lt", changed)["methods"]
        return next(row["set"] for row in rows if row["method"] == "rcl")

    assert chosen(replace(worst.metrics, test=lucky)) == {"la_tau": 1.0}
    assert chosen(replace(worst.metrics, holdout=good)) == knobs.setting(worst)


def test_two_runs_of_a_seed_or_two_settings_make_no_row():
    one, two = knobs.of(knobs.read_kept(knobs.KEPT / "trials"), "cifar10-lt", "rcl")[:2]
    assert knobs.by_seed([one, replace(one, seed=7)]).keys() == {100, 7}
    longer = replace(one, seed=7, settings={**one.settings, "epochs": 16})
    for wrong in ([one, one], [one, replace(two, seed=7)], [one, longer]):
        with pytest.raises(ValueError, match="several runs"):
            knobs.by_seed(wrong)
