"""The loop learns, selects on nothing but the hold-out, and says when it diverges."""

import dataclasses
import json
import multiprocessing
import os
from threading import Thread

import numpy as np
import pytest
import torch

from longtail.data.batches import measure_normalisation
from longtail.data.load import load_dataset
from longtail.errors import DataError, NumericError, UsageError
from longtail.evaluation import autocast, measure, score, thumbnails
from longtail.methods import METHODS
from longtail.methods.resolve import resolve
from longtail.optim import learning_rate
from longtail.recipe import DataInfo
from longtail.record import read_lines
from longtail.training import decisions, loop, memory
from longtail.training import epoch as epoch_module
from longtail.training.checkpoint import load_checkpoint
from longtail.training.decisions import decide
from longtail.training.loop import fit, initial_state
from longtail.training.memory import reused_memory
from longtail.training.plan import make_plan
from longtail.training.progress import show_progress
from tiny import bits_of, fresh, pictures, tiny_dataset, tiny_plan, without_times


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def trained(dataset, plan, folder=None, **options):
    if folder is not None:
        folder.mkdir()
    return fit(plan, dataset, fresh(plan, dataset), folder=folder, **options)


@pytest.mark.parametrize("name", METHODS)
def test_every_methods_loss_goes_down_in_its_first_stage(tmp_path, name):
    dataset = tiny_dataset(kind="vector", holdout=True)
    plan = tiny_plan(dataset, name, epochs=16)
    trained(dataset, plan, tmp_path / "run", checkpoint_seconds=1e9)
    lines = read_lines(tmp_path / "run" / "log.jsonl")
    assert len(lines) == 16
    stages = plan.resolved.recipe.stages
    assert {line["stage"] for line in lines} == set(range(1, len(stages) + 1))
    first = [line["loss"] for line in lines if line["stage"] == 1]
    assert first[-1] < first[0] - 0.1 * abs(first[0])
    for line in lines:
        assert line["loss"] == pytest.approx(sum(line["terms"].values()), rel=1e-5, abs=1e-6)
        assert line["terms"].keys() == {t.name for t in stages[line["stage"] - 1].terms}


def test_cross_entropy_learns_the_digits_in_a_few_epochs():
    dataset = load_dataset("digits-lt")
    resolved = resolve("ce", DataInfo(dataset.counts), epochs=10, batch_size=64)
    plan = make_plan(
        dataset,
        resolved,
        backbone="resnet8-w4",
        seed=0,
        eval_every=10,
        decisions=decide("cpu", "fp32", 1, "off"),
    )
    state = fit(plan, dataset, initial_state(plan, dataset))
    assert state.best_on_test.balanced_accuracy > 0.3  # chance is 0.1


def test_the_last_epoch_is_the_default_and_the_best_on_test_is_kept_apart():
    dataset = tiny_dataset()
    plan = tiny_plan(dataset, "ce", epochs=4)
    state = trained(dataset, plan)
    assert (state.selected_epoch, state.selected_model) == (None, {})
    assert 1 <= state.best_on_test.epoch <= 4


def scored(values: list[float], monkeypatch) -> None:
    """Let the live balanced accuracies be `values`."""
    remaining = iter(values)
    real = epoch_module.measure

    def measured(*args):
        return dataclasses.replace(real(*args), balanced_accuracy=next(remaining))

    monkeypatch.setattr(epoch_module, "measure", measured)


def test_a_hold_out_selects_its_best_epoch_the_first_of_equals(monkeypatch):
    dataset = tiny_dataset(holdout=True)
    plan = tiny_plan(dataset, "ce", epochs=6)
    scored([0.2, 0.7, 0.4, 0.7, 0.6, 0.1], monkeypatch)
    seen = []
    real = epoch_module._select

    def select(state, metrics, epoch):
        real(state, metrics, epoch)
        seen.append({k: v.clone() for k, v in state.model.state_dict().items()})

    monkeypatch.setattr(epoch_module, "_select", select)
    state = trained(dataset, plan)
    assert (state.selected_epoch, state.selected_score) == (2, 0.7)
    assert all(torch.equal(state.selected_model[k], seen[1][k]) for k in seen[1])
    assert not torch.equal(state.selected_model["classifier.weight"], seen[5]["classifier.weight"])
    assert state.best_on_test is None  # test was never looked at


