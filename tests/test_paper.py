"""The paper's experiments as data, and the page that lays our numbers beside its own."""

import contextlib
import dataclasses
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from longtail.cli import dispatch
from longtail.data import load
from longtail.data.load import Source
from longtail.data.sources.digits import load_digits
from longtail.data.sources.imagenet_lt import load_imagenet_lt
from longtail.errors import DataError, UsageError
from longtail.experiments import kept
from longtail.experiments.job import Task
from longtail.experiments.ledger import Entry, survey
from longtail.experiments.paper import curves, page, show, tables
from longtail.experiments.paper.budgets import BUDGETS, MINUTES, PAPER, SMALL, find_budget, refusal
from longtail.experiments.paper.cells import TABLE1, TABLE2, TABLES, chosen_cells
from longtail.methods import METHODS
from longtail.metrics import summarise
from longtail.record import Record, RunMetrics, hardware, numeric_hash, read_record
from longtail.record.predictions import predictions_of
from longtail.record.provenance import Provenance
from longtail.record.run import BestOnTest
from longtail.request import load_data, plan_run
from longtail.training.finish import summarise_data
from longtail.training.plan import configuration

HOW = {"device": "cpu", "precision": "fp32", "threads": 1}
OUT = Path("runs/paper")

# Typed a second time from the paper's page, column by column.
SECOND_TABLE_1 = {"accuracy": "50.0 51.1 51.9 52.2 52.1", "harmonic": "36.2 39.2 40.2 42.4 41.1"}
SECOND_ROWS_1 = ("logit-adjustment", "scl", "bcl", "rcl", "bcl-rcl")
SECOND_TABLE_2 = {
    "cifar10-lt": "70.4 77.2 80.2 74.6 84.9 78.5 80.5 - 81.4 78.0 81.4 84.3 86.0 86.2",
    "cifar100-lt": "38.5 42.2 43.9 39.9 50.8 41.3 47.1 49.1 49.6 45.8 46.7 51.9 52.2 52.1",
    "imagenet-lt": "41.6 49.8 50.9 - - 50.6 53.5 55.4 54.7 50.6 - 56.2 55.4 56.3",
}
SECOND_ROWS_2 = (
    "ce ldam-drw logit-adjustment cb-focal balms crt dro-lt ride ace elm hybrid-sc bcl rcl bcl-rcl"
)


