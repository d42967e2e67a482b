"""What each method does to its model while it trains, step by step."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from longtail.data.batches import Batch
from longtail.errors import CheckpointError, DataError
from longtail.keyed import fold
from longtail.launch import teacher_of, train
from longtail.nn.model import build_model
from longtail.record import read_lines
from longtail.training import feed as feed_module
from longtail.training.feed import feeder
from longtail.training.loop import fit
from longtail.training.meta import draw
from longtail.training.stages import Phase, phases
from tiny import Taken, changed, fresh, steps_of, tiny_dataset, tiny_plan, vectors

PER_EPOCH = 4
VECTORS = tiny_dataset(kind="vector")


def plan_of(method: str, **options):
    return tiny_plan(VECTORS, method, **options)


def by_stage(plan, **options) -> list[list[Taken]]:
    """The steps of a run, stage by stage."""
    steps = steps_of(plan, VECTORS, **options)
    laid_out = phases(plan.resolved.recipe.stages, plan.resolved.settings)
    return [steps[phase.first * PER_EPOCH : phase.end * PER_EPOCH] for phase in laid_out]


def learnt(steps: list[Taken]) -> set[str]:
    return changed(steps[0].before, steps[-1].after)


def last_phase(plan) -> Phase:
    return phases(plan.resolved.recipe.stages, plan.resolved.settings)[-1]


def inputs_of(plan, split) -> torch.Tensor:
    """Normalised by hand."""
    mean, std = (np.array(values) for values in plan.statistics)
    return torch.tensor((split.inputs - mean) / std, dtype=torch.float32)


def model_of(plan, tensors):
    """A model in evaluation mode with the given weights."""
    heads = plan.resolved.recipe.heads
    model = build_model(plan.backbone, VECTORS.input_shape, VECTORS.num_classes, heads, 0)
    model.load_state_dict(tensors)
    return model.eval()


def test_crt_trains_a_fresh_head_on_balanced_batches_and_nothing_else():
    joint, head = by_stage(plan_of("crt"))
    assert learnt(joint) == set(joint[0].before)
    assert learnt(head) == {"classifier.weight", "classifier.bias"}
    fresh_head = {"classifier.weight", "classifier.bias"}
    assert changed(joint[-1].after, head[0].before) == fresh_head
    drawn = torch.cat([step.batch.labels for step in head])
    assert np.bincount(drawn).max() - np.bincount(drawn).min() <= 4  # one turn of class-aware


def test_lws_scales_stay_1_until_they_alone_are_learned():
    joint, head = by_stage(plan_of("lws"))
    assert learnt(joint) == set(joint[0].before) - {"classifier.scale"}
    assert joint[-1].after["classifier.scale"].tolist() == [1, 1, 1]
    assert learnt(head) == {"classifier.scale"}
    assert set(head[0].gradients) == {"classifier.scale"}


def test_dro_lt_learns_radii_and_features_in_its_second_stage_and_the_head_in_its_third():
    joint, robust, head = by_stage(plan_of("dro-lt", epochs=6, knobs={"robust_share": 0.4}))
    assert joint[-1].after["radii"].tolist() == [1, 1, 1]
    classifier = {"classifier.weight", "classifier.bias"}
    assert learnt(robust) == set(robust[0].before) - classifier
    assert robust[-1].after["radii"].ne(1).all()
    assert learnt(head) == classifier


def test_dro_lts_class_means_are_of_features_at_the_start_of_each_epoch():
    plan = plan_of("dro-lt", epochs=6, knobs={"robust_share": 0.4})
    joint, robust, _ = by_stage(plan)
    assert not joint[-1].further["class_means"].any()
    inputs, labels = inputs_of(plan, VECTORS.train), VECTORS.train.labels
    seen = []
    for start in range(0, len(robust), PER_EPOCH):
        with torch.no_grad():
            features = model_of(plan, robust[start].before).features(inputs).numpy()
        expected = np.stack([features[labels == label].mean(0) for label in range(3)])
        for step in robust[start : start + PER_EPOCH]:
            assert step.further["class_means"].numpy() == pytest.approx(expected, abs=1e-5)
        seen.append(expected)
    assert len(seen) == 2
    assert not np.allclose(seen[0], seen[1])


@pytest.mark.parametrize("name", ["hybrid-sc", "hybrid-psc"])
def test_hybrids_weights_cross_over_in_the_log_and_each_branch_has_its_sampler(name, tmp_path):
    plan = plan_of(name, epochs=30)
    steps = steps_of(plan, VECTORS, folder=tmp_path)
    lines = read_lines(tmp_path / "log.jsonl")
    for epoch, line in enumerate(lines):
        taken = steps[epoch * PER_EPOCH]
        assert taken.weights == pytest.approx([(epoch / 30) ** 2, 1 - (epoch / 30) ** 2])
        assert line["loss"] == pytest.approx(sum(line["terms"].values()), rel=1e-4)
    assert lines[0]["terms"]["logit"] == 0
    balanced = torch.cat([step.batch.labels for step in steps])
    instances = torch.cat([step.batch.contrast_labels for step in steps])
    for labels, shares in ((balanced, np.ones(3) / 3), (instances, np.array([12, 6, 4]) / 22)):
        spread = np.sqrt(len(labels) * shares * (1 - shares))
        counts = np.bincount(labels, minlength=3)
        assert (np.abs(counts - len(labels) * shares) <= 3 * spread).all(), counts


def test_psc_learns_its_free_prototypes():
    (steps,) = by_stage(plan_of("hybrid-psc"))
    assert "free_prototypes" in learnt(steps)


def test_fccs_factors_act_from_their_start_on_while_training_alone():
    plan = plan_of("fcc", epochs=4, knobs={"fcc_gamma": 0.5, "fcc_start": 0.5})
    state = fresh(plan, VECTORS)
    steps = steps_of(plan, VECTORS, state)
    factors = torch.tensor([1.5, 1.33, 1.17])
    for number, step in enumerate(steps):
        expected = factors if number >= 2 * PER_EPOCH else torch.ones(3)
        assert torch.equal(step.scales.first, expected[step.batch.labels]), number
    model = state.model.eval()
    inputs = inputs_of(plan, VECTORS.test)
    plain = F.linear(model.encoder(inputs), model.classifier.weight, model.classifier.bias)
    assert torch.equal(model.predict(inputs)[0], plain)
    unscaled = steps_of(plan_of("ce", epochs=4), VECTORS)
    assert not changed(unscaled[7].after, steps[7].after)
    assert changed(unscaled[8].after, steps[8].after)


def test_fcc_scales_every_view_of_a_method_with_several():
    steps = steps_of(plan_of("hybrid-sc", knobs={"fcc_gamma": 0.5, "fcc_start": 0.0}), VECTORS)
    factors = torch.tensor([1.5, 1.33, 1.17])
    for step in steps:
        assert torch.equal(step.scales.first, factors[step.batch.labels])
        assert torch.equal(step.scales.others, factors[step.batch.contrast_labels])


def test_cb_focals_bias_starts_rare_and_does_not_decay():
    (steps,) = by_stage(plan_of("cb-focal"))
    expected = [-math.log(2)] * 3
    assert steps[0].before["classifier.bias"].tolist() == pytest.approx(expected)
    decays = {name: step.decays[name] for step in steps for name in step.decays}
    assert decays.pop("classifier.bias") == 0
    assert set(decays.values()) == {5e-4}


def test_aces_experts_learn_at_their_part_of_the_rate():
    (steps,) = by_stage(plan_of("ace"))
    phase = last_phase(plan_of("ace"))
    parts = {"encoder": 1, "experts.0": 1, "experts.1": 10 / 22, "experts.2": 4 / 22}
    for number, step in enumerate(steps):
        rate = phase.learning_rate(number, PER_EPOCH)
        for name, own in step.rates.items():
            part = next(part for prefix, part in parts.items() if name.startswith(prefix))
            assert own == pytest.approx(rate * part), name
    assert learnt(steps) == set(steps[0].before)


def test_ride_trains_its_router_last_on_experts_that_stay_bit_for_bit():
    plain, weighted, routed = by_stage(plan_of("ride", epochs=5))
    router = {name for name in plain[0].before if name.startswith("router.")}
    ensemble = set(plain[0].before) - router
    assert router
    assert learnt(plain) == learnt(weighted) == ensemble
    assert learnt(routed) <= router
    assert {"router.score.weight", "router.score.bias"} <= learnt(routed)
    assert all(set(step.gradients) == router for step in routed)
    assert plain[0].weights == pytest.approx([1, -0.45])


def test_ride_without_routing_has_no_router():
    plain, weighted = by_stage(plan_of("ride", knobs={"routing": False}))
    assert not any(name.startswith("router") for name in plain[0].before)
    assert learnt(weighted) == set(plain[0].before)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    return train(
        VECTORS,
        "ce",
        epochs=2,
        batch_size=5,
        backbone="mlp-w8",
        precision="fp32",
        threads=1,
        progress=False,
        out=folder,
    )


def test_a_teachers_logits_reach_the_loss_and_the_teacher_learns_nothing(teacher):
    knobs = {"teacher": str(teacher.folder), "routing": False}
    plan = plan_of("ride", knobs=knobs)
    model = teacher_of(plan, VECTORS, None)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    steps = steps_of(plan, VECTORS, teacher=model)
    assert not changed(before, model.state_dict())
    for step in steps:
        expected = teacher.model.predict(step.batch.views[0])[0]
        assert torch.equal(step.further["teacher_logits"], expected)
        assert step.weights == pytest.approx([1, -0.45, 1])
    untaught = steps_of(plan_of("ride", knobs={"routing": False}), VECTORS)
    assert changed(untaught[0].after, steps[0].after)


@pytest.mark.parametrize("other", ["classes", "inputs", "pictures"])
def test_a_teacher_of_other_data_is_refused_before_training(teacher, other, tmp_path):
    split = vectors()
    inputs = split.inputs[:, :4] if other == "inputs" else split.inputs
    data_hash = "1" * 64 if other == "pictures" else VECTORS.data_hash
    names = ("a", "b", "c") if other == "classes" else VECTORS.class_names
    data = dataclasses.replace(
        VECTORS,
        train=dataclasses.replace(split, inputs=inputs),
        class_names=names,
        test=None,
        data_hash=data_hash,
    )
    said = {"classes": "class_names", "inputs": "input_shape", "pictures": "hash"}[other]
    with pytest.raises(DataError, match=f"teacher .* another {said} than"):
        train(
            data,
            "ride",
            knobs={"teacher": str(teacher.folder)},
            epochs=3,
            batch_size=5,
            backbone="mlp-w8",
            progress=False,
            out=tmp_path / "run",
        )


def test_a_teacher_on_the_same_data_with_a_hold_out_of_its_own_is_refused(teacher, tmp_path):
    with pytest.raises(DataError, match=r"teacher .* another holdout than"):
        train(
            VECTORS,
            "ride",
            knobs={"teacher": str(teacher.folder)},
            holdout="0.2",
            epochs=3,
            batch_size=5,
            backbone="mlp-w8",
            progress=False,
            out=tmp_path / "run",
        )


def test_no_teacher_is_found_before_data_are_read(tmp_path):
    with pytest.raises(CheckpointError, match="--set teacher=nowhere"):
        train("no-such-data", "ride", knobs={"teacher": "nowhere"}, out=tmp_path / "run")


def test_a_router_does_not_shorten_the_lesson(tmp_path):
    options = {"epochs": 3, "batch_size": 5, "backbone": "mlp-w8", "progress": False}
    run = train(VECTORS, "ride", threads=1, precision="fp32", out=tmp_path / "r", **options)
    model = run.model
    model.router.score.bias.data.fill_(-1e3)  # always stop
    inputs = torch.randn(4, 5)
    assert torch.equal(model.full_logits(inputs), model(inputs[None]).logits)
    assert not torch.equal(model.full_logits(inputs), model.predict(inputs)[0])


def test_balms_meta_weights_move_in_its_second_stage_alone_and_the_same_again():
    plan = plan_of("balms", knobs={"meta_power": 0.3, "meta_lr": 0.1})
    states = []
    for _ in range(2):
        state = fresh(plan, VECTORS)
        begun = state.meta.weights.clone()
        fit(plan, VECTORS, state)
        states.append(state)
    first, again = states
    assert first.meta.steps == 4  # steps of the last of three epochs
    assert first.meta.weights.ne(begun).all()
    assert torch.equal(first.meta.weights, again.meta.weights)


def test_balms_batches_are_drawn_with_the_weights_that_the_step_before_left():
    plan = plan_of("balms", knobs={"meta_lr": 1.0})
    state, phase, labels = fresh(plan, VECTORS), last_phase(plan), VECTORS.train.labels
    seen = []
    for number, batch in enumerate(feeder(plan, VECTORS)(state, phase, 2, 0)):
        weights = seen[-1] if seen else torch.zeros(3)
        key = fold(0, "meta", 2 * PER_EPOCH + number)
        expected = draw(weights, torch.tensor(labels), 5, key)
        assert torch.equal(batch.labels, expected.labels)
        assert not torch.equal(state.meta.weights, weights)
        seen.append(state.meta.weights)
    assert len(seen) == PER_EPOCH


def test_balms_draws_what_its_weights_ask_for():
    plan = plan_of("balms", knobs={"meta_lr": 1e-9})
    state, phase = fresh(plan, VECTORS), last_phase(plan)
    state.meta = state.meta._replace(weights=torch.tensor([-30.0, -30.0, 30.0]))
    for batch in feeder(plan, VECTORS)(state, phase, 2, 0):
        assert batch.labels.tolist() == [2] * 5
        inputs = batch.views[0]
        assert len(torch.unique(inputs, dim=0)) == 5  # a sample that comes again looks different


def test_balms_goes_on_in_the_middle_of_an_epoch():
    plan = plan_of("balms")
    state, labels = fresh(plan, VECTORS), torch.tensor(VECTORS.train.labels)
    (batch,) = feeder(plan, VECTORS)(state, last_phase(plan), 2, 3)
    expected = draw(torch.zeros(3), labels, 5, fold(0, "meta", 2 * PER_EPOCH + 3))
    assert torch.equal(batch.labels, expected.labels)
    assert state.meta.steps == 1


def test_the_trial_step_of_balms_sees_features_as_the_step_does():
    plan = plan_of("balms", knobs={"fcc_gamma": 1.0, "fcc_start": 0.0})
    state = fresh(plan, VECTORS)
    state.model.eval()
    views = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 2, 1, 0])
    plain = feed_module._features(plan, state, Batch(views, labels, labels))
    state.feature_factors.copy_(plan.resolved.recipe.feature_factors.factors)
    scaled = feed_module._features(plan, state, Batch(views, labels, labels))
    assert torch.equal(scaled, plain * state.feature_factors[labels][:, None])
    assert not torch.equal(scaled, plain)