def test_the_best_on_test_is_the_first_of_equals(monkeypatch):
    scored([0.2, 0.7, 0.7], monkeypatch)
    dataset = tiny_dataset()
    state = trained(dataset, tiny_plan(dataset, "ce"))
    assert (state.best_on_test.epoch, state.best_on_test.balanced_accuracy) == (2, 0.7)


def test_how_a_run_is_watched_changes_no_weight(tmp_path, capsys):
    dataset = tiny_dataset()
    plain = trained(dataset, tiny_plan(dataset, "bcl", eval_every=3))
    watched = trained(
        dataset,
        tiny_plan(dataset, "bcl", eval_every=1),
        tmp_path / "run",
        checkpoint_seconds=0,
        progress=True,
    )
    assert bits_of(watched) == bits_of(plain)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in shown] == [["epoch", f"{n}/3"] for n in (1, 2, 3)]
    assert "test: balanced" in shown[-1]


def test_one_and_two_threads_draw_the_same_and_differ_by_rounding_only():
    dataset = tiny_dataset()
    one = trained(dataset, tiny_plan(dataset, "bcl", epochs=1))
    torch.set_num_threads(2)
    try:
        two = trained(dataset, tiny_plan(dataset, "bcl", epochs=1))
    finally:
        torch.set_num_threads(1)
    for name, value in one.model.state_dict().items():
        assert torch.allclose(value, two.model.state_dict()[name], atol=1e-3), name


def test_two_runs_of_a_seed_are_equal_and_of_two_seeds_are_not():
    dataset = tiny_dataset()
    one, same = (trained(dataset, tiny_plan(dataset, epochs=1)) for _ in range(2))
    torch.manual_seed(123)
    again = trained(dataset, tiny_plan(dataset, epochs=1))
    other = trained(dataset, tiny_plan(dataset, epochs=1, seed=1))
    assert bits_of(one) == bits_of(same) == bits_of(again)
    assert bits_of(one) != bits_of(other)


def test_the_log_says_what_was_done(tmp_path):
    dataset = tiny_dataset(holdout=True)
    plan = tiny_plan(dataset, "bcl", eval_every=2)
    trained(dataset, plan, tmp_path / "run")
    lines = read_lines(tmp_path / "run" / "log.jsonl")
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 4), (2, 8), (3, 12)]
    assert ["accuracy" in line for line in lines] == [False, True, True]
    assert {line["split"] for line in lines if "split" in line} == {"holdout"}
    for line in lines:
        assert line["lr"] == learning_rate(plan.resolved.settings, line["step"] - 1, 12)
    assert len(without_times(lines)[0]) == len(lines[0]) - 2
    assert json.loads(json.dumps(lines)) == lines


@pytest.mark.parametrize("lr", [1e30, 1e12])
def test_a_run_that_diverges_says_so_and_keeps_no_nan(tmp_path, lr):
    dataset = tiny_dataset(kind="vector")
    plan = tiny_plan(dataset, "ce", knobs={"lr": lr, "warmup": 0}, epochs=8)
    with pytest.raises(NumericError, match=r"not finite in epoch \d.*--set lr=") as caught:
        trained(dataset, plan, tmp_path / "run", checkpoint_seconds=0)
    assert caught.value.exit_code == 5
    kept = load_checkpoint(tmp_path / "run" / "checkpoints")
    for name, value in (kept.tensors if kept else {}).items():
        assert torch.isfinite(value).all(), name


def test_weights_that_are_lost_in_the_very_last_step_are_noticed(tmp_path, monkeypatch):
    dataset = tiny_dataset(kind="vector")
    plan = tiny_plan(dataset, "ce", epochs=1)
    real, steps = loop.train_step, iter(range(100))

    def train_step(model, *args, **kwargs):
        losses = real(model, *args, **kwargs)
        if next(steps) == 3:
            next(model.parameters()).data.fill_(torch.nan)
        return losses

    monkeypatch.setattr(loop, "train_step", train_step)
    with pytest.raises(NumericError, match="not finite in epoch 1"):
        trained(dataset, plan, tmp_path / "run", checkpoint_seconds=0)
    assert load_checkpoint(tmp_path / "run" / "checkpoints").state["step"] == 3


