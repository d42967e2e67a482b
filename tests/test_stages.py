"""Stages do what a recipe says: what learns, what is held still, what starts anew, how fast."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import UsageError
from longtail.losses import CrossEntropyLoss
from longtail.nn.heads import Heads
from longtail.optim import ParameterGroup
from longtail.optim.settings import Settings
from longtail.recipe import Recipe, Restart, Stage, Term
from longtail.record import read_lines
from longtail.training import epoch as epoch_module
from longtail.training.loop import fit
from longtail.training.stages import phase_at, phases
from tiny import Taken, by_hand, changed, fresh, steps_of, tiny_dataset, tiny_plan

PER_EPOCH = 4
CROSS_ENTROPY = Term("logit", 1.0, CrossEntropyLoss())
SLOW = Restart(0.01, "cosine", warmup=0.5, weight_decay=0.02)


def stage(share: float, **changes: object) -> Stage:
    return Stage((CROSS_ENTROPY,), share=share, **changes)


def hand_made(*stages: Stage, epochs: int = 6, kind: str = "vector", seed: int = 0, **recipe):
    """A tiny dataset and the plan to train it in these stages."""
    dataset = tiny_dataset(kind=kind)
    knobs = {"lr": 0.1, "milestones": (0.5,), "warmup": 0.25, "weight_decay": 0.01}
    plan = tiny_plan(dataset, "ce", epochs=epochs, knobs=knobs, seed=seed)
    heads = recipe.pop("heads", Heads())
    return by_hand(plan, Recipe(("strong",), heads, stages, **recipe)), dataset


def steps_in(*stages: Stage, **options) -> list[Taken]:
    return steps_of(*hand_made(*stages, **options))


def learnt(steps: list[Taken]) -> set[str]:
    """What is no longer what it was before the first of the steps."""
    return changed(steps[0].before, steps[-1].after)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5), st.integers(0, 300))
def test_stages_cover_the_run_in_order_with_an_epoch_each_at_least(weights, more):
    epochs = len(weights) + more
    shares = [weight / sum(weights) for weight in weights]
    laid_out = phases([stage(share) for share in shares], Settings(epochs=epochs))
    assert [phase.number for phase in laid_out] == list(range(len(shares)))
    assert laid_out[0].first == 0
    assert laid_out[-1].end == epochs
    for one, following in itertools.pairwise(laid_out):
        assert one.end == following.first
    assert all(phase.end > phase.first for phase in laid_out)
    assert [phase_at(laid_out, e).number for e in range(epochs)] == [
        phase.number for phase in laid_out for _ in range(phase.first, phase.end)
    ]


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_whole_numbers_of_epochs_are_kept(lengths):
    total = sum(lengths)
    laid_out = phases([stage(n / total) for n in lengths], Settings(epochs=total))
    assert [phase.end - phase.first for phase in laid_out] == lengths


@pytest.mark.parametrize(
    ("shares", "epochs", "ends"),
    [
        ((0.98, 0.01, 0.01), 3, [1, 2, 3]),
        ((0.98, 0.01, 0.01), 10, [8, 9, 10]),
        ((0.01, 0.01, 0.98), 10, [1, 2, 10]),
        ((0.5, 0.5), 3, [2, 3]),
        ((1.0,), 1, [1]),
    ],
)
def test_short_stages_are_given_an_epoch(shares, epochs, ends):
    laid_out = phases([stage(share) for share in shares], Settings(epochs=epochs))
    assert [phase.end for phase in laid_out] == ends


def test_fewer_epochs_than_stages_are_refused_with_what_to_type():
    with pytest.raises(UsageError, match=r"epochs is 2, .* 3 stages .*--epochs 3 or more"):
        phases([stage(1 / 3)] * 3, Settings(epochs=2))
    with pytest.raises(UsageError, match="--epochs 3 or more"):
        tiny_plan(tiny_dataset(), "dro-lt", epochs=2)


def test_a_schedule_runs_on_until_a_stage_restarts_it():
    run = Settings(epochs=10, lr=0.1, weight_decay=0.3)
    stages = (stage(0.3), stage(0.2), stage(0.3, restart=SLOW), stage(0.2))
    laid_out = phases(stages, run)
    assert [(p.schedule_first, p.schedule_end) for p in laid_out] == [(0, 5)] * 2 + [(5, 10)] * 2
    assert [p.settings for p in laid_out[:2]] == [run] * 2
    own = dataclasses.replace(run, **dataclasses.asdict(SLOW))
    assert [p.settings for p in laid_out[2:]] == [own] * 2
    kept = dataclasses.replace(SLOW, weight_decay=None)
    (again,) = phases((stage(1.0, restart=kept),), run)
    assert again.settings.weight_decay == 0.3


def stepped_rate(step: int, steps: int) -> float:
    """Of the settings in `hand_made`."""
    drop = 0.1 if step / steps >= 0.5 else 1
    return 0.1 * drop * min(1, (step + 1) / steps / 0.25)


def cosine_rate(step: int, steps: int) -> float:
    """Of the restart SLOW."""
    return 0.01 * (1 + math.cos(math.pi * step / steps)) / 2 * min(1, (step + 1) / steps / 0.5)


def test_each_step_has_the_rate_and_the_decay_of_its_stages_schedule():
    stages = (stage(1 / 3), stage(1 / 3, restart=SLOW), stage(1 / 3))
    groups = (ParameterGroup("classifier.bias", lr=0.5, weight_decay=0.0),)
    steps = steps_in(*stages, groups=groups)
    expected = [stepped_rate(step, 8) for step in range(8)]
    expected += [cosine_rate(step, 16) for step in range(16)]
    weights = [step.rates["classifier.weight"] for step in steps]
    assert weights == pytest.approx(expected)
    assert [step.rates["classifier.bias"] for step in steps] == pytest.approx(
        [rate / 2 for rate in expected]
    )
    assert [step.decays["classifier.weight"] for step in steps] == [0.01] * 8 + [0.02] * 16
    assert {step.decays["classifier.bias"] for step in steps} == {0.0}


def test_without_a_restart_three_stages_are_one_schedule():
    steps = steps_in(stage(1 / 3), stage(1 / 3), stage(1 / 3))
    rates = [step.rates["classifier.weight"] for step in steps]
    assert rates == pytest.approx([stepped_rate(step, 24) for step in range(24)])
    whole = steps_in(stage(1.0))
    assert not changed(steps[-1].after, whole[-1].after)


def test_the_decay_of_the_run_comes_back_where_a_restart_has_none():
    kept = Restart(0.05)
    steps = steps_in(stage(1 / 3), stage(1 / 3, restart=SLOW), stage(1 / 3, restart=kept))
    assert [step.decays["classifier.bias"] for step in steps[::8]] == [0.01, 0.02, 0.01]


@pytest.mark.parametrize("kind", ["vector", "photo"])
def test_what_does_not_learn_stays_bit_for_bit_with_its_batch_norms_statistics(kind):
    steps = steps_in(stage(1 / 3), stage(2 / 3, trainable=("classifier",)), epochs=3, kind=kind)
    first, second = steps[:PER_EPOCH], steps[PER_EPOCH:]
    assert learnt(first) == set(first[0].before)
    assert learnt(second) == {"classifier.weight", "classifier.bias"}
    for step in second:
        assert set(step.gradients) == {"classifier.weight", "classifier.bias"}


def test_frozen_batch_norm_uses_the_statistics_that_it_keeps():
    plan, dataset = hand_made(stage(0.5), stage(0.5, trainable=("classifier",)), epochs=2)
    steps = steps_of(plan, dataset)
    frozen = fresh(plan, dataset).model
    frozen.load_state_dict(steps[-1].before)
    frozen.eval()
    logits = frozen(steps[-1].batch.views).logits
    loss = CrossEntropyLoss()(logits, steps[-1].batch.labels)
    (slope,) = torch.autograd.grad(loss, frozen.classifier.bias)
    assert torch.equal(slope, steps[-1].gradients["classifier.bias"])


def test_a_moving_norm_averages_on_and_nothing_else_of_the_frozen_part_moves():
    second = stage(0.5, trainable=("classifier",), moving_norm=True)
    steps = steps_in(stage(0.5), second, epochs=2)[PER_EPOCH:]
    statistics = {name for name in steps[0].before if "running" in name or "tracked" in name}
    assert statistics
    assert learnt(steps) == statistics | {"classifier.weight", "classifier.bias"}


def test_a_stage_that_trains_everything_again_frees_what_was_held():
    held, free = stage(0.5, trainable=("classifier",)), stage(0.5)
    steps = steps_in(held, free, epochs=2)[PER_EPOCH:]
    assert learnt(steps) == set(steps[0].before)


def at_the_second_stage(*stages: Stage, **options) -> tuple[Taken, Taken]:
    """The last step before the second of two stages of an epoch, and its first."""
    steps = steps_in(*stages, epochs=2, **options)
    return steps[PER_EPOCH - 1], steps[PER_EPOCH]


def test_what_is_reset_takes_values_of_the_seed_whatever_was_there():
    stages = (stage(0.5), stage(0.5, reset=("classifier",)))
    last, first = at_the_second_stage(*stages)
    assert changed(last.after, first.before) == {"classifier.weight", "classifier.bias"}
    other_past, same = at_the_second_stage(stage(0.5, trainable=("encoder",)), stages[1])
    assert "classifier.weight" in changed(last.after, other_past.after)
    assert torch.equal(same.before["classifier.weight"], first.before["classifier.weight"])
    _, other = at_the_second_stage(*stages, seed=1)
    assert not torch.equal(other.before["classifier.weight"], first.before["classifier.weight"])


def test_a_reset_is_drawn_like_a_start_but_not_as_the_start_or_another_stages():
    fresh_head = {"reset": ("classifier",)}
    plan, dataset = hand_made(stage(1 / 3), *[stage(1 / 3, **fresh_head)] * 2, epochs=3)
    weights = [step.before["classifier.weight"] for step in steps_of(plan, dataset)[::PER_EPOCH]]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    std = math.sqrt(2 / weights[0].shape[1])  # Kaiming-normal
    assert torch.stack(weights[1:]).std().item() == pytest.approx(std, rel=0.3)


def test_batch_norm_that_is_reset_starts_from_0_and_1():
    last, first = at_the_second_stage(stage(0.5), stage(0.5, reset=("encoder.layers.1",)))
    assert changed(last.after, first.before) == {
        f"encoder.layers.1.{name}"
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }
    assert not first.before["encoder.layers.1.running_mean"].any()
    assert first.before["encoder.layers.1.running_var"].eq(1).all()


def test_a_restart_begins_from_rest_and_another_stage_does_not():
    last, first = at_the_second_stage(stage(0.5), stage(0.5, restart=SLOW))
    assert not any(momentum.any() for momentum in first.momenta.values())
    for name, slope in first.gradients.items():
        rate = cosine_rate(0, PER_EPOCH)
        expected = first.before[name] - rate * (slope + 0.02 * first.before[name])
        assert torch.allclose(first.after[name], expected, atol=1e-7), name
    last, going_on = at_the_second_stage(stage(0.5), stage(0.5))
    name = "classifier.weight"
    slope = last.gradients[name] + 0.01 * last.before[name]
    assert torch.allclose(going_on.momenta[name], 0.9 * last.momenta[name] + slope, atol=1e-7)


def test_weights_of_terms_follow_the_progress_of_the_whole_run(tmp_path):
    rising = Term("rising", lambda t: t, CrossEntropyLoss())
    falling = Term("falling", lambda t: -2 * (1 - t), CrossEntropyLoss())
    both, one = (Stage(terms, share=0.5) for terms in ((falling, rising), (rising,)))
    plan, dataset = hand_made(both, one, epochs=4)
    steps = steps_of(plan, dataset, folder=tmp_path)
    seen = [steps[number].weights for number in range(0, 16, PER_EPOCH)]
    assert seen == [[-2, 0], [-1.5, 0.25], [0.5], [0.75]]
    lines = read_lines(tmp_path / "log.jsonl")
    assert [line["stage"] for line in lines] == [1, 1, 2, 2]
    assert [list(line["terms"]) for line in lines] == [["falling", "rising"]] * 2 + [["rising"]] * 2
    assert lines[0]["terms"]["rising"] == 0
    assert lines[1]["terms"]["falling"] == pytest.approx(-6 * lines[1]["terms"]["rising"])
    for line in lines:
        assert line["loss"] == pytest.approx(sum(line["terms"].values()), abs=1e-6)
        assert line["lr"] == pytest.approx(steps[line["step"] - 1].rates["classifier.bias"])


def test_with_a_hold_out_an_epoch_of_the_last_stage_is_chosen_however_good_the_others(monkeypatch):
    dataset = tiny_dataset(holdout=True, kind="vector")
    recipe = Recipe(("strong",), Heads(), (stage(0.5), stage(0.5)))
    plan = by_hand(tiny_plan(dataset, "ce", epochs=6), recipe)
    real, scores = epoch_module.measure, iter([0.9, 0.8, 0.7, 0.2, 0.4, 0.3])
    monkeypatch.setattr(
        epoch_module,
        "measure",
        lambda *args: dataclasses.replace(real(*args), balanced_accuracy=next(scores)),
    )
    state = fit(plan, dataset, fresh(plan, dataset))
    assert (state.selected_epoch, state.selected_score) == (5, 0.4)


@pytest.mark.parametrize(
    ("sampler", "shares"),
    [("class-balanced", [1 / 3, 1 / 3, 1 / 3]), ("square-root", np.sqrt([12, 6, 4]))],
)
def test_each_stage_draws_as_its_sampler_says(sampler, shares):
    steps = steps_in(stage(0.1), stage(0.9, sampler=sampler), epochs=40)
    labels = torch.cat([step.batch.labels for step in steps[4 * PER_EPOCH :]])
    expected = np.array(shares) / np.sum(shares)
    spread = np.sqrt(len(labels) * expected * (1 - expected))
    assert_near_in(labels, expected, 3 * spread)
    first = torch.cat([step.batch.labels for step in steps[: 4 * PER_EPOCH]])
    # Two of an epoch's 22 samples fill no batch.
    assert_near_in(first, np.array([12, 6, 4]) / 22, np.full(3, 8))


def assert_near_in(labels, shares, tolerance) -> None:
    counts = np.bincount(labels.numpy(), minlength=len(shares))
    assert (np.abs(counts - len(labels) * np.array(shares)) <= tolerance).all(), counts


def test_shares_that_do_not_add_up_and_parts_that_are_not_there_are_said():
    with pytest.raises(UsageError, match=r"add up to 0\.6"):
        steps_in(stage(0.3), stage(0.3))
    with pytest.raises(UsageError, match="'clasifier', and the model has classifier, encoder"):
        steps_in(stage(0.5), stage(0.5, trainable=("clasifier",)))
    with pytest.raises(UsageError, match=r"'experts\.1'"):
        steps_in(stage(1.0), groups=(ParameterGroup("experts.1"),))


def test_a_stage_that_diverges_says_which_rate_to_lower():
    plan, _ = hand_made(stage(0.5), stage(0.5, restart=SLOW))
    first, second = phases(plan.resolved.recipe.stages, plan.resolved.settings)
    assert epoch_module._slower(first) == "--set lr=0.05"
    assert epoch_module._slower(second) == "0.005 for stage 2, which has a knob for it"