@pytest.fixture(autouse=True)
def _digits_for_cifar(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Both CIFARs are handwritten digits here, and ImageNet-LT is nowhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGTAIL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    sources = {
        name: Source(lambda name=name: dataclasses.replace(load_digits(), name=name), 20)
        for name in ("cifar10-lt", "cifar100-lt")
    }
    for name, source in sources.items():
        monkeypatch.setitem(load.SOURCES, name, source)


def planned(table=TABLE1, budget=SMALL, seeds=2, **chosen) -> tables.Planned:
    cells = chosen_cells(table, **chosen)
    return tables.plan_cells(cells, budget, range(seeds), OUT, HOW)


def finished(task: Task, wrong: float, folder: Path | None = None, **changes: object) -> Path:
    """A run's folder as training leaves it, but for the weights, with a share of wrong answers."""
    folder, request = folder or task.folder, task.job.request
    dataset = load_data(request)
    plan = plan_run(request, dataset)
    assert dataset.test is not None
    labels = dataset.test.labels
    draw = np.random.RandomState(zlib.crc32(f"{request.method} {request.seed}".encode()))
    predicted = np.where(draw.rand(len(labels)) < wrong, (labels + 1) % 10, labels)
    folder.mkdir(parents=True)
    configured = configuration(plan, dataset, request.holdout)
    (folder / "config.json").write_text(json.dumps(configured))
    logits = np.eye(10, dtype=np.float32)[predicted]
    predictions_of(dataset.test.index, labels, logits).write(folder / "predictions-test.npz")
    metrics = summarise(labels, predicted, dataset.counts)
    same = {f.name: getattr(metrics, f.name) for f in dataclasses.fields(BestOnTest)[1:]}
    values = {
        "method": request.method,
        "recipe": request.recipe,
        "knobs": plan.resolved.knobs,
        "settings": json.loads(json.dumps(dataclasses.asdict(plan.resolved.settings))),
        "backbone": plan.backbone,
        "seed": plan.seed,
        "data": summarise_data(dataset, plan.statistics, None),
        "decisions": plan.decisions,
        "provenance": provenance(),
        "metrics": RunMetrics(test=metrics, holdout=None),
        "selected_epoch": 16,
        "selection": "last epoch",
        "best_on_test": BestOnTest(epoch=2, **same),
        "command": task.command,
    }
    Record(**{**values, **changes}).write(folder / "record.json")
    lines = [
        {"epoch": e, "step": e, "split": "test", "accuracy": {"balanced_accuracy": e / 20}}
        for e in range(2, 17, 2)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def provenance(**changes: object) -> Provenance:
    values = {
        "source_hash": "s",
        "numeric_hash": numeric_hash(),
        "revision": "abcdef0123",
        "versions": {"torch": "2"},
        "hardware": hardware(),
        "seconds": 60.0,
        "images_per_second": 1.0,
        "parameters": 1,
        "steps": 1,
    }
    return Provenance(**{**values, **changes})


def done(tasks: list[Task], wrong: dict[str, float]) -> list[Entry]:
    """Entries of the tasks, finished with each row's share of wrong answers."""
    for task in tasks:
        if task.job.row in wrong:
            finished(task, wrong[task.job.row])
    return survey(tasks, OUT)


def asked(table=TABLE1, budget=SMALL, seeds=2, **chosen) -> page.Asked:
    return page.Asked(table, budget, chosen_cells(table, **chosen), seeds)


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """What `longtail WORDS` leaves with, and what it prints."""
    code: object = 0
    with contextlib.suppress(SystemExit):
        try:
            dispatch(list(words))
        except SystemExit as left:
            code = left.code
    return int(str(code or 0)), capsys.readouterr().out


def test_table_1_has_the_papers_numbers():
    for name, column in SECOND_TABLE_1.items():
        assert [getattr(c.printed, name) for c in TABLE1.cells] == [*map(float, column.split())]
    assert [c.method for c in TABLE1.cells] == list(SECOND_ROWS_1)


@pytest.mark.parametrize("data", SECOND_TABLE_2)
def test_table_2_has_the_papers_numbers_and_no_cell_that_it_leaves_empty(data):
    printed = dict(zip(SECOND_ROWS_2.split(), SECOND_TABLE_2[data].split(), strict=True))
    wanted = {method: float(number) for method, number in printed.items() if number != "-"}
    found = {c.method: c.printed.accuracy for c in chosen_cells(TABLE2, data=[data])}
    assert found == wanted
    assert list(found) == list(wanted)


def test_what_the_methods_say_the_paper_prints_is_what_the_table_has():
    ours = {c.data: c.printed.accuracy for c in TABLE2.cells if c.method == "rcl"}
    published = METHODS["rcl"].published
    assert ours == {name.removesuffix("-if100"): value for name, value in published.items()}


@pytest.mark.parametrize("table", TABLES.values(), ids=str)
def test_rows_that_are_compared_are_rows_of_the_table(table):
    labels = {cell.label for cell in table.cells}
    assert {table.baseline, *(label for pair in table.questions for label in pair)} <= labels
    assert {cell.method for cell in table.cells} <= METHODS.keys()


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=lambda budget: budget.name)
@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_cell_on_small_pictures_can_be_planned_under_every_budget(table, budget):
    small = [data for data in table.datasets if data != "imagenet-lt"]
    tasks, refused = planned(table, budget, seeds=1, data=small)
    assert not refused
    assert len(tasks) == len(chosen_cells(table, data=small))
    settings = dict(zip(tasks[0].words[2::2], tasks[0].words[3::2], strict=False))
    wanted = {"paper": ("resnet32", "200", "256"), "small": ("resnet8", "16", "64")}
    wanted["minutes"] = ("resnet8", "8", "64")
    keys = ("--backbone", "--epochs", "--batch-size")
    assert tuple(settings[key] for key in keys) == wanted[budget.name]
    assert "lr=0.2" in tasks[0].words


def test_seeds_are_outermost_and_rows_in_the_papers_order():
    tasks, _ = planned()
    labels = [cell.label for cell in TABLE1.cells]
    assert [(t.job.request.seed, t.job.row) for t in tasks] == [
        (seed, label) for seed in range(2) for label in labels
    ]


def test_a_cell_of_both_tables_is_one_run():
    one = planned(cells=["rcl/cifar100-lt"], seeds=1).tasks[0]
    other = planned(TABLE2, cells=["rcl/cifar100-lt"], seeds=1).tasks[0]
    assert one.address == other.address
    assert one.folder == other.folder


def test_the_papers_recipe_takes_each_methods_own_schedule_under_the_papers_budget():
    cells = chosen_cells(TABLE2, cells=["ldam-drw/cifar10-lt"])
    tasks, _ = tables.plan_cells(cells, PAPER, [0], OUT, {**HOW, "recipe": "paper"})
    words = tasks[0].words
    assert words[words.index("--batch-size") + 1] == "128"
    assert "lr=0.1" in words


@pytest.mark.parametrize(
    ("cell", "recipe", "strength"),
    [
        ("rcl/cifar10-lt", "common", "la_tau=1.3"),
        ("bcl/cifar10-lt", "common", "la_tau=1.3"),
        ("logit-adjustment/cifar10-lt", "common", "la_tau=1.3"),
        ("rcl/cifar10-lt", "paper", "la_tau=1.3"),
        ("bcl/cifar10-lt", "paper", "la_tau=1.0"),
        ("elm/cifar10-lt", "common", "la_tau=1.0"),
        ("ce/cifar10-lt", "common", None),
    ],
)
def test_the_prior_of_rcls_rows_is_as_strong_as_in_its_paper(cell, recipe, strength):
    cells = chosen_cells(TABLE2, cells=[cell])
    tasks, _ = tables.plan_cells(cells, PAPER, [0], OUT, {**HOW, "recipe": recipe})
    said = [word for word in tasks[0].words if word.startswith("la_tau=")]
    assert said == ([strength] if strength else [])


def test_an_unknown_cell_names_the_nearest():
    with pytest.raises(UsageError, match="'rcl/cifar100-lt'"):
        chosen_cells(TABLE1, cells=["rlc/cifar100-lt"])
    with pytest.raises(UsageError, match="'cifar100-lt'"):
        chosen_cells(TABLE1, data=["cifar-100-lt"])
    with pytest.raises(UsageError, match="'small'"):
        find_budget("smal")


def test_a_cell_without_data_says_how_to_get_them_and_the_others_are_planned():
    tasks, refused = planned(TABLE2, PAPER, seeds=1, cells=["rcl/cifar10-lt", "rcl/imagenet-lt"])
    assert [task.job.group for task in tasks] == ["cifar10-lt"]
    ((cell, why),) = refused
    assert cell.name == "rcl/imagenet-lt"
    assert "ILSVRC 2012" in why
    assert "imagenet-lt/{train,val,test}/CLASS" in why


def test_what_the_library_cannot_train_is_said_and_not_tried():
    reasons = {c.method: refusal(c, PAPER) for c in chosen_cells(TABLE2, data=["imagenet-lt"])}
    assert {method for method, why in reasons.items() if why} == {"ride", "ace"}
    assert all(refusal(c, MINUTES) for c in chosen_cells(TABLE2, data=["imagenet-lt"]))


def test_an_imagenet_of_other_classes_is_refused_before_it_is_decoded(tmp_path):
    for split in ("train", "val", "test"):
        (tmp_path / "imagenet-lt" / split / "dog").mkdir(parents=True)
    with pytest.raises(DataError, match="1 class folders instead of 1,000"):
        load_imagenet_lt(tmp_path)


def test_differences_are_ours_less_the_papers_in_points():
    entries = done(planned(seeds=1).tasks, {"LC": 0.5})
    row, other = tables.rows_for(TABLE1, TABLE1.cells, entries)[:2]
    metrics = read_record(entries[0].folder / "record.json").metrics.test
    assert row.less_printed("balanced_accuracy") == pytest.approx(
        100 * metrics.balanced_accuracy - 50.0
    )
    assert row.less_printed("harmonic_mean_accuracy") == pytest.approx(
        100 * metrics.harmonic_mean_accuracy - 36.2
    )
    assert other.row is None
    assert other.less_printed("balanced_accuracy") is None


def test_nothing_is_ranked_below_three_seeds_and_a_plain_difference_is_from_there_on():
    wrong = {"LC": 0.5, "LC+SCL+BCL": 0.5, "LC+SCL+RCL": 0.1}
    entries = done(planned(seeds=3).tasks, wrong)
    two = [entry for entry in entries if entry.task.job.request.seed < 2]
    for seen, expected in ((two, "2 seeds: not ranked"), (entries, "better")):
        rows = tables.rows_for(TABLE1, TABLE1.cells, seen)
        compared = "\n".join(page.comparison(asked(), rows))
        claimed = "\n".join(page.claims(asked(), rows))
        assert ("better" in compared) == ("better" in claimed) == (expected == "better")
        assert f"| {expected} |" in claimed
        assert "worse" not in compared + claimed


def test_claims_are_corrected_over_all_lines_of_their_table():
    entries = done(planned(seeds=3).tasks, dict.fromkeys([c.label for c in TABLE1.cells], 0.4))
    found = list(tables.answers(TABLE1, tables.rows_for(TABLE1, TABLE1.cells, entries)))
    assert len(found) == 2 * len(TABLE1.questions)
    smallest = min(answer.paired.p for answer in found if answer.paired.p is not None)
    tested = sum(answer.paired.p is not None for answer in found)
    adjusted = min(answer.adjusted for answer in found if answer.adjusted is not None)
    assert adjusted == pytest.approx(min(1, smallest * tested))


def test_the_page_shows_paper_and_ours_and_how_to_have_each_cell_again(tmp_path):
    entries = done(planned().tasks, {"LC": 0.5, "LC+SCL+RCL": 0.2})
    page.write_page(Path("paper.md"), asked(), entries)
    text = Path("paper.md").read_text()
    rows = {line.split(" (")[0]: line for line in text.splitlines() if "(`" in line}
    assert rows["| LC"].startswith("| LC (`logit-adjustment`) | 50.0 | ")
    assert rows["| LC+SCL"].startswith("| LC+SCL (`scl`) | 51.1 | – | – | 39.2 | – | – |")
    for cell in TABLE1.cells:
        assert (
            f"    longtail paper table1 --budget small --seeds 2 --cell {cell.name}\n    longtail "
            f"train {cell.data} --method {cell.method} " in text
        )
    assert "--out runs/paper/cifar100-lt" in text
    assert str(tmp_path) not in text
    assert "no measure of a method here" in text
    assert "small-budget.md" in text
    assert "Revision abcdef0, numeric sources" in text
    assert Path("paper-table1-small-cifar100-lt.svg").read_bytes().startswith(b"<?xml")


def test_a_run_of_another_revision_is_named_on_the_page():
    tasks = planned(seeds=1).tasks
    finished(tasks[0], 0.5)
    old = provenance(revision="0123456789", numeric_hash=None)
    finished(tasks[1], 0.5, provenance=old)
    assert survey(tasks, OUT)[1].state == "waiting"  # though it lies in the task's own folder
    rows = tables.rows_for(TABLE1, TABLE1.cells, survey(tasks, OUT, accept_source=True))
    text = "\n".join(page.provenance(rows))
    assert "several versions of the code are mixed" in text
    assert "Revision 0123456, numeric sources not recorded: LC+SCL seed 0." in text


def test_a_run_of_another_revision_elsewhere_serves_only_when_it_is_accepted():
    task = planned(seeds=1).tasks[0]
    finished(task, 0.5, Path("old/run"), provenance=provenance(numeric_hash="other"))
    (entry,) = survey([task], OUT, also=[Path("old")])
    assert entry.state == "waiting"
    assert "--accept-source" in entry.note
    (entry,) = survey([task], OUT, also=[Path("old")], accept_source=True)
    assert entry.state == "done"


def test_sections_of_a_page_are_replaced_alone_and_in_order():
    first = page.with_section("", "table2-small", ["two"])
    both = page.with_section(first, "table1-small", ["one"])
    again = page.with_section(both, "table2-small", ["new", "two"])
    assert both.index("one") < both.index("two")
    assert again == both.replace("two\n", "new\ntwo\n")
    full = page.with_section(again, "table1-paper", ["full"])
    assert full.index("full") < full.index("one")
    full = page.with_section(full, "table2-paper", ["second"])
    assert full.index("full") < full.index("second") < full.index("one")


def test_a_page_is_the_same_from_what_is_kept_as_from_the_runs():
    tasks = planned().tasks
    entries = done(tasks, {"LC": 0.5, "LC+SCL+RCL": 0.2})
    page.write_page(Path("first.md"), asked(), entries)
    first = Path("first.md").read_bytes()
    svg = Path("first-table1-small-cifar100-lt.svg").read_bytes()
    assert kept.keep(entries, Path("docs/paper")) == []
    OUT.rename("gone")
    again = survey(tasks, OUT, also=[Path("docs/paper")])
    assert sum(entry.state == "done" for entry in again) == 4
    page.write_page(Path("first.md"), asked(), again)
    assert Path("first.md").read_bytes() == first
    assert Path("first-table1-small-cifar100-lt.svg").read_bytes() == svg
    sizes = [path.stat().st_size for path in Path("docs/paper").glob("*/predictions-test.npz")]
    assert len(sizes) == 4
    assert max(sizes) < 40_000


def test_a_kept_run_keeps_its_name_when_the_code_changes():
    task = planned(seeds=1).tasks[0]
    moved = dataclasses.replace(task, folder=Path("runs/paper/elsewhere"))
    assert kept.kept_name(task) == kept.kept_name(moved)
    other = planned(budget=MINUTES, seeds=1).tasks[0]
    assert kept.kept_name(task) != kept.kept_name(other)


@pytest.mark.parametrize("place", ["/home/me/run", r"C:\runs\a"])
def test_a_record_that_names_a_place_of_its_machine_is_not_kept(place):
    first, second = planned(seeds=1, cells=["rcl/cifar100-lt", "bcl/cifar100-lt"]).tasks
    finished(first, 0.5, command=f"longtail train cifar100-lt --out '{place}'")
    finished(second, 0.5)
    (problem,) = kept.keep(survey([first, second], OUT), Path("kept"))
    assert first.folder.name in problem
    assert place not in problem
    assert [path.name for path in Path("kept").iterdir()] == [kept.kept_name(second)]


def test_the_last_slope_is_that_of_the_last_quarter():
    values = {epoch: 0.0 for epoch in range(1, 12)} | {12: 1.0, 13: 3.0, 14: 5.0, 15: 7.0, 16: 9.0}
    assert curves.last_slope(values) == pytest.approx(2.0)
    assert curves.last_slope({16: 1.0}) is None
    assert curves.last_slope({}) is None


def test_a_mean_curve_is_over_the_epochs_that_all_runs_have():
    assert curves.mean_curve([{2: 1.0, 4: 2.0}, {4: 4.0, 6: 9.0}]) == {4: 3.0}
    assert curves.mean_curve([]) == {}


def test_the_command_lists_what_is_done_and_what_cannot_be(capsys):
    finished(planned(seeds=1).tasks[3], 0.2)
    how = ("--seeds", "1", "--device", "cpu", "--precision", "fp32", "--threads", "1")
    code, text = typed(capsys, "paper", "table1", *how, "--dry-run")
    assert code == 0
    assert text.count("waiting") == 4
    assert "1 of 5 runs done." in text
    code, text = typed(capsys, "paper", "table2", *how, "--budget", "paper", "--dry-run")
    assert code == 0
    assert "NOT TRAINED ce/imagenet-lt, ldam-drw/imagenet-lt, " in text
    assert "NOT TRAINED ride/imagenet-lt, ace/imagenet-lt:" in text
    assert "ILSVRC 2012" in text


def test_the_command_writes_the_page_and_keeps_the_runs_without_training(capsys):
    finished(planned(seeds=1).tasks[3], 0.2)
    how = ("--seeds", "1", "--device", "cpu", "--precision", "fp32", "--threads", "1")
    code, text = typed(
        capsys, "paper", "table1", *how, "--write", "docs/paper.md", "--keep", "docs/paper"
    )
    assert code == 0
    assert "1 runs kept in docs/paper." in text
    assert "| LC+SCL+RCL (`rcl`) | 52.2 | " in Path("docs/paper.md").read_text()


def test_a_page_never_prints_an_absolute_folder():
    with pytest.raises(UsageError, match="relative"):
        show.check_page(Path("/somewhere/runs"), [])


def test_a_part_of_a_table_never_takes_the_place_of_the_whole_on_a_page():
    with pytest.raises(UsageError, match="leave out rcl/cifar100-lt"):
        show.check_page(OUT, ["rcl/cifar100-lt"])
    show.check_page(OUT, [])


def test_each_methods_own_recipe_has_a_section_and_a_command_of_its_own():
    own = dataclasses.replace(asked(), recipe="paper", precision="bf16")
    assert own.key != asked().key
    assert own.command("--cell", "x/y") == (
        "longtail paper table1 --budget small --seeds 2 --recipe paper --precision bf16 --cell x/y"
    )


def test_cells_that_a_budget_leaves_out_do_not_fail_the_rest():
    cells = ["rcl/cifar10-lt", "rcl/imagenet-lt"]
    small = planned(TABLE2, SMALL, seeds=1, cells=cells)
    whole = planned(TABLE2, PAPER, seeds=1, cells=cells)
    for found, budget, expected in ((small, SMALL, True), (whole, PAPER, False)):
        entries = done(found.tasks, {"SCL+RCL": 0.2})
        bench = show.Bench(tuple(entries), ())
        assert show.complete(asked(TABLE2, budget), found, bench) == expected