def test_a_plan_that_cannot_work_is_refused_before_training():
    dataset = tiny_dataset()
    with pytest.raises(UsageError, match="--eval-every 0"):
        tiny_plan(dataset, "ce", eval_every=0)
    with pytest.raises(UsageError, match="--batch-size 1"):
        tiny_plan(dataset, "ce", batch_size=1)
    single = dataclasses.replace(dataset, train=dataset.train.take(np.array([0])))
    with pytest.raises(DataError, match="at least 2 training samples"):
        tiny_plan(single, "ce")


def test_a_batch_larger_than_the_data_is_all_of_them():
    dataset = tiny_dataset()
    plan = tiny_plan(dataset, "ce", batch_size=1000)
    assert plan.resolved.settings.batch_size == 22
    assert trained(dataset, plan).step == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("abacus", "auto", None, "auto"), "--device abacus is not usable here"),
        (("cuda:99", "auto", None, "auto"), "--device cuda:99 is not usable"),
        (("cpu", "fp8", None, "auto"), "--precision fp8: it is auto, bf16 or fp32"),
        (("cpu", "auto", 0, "auto"), "--threads 0: it must be at least 1"),
    ],
)
def test_what_this_machine_cannot_do_is_refused(arguments, said):
    with pytest.raises(UsageError, match=said):
        decide(*arguments)


def test_what_is_left_to_auto_is_decided():
    decided = decide("cpu", "auto", None, "auto")
    assert decided.precision in ("fp32", "bf16")
    assert decided.threads >= 1
    assert decided.compile is False
    assert decide("cpu", "fp32", 3, "on").compile is True


def test_a_run_is_compiled_where_it_is_long_enough_and_there_is_a_compiler(monkeypatch):
    long, short = {"pixels": 1e12}, {"pixels": 1e6}
    monkeypatch.setattr(decisions.shutil, "which", lambda name: f"/bin/{name}")
    assert decide("cpu", "fp32", 1, "auto", **long).compile
    assert not decide("cpu", "fp32", 1, "auto", **short).compile
    assert not decide("cpu", "fp32", 1, "off", **long).compile
    monkeypatch.setattr(decisions.shutil, "which", lambda name: None)
    assert not decide("cpu", "fp32", 1, "auto", **long).compile
    assert decide("cpu", "fp32", 1, "on", **short).compile  # asked for is asked for


def test_a_run_is_as_long_as_the_pixels_of_all_its_views():
    dataset = tiny_dataset()
    resolved = tiny_plan(dataset, "rcl").resolved
    side = dataset.input_shape[0]
    views = len(dataset.train) * resolved.settings.epochs * 3
    assert decisions.pixels_seen(dataset, resolved) == views * side * side


def page_faults(blocks: int) -> int:
    """Of asking for and freeing a block of 40 MB, after a first one."""
    resource = pytest.importorskip("resource")
    torch.ones(10_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(blocks):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def faults_within_and_after(answers) -> None:
    with reused_memory():
        within = page_faults(20)
    answers.put((within, page_faults(20)))


@pytest.mark.slow
@pytest.mark.skipif(memory._glibc() is None, reason="no glibc")
def test_freed_memory_is_used_again_while_a_run_lasts_and_given_back_afterwards():
    # In a process of its own: what ran before decides what the heap looks like.
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    context.Process(target=faults_within_and_after, args=(answers,)).start()
    within, after = answers.get(timeout=120)
    assert within < after / 4  # one block's at most, once the heap has grown


class Libc:
    """Notes what it is asked for; an old one refuses a large threshold for mapping."""

    def __init__(self, largest: int = 1 << 40) -> None:
        self.largest = largest
        self.set: dict[int, int] = {}
        self.trimmed = 0

    def mallopt(self, parameter: int, value: int) -> int:
        if value > self.largest:
            return 0
        self.set[parameter] = value
        return 1

    def malloc_trim(self, pad: int) -> None:
        self.trimmed += 1


def test_memory_is_handed_back_by_the_last_of_several_runs(monkeypatch):
    libc = Libc()
    monkeypatch.setattr(memory, "_glibc", lambda: libc)
    with reused_memory():
        with reused_memory():
            pass
        assert libc.trimmed == 0
        assert set(libc.set.values()) == {memory._KEEP}
    assert libc.trimmed == 1
    assert set(libc.set.values()) == {memory._USUAL_MMAP, memory._USUAL_TRIM}


def test_a_library_that_refuses_a_large_threshold_gets_its_largest(monkeypatch):
    libc = Libc(largest=memory._USUAL_MMAP)
    monkeypatch.setattr(memory, "_glibc", lambda: libc)
    with reused_memory():
        assert libc.set == {memory._MMAP_THRESHOLD: memory._USUAL_MMAP}


def test_without_glibc_memory_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with reused_memory():
        assert torch.ones(3).sum() == 3


def test_scores_come_in_order_and_leave_the_model_as_it_was():
    dataset = tiny_dataset()
    plan = tiny_plan(dataset)
    model = fresh(plan, dataset).model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    options = {
        "statistics": measure_normalisation(dataset.train),
        "posthoc": None,
        "device": torch.device("cpu"),
        "precision": "fp32",
    }
    many = pictures((400, 200, 100))  # more than one batch
    together = score(model, many, **options)
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert together.logits.shape == (700, 3)
    assert together.embeddings.shape == (700, 4)
    alone = score(model, many.take(np.array([650])), **options)
    assert together.logits[650] == pytest.approx(alone.logits[0], abs=1e-5)
    shifted = score(model, many, **{**options, "posthoc": lambda logits: logits + 7})
    assert shifted.logits == pytest.approx(together.logits + 7, abs=1e-5)
    metrics = measure(together, many, dataset.counts)
    assert metrics.accuracy == (together.logits.argmax(1) == many.labels).mean()


def test_half_precision_in_another_thread_changes_no_bit(generator):
    weight = torch.randn(8, 8, generator=generator).requires_grad_()
    inputs = torch.randn(4, 8, generator=generator)

    def half_precision():
        with autocast(torch.device("cpu"), "bf16"):
            return inputs @ weight

    def gradient(other_runs: int):
        with autocast(torch.device("cpu"), "bf16"):
            once = inputs @ weight
            for _ in range(other_runs):
                other = Thread(target=half_precision)
                other.start()
                other.join()
            twice = once @ weight
        return torch.autograd.grad(twice.float().square().sum(), weight)[0]

    assert torch.equal(gradient(0), gradient(1))


def test_thumbnails_are_small_pictures_of_the_same_thing():
    large = np.repeat(np.arange(3, dtype=np.uint8) * 100, 48 * 48 * 3).reshape(3, 48, 48, 3)
    small = thumbnails(large)
    assert (small.shape, small.dtype) == ((3, 32, 32, 3), np.uint8)
    assert small.reshape(3, -1).min(1).tolist() == [0, 100, 200]
    exact = np.zeros((2, 32, 32, 3), np.uint8)
    assert thumbnails(exact) is exact


def test_a_terminal_gets_a_bar_that_counts_the_steps(monkeypatch):
    dataset = tiny_dataset()
    plan = tiny_plan(dataset, "ce")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with show_progress(True, plan, dataset, 4, 12) as bar:
        bar.advance(100.0)
        assert bar.bar.tasks[0].completed == 5
        line = {"loss": 1.0, "images_per_second": 10.0, "split": "test"}
        accuracy = {"balanced_accuracy": 0.5, "many": None, "medium": 0.25, "few": 0.125}
        bar.report({**line, "accuracy": accuracy})
        assert "balanced 50.0 (many –, medium 25.0, few 12.5)" in bar.bar.tasks[0].fields["summary"]
