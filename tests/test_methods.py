"""Each method is the recipe its paper describes, and its knobs say what is wrong with a value."""

import inspect
import re
import typing

import numpy as np
import pytest
import torch

from longtail.data.samplers import find_sampler
from longtail.data.views import VIEWS
from longtail.errors import DataError, UsageError
from longtail.losses import BalancedSoftmaxLoss, ContrastiveLoss, CrossEntropyLoss
from longtail.losses import LogitAdjustedLoss as Adjusted
from longtail.methods import METHODS
from longtail.methods.resolve import find_method, knobs_of, parse_assignments, resolve, shared_knobs
from longtail.nn.model import build_model
from longtail.optim import has_prefix
from longtail.optim.settings import Settings
from longtail.recipe import DataInfo, Output, Recipe, Term
from longtail.training.epoch import weight_at
from longtail.training.loop import fit
from tiny import fresh, tiny_dataset, tiny_plan

COUNTS = [500, 60, 25, 7]
DATA = DataInfo(np.array(COUNTS))
BRANCH = ("scl", "bcl", "rcl", "bcl-rcl")
WITH_COMPRESSION = ("rcl", "bcl-rcl")


def test_the_list_of_methods_is_complete():
    alone = "ce ldam-drw cb-focal balanced-softmax balms logit-adjustment posthoc-logit-adjustment"
    decoupled = "crt lws tau-norm ncm"
    others = "dro-lt ride ace elm fcc hybrid-sc hybrid-psc"
    assert tuple(METHODS) == (*f"{alone} {decoupled} {others}".split(), *BRANCH)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_names_its_paper_and_explains_its_knobs(name):
    method = METHODS[name]
    page = inspect.getdoc(method.build)
    arxiv = re.findall(r"\d{4}\.\d{5}", method.reference)
    author = method.reference.split()[0]
    assert arxiv or re.search(rf"\b{author}\b.*{method.year}", page)
    assert all(number in page for number in arxiv)
    assert 2015 <= method.year <= 2026
    assert all(f"{knob}:" in page for knob in knobs_of(method))
    assert all(0 < value < 100 for value in method.published.values())


def assert_a_term_gets_what_it_reads(term: Term, recipe: Recipe) -> None:
    heads, reads = recipe.heads, set(term.reads)
    assert reads <= set(typing.get_args(Output))
    assert "embeddings" not in reads or heads.projection
    assert "radii" not in reads or heads.radii
    assert reads.isdisjoint({"expert_logits", "routing"}) or heads.experts
    assert "routing" not in reads or heads.experts.router
    assert "class_scale" not in reads or recipe.compression
    assert "teacher_logits" not in reads or recipe.teacher


def assert_prefixes_are_of_parts_of_the_model(recipe: Recipe) -> None:
    model = build_model("mlp-w8", (5,), DATA.num_classes, recipe.heads, 0)
    names = [name for name, _ in model.named_parameters()]
    prefixes = [group.prefix for group in recipe.groups]
    prefixes += [prefix for stage in recipe.stages for prefix in (*stage.trainable, *stage.reset)]
    for prefix in prefixes:
        assert any(has_prefix(name, prefix) for name in names), prefix


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("recipe", ["common", "paper"])
def test_every_method_builds_a_recipe_that_the_loop_can_read(name, recipe):
    resolved = resolve(name, DATA, recipe=recipe)
    built = resolved.recipe
    assert sum(stage.share for stage in built.stages) == pytest.approx(1)
    assert all(role in VIEWS["photo"] for role in built.views)
    assert (len(built.views) > 1) == (built.heads.projection is not None)
    assert_prefixes_are_of_parts_of_the_model(built)
    for stage in built.stages:
        assert stage.share > 0
        find_sampler(stage.sampler)
        assert stage.contrast_sampler is None or len(built.views) > 1
        assert len({term.name for term in stage.terms}) == len(stage.terms)
        for term in stage.terms:
            assert any(weight_at(term.weight, progress) for progress in (0.0, 0.5))
            assert_a_term_gets_what_it_reads(term, built)
    assert resolved.knobs.keys() == knobs_of(METHODS[name]).keys()


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("ce", CrossEntropyLoss),
        ("balanced-softmax", BalancedSoftmaxLoss),
        ("logit-adjustment", Adjusted),
        ("posthoc-logit-adjustment", CrossEntropyLoss),
    ],
)
def test_one_view_methods_are_one_loss_on_a_strong_view(name, loss):
    recipe = resolve(name, DATA).recipe
    (stage,) = recipe.stages
    (term,) = stage.terms
    assert type(term.loss) is loss
    assert (term.weight, term.reads) == (1.0, ("logits",))
    assert recipe.views == ("strong",)
    assert (recipe.heads.projection, recipe.heads.classifier) == (None, "linear")
    assert (recipe.posthoc is None) == (name != "posthoc-logit-adjustment")


@pytest.mark.parametrize(
    ("name", "rebalance", "average", "prototypes"),
    [
        ("scl", False, False, False),
        ("bcl", False, True, True),
        ("rcl", True, False, False),
        ("bcl-rcl", True, True, True),
    ],
)
def test_the_contrastive_family_is_rcls_table_of_settings(name, rebalance, average, prototypes):
    recipe = resolve(name, DATA).recipe
    assert recipe.views == ("strong", "contrastive", "contrastive")
    assert recipe.heads.projection == (512, 128)
    assert recipe.heads.prototypes == ("classifier" if prototypes else None)
    (stage,) = recipe.stages
    logit, contrastive = stage.terms
    assert (logit.weight, contrastive.weight) == (2.0, 1.0)
    assert isinstance(logit.loss, Adjusted)
    assert logit.loss.la_tau == 1.0
    assert isinstance(contrastive.loss, ContrastiveLoss)
    assert (contrastive.loss.rebalance, contrastive.loss.class_average) == (rebalance, average)
    assert contrastive.loss.temperature == 0.1
    assert contrastive.loss.class_counts.tolist() == COUNTS
    assert contrastive.reads == ("embeddings", "prototypes")
    assert (recipe.compression, recipe.posthoc) == (None, None)


def test_posthoc_logits_lose_the_log_prior():
    posthoc = resolve("posthoc-logit-adjustment", DATA, knobs={"la_tau": 2}).recipe.posthoc
    prior = np.log(np.array(COUNTS) / sum(COUNTS))
    adjusted = posthoc(torch.zeros(1, 4, dtype=torch.float64))
    assert adjusted.numpy() == pytest.approx(-2 * prior[None], rel=1e-6)


def test_the_common_recipe_is_the_same_for_all():
    settings = {resolve(name, DATA).settings for name in METHODS}
    assert settings == {Settings()}
    one = Settings()
    assert (one.epochs, one.batch_size, one.lr, one.momentum) == (200, 256, 0.2, 0.9)
    assert (one.weight_decay, one.milestones, one.decay, one.warmup) == (
        5e-4,
        (0.8, 0.9),
        0.1,
        0.025,
    )


def paper(name: str, data: DataInfo = DATA):
    resolved = resolve(name, data, recipe="paper")
    return resolved, resolved.settings


@pytest.mark.parametrize("name", ["scl", "rcl", "bcl-rcl"])
def test_rcls_paper_differs_from_the_common_recipe_in_the_strength_of_the_prior_alone(name):
    resolved, settings = paper(name)
    common = resolve(name, DATA)
    assert (resolved.knobs["la_tau"], common.knobs["la_tau"]) == (1.3, 1.0)
    assert {**resolved.knobs, "la_tau": 1.0} == common.knobs
    assert settings == common.settings
    assert resolved.recipe.views == common.recipe.views


def test_ldams_recipe_trains_cross_entropy_on_weak_views():
    resolved, settings = paper("ce")
    assert resolved.recipe.views == ("weak",)
    assert (settings.epochs, settings.batch_size, settings.lr) == (200, 128, 0.1)
    assert (settings.weight_decay, settings.decay, settings.nesterov) == (2e-4, 0.01, False)


def test_balanced_softmax_trains_thirteen_thousand_steps():
    data = DataInfo(np.array([5000, 5847]))  # CIFAR-100-LT: 21 steps an epoch
    resolved, settings = paper("balanced-softmax", data)
    assert resolved.recipe.views == ("strong",)
    assert settings.epochs * 21 == pytest.approx(13_000, abs=11)
    assert (settings.schedule, settings.batch_size, settings.lr) == ("cosine", 512, 0.1)
    assert settings.warmup * 13_000 == pytest.approx(800)


def test_logit_adjustment_trains_1241_epochs_on_cifar10_lt():
    resolved, settings = paper("logit-adjustment", DataInfo(np.array([5000, 7406])))
    assert resolved.recipe.views == ("weak",)
    assert resolved.knobs["la_tau"] == 1.0
    assert settings.epochs == pytest.approx(1241, abs=10)
    assert (settings.nesterov, settings.weight_decay) == (True, 1e-4)
    assert [round(1241 * m) for m in settings.milestones] == [604, 926, 1128]


def test_bcl_has_its_own_rate_and_weights_and_typed_knobs_win():
    resolved, settings = paper("bcl")
    assert (resolved.knobs["la_tau"], resolved.knobs["contrastive_weight"]) == (1.0, 0.6)
    assert (settings.lr, settings.batch_size, settings.weight_decay) == (0.15, 256, 5e-4)
    assert resolved.recipe.views == ("strong", "contrastive", "contrastive")
    typed = resolve("bcl", DATA, recipe="paper", knobs={"la_tau": "1.3", "lr": "0.3"}, epochs=7)
    assert typed.recipe.stages[0].terms[0].loss.la_tau == 1.3
    assert (typed.settings.lr, typed.settings.epochs) == (0.3, 7)


@pytest.mark.parametrize("name", WITH_COMPRESSION)
def test_a_method_without_a_recipe_of_its_own_trains_on_the_common_one(name):
    assert resolve(name, DATA, recipe="paper").settings == Settings()


@pytest.mark.parametrize(
    ("knob", "value", "parsed"),
    [
        ("la_tau", "1", 1.0),
        ("hidden_width", "64", 64),
        ("compression", "anchors", "anchors"),
        ("la_tau", 0, 0.0),
    ],
)
def test_a_knob_is_parsed_to_its_type(knob, value, parsed):
    got = resolve("rcl", DATA, knobs={knob: value}).knobs[knob]
    assert (got, type(got)) == (parsed, type(parsed))


def test_the_optimisers_knobs_are_everyones():
    resolved = resolve(
        "ce", DATA, knobs={"milestones": "0.5,0.75", "nesterov": "true", "schedule": "cosine"}
    )
    assert resolved.settings.milestones == (0.5, 0.75)
    assert (resolved.settings.nesterov, resolved.settings.schedule) == (True, "cosine")
    assert resolved.knobs == {}
    assert not {"epochs", "batch_size"} & shared_knobs().keys()


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"la_taw": 1}, r"Method rcl has no knob 'la_taw'. Did you mean 'la_tau'.*methods rcl"),
        ({"epochs": 3}, "has no knob 'epochs'"),
        ({"la_tau": "much"}, r"--set la_tau=much: .*valid number.*default is 1\.0"),
        ({"la_tau": "nan"}, "finite"),
        ({"lr": "inf"}, "finite"),
        ({"hidden_width": "2.5"}, "--set hidden_width=2.5: .*valid integer"),
        ({"compression": "sideways"}, "'off', 'both', 'anchors', 'keys' or 'before-head'"),
        ({"schedule": "linear"}, "'step' or 'cosine'"),
        ({"milestones": "0.5,x"}, "--set milestones=0.5,x"),
        ({"milestones": "160,180"}, "between 0 and 1"),
        ({"lr": 0}, "lr is 0.0; it must be above 0"),
        ({"momentum": 2}, "momentum is 2.0; it must be between 0 and 1"),
        ({"momentum": 0, "nesterov": True}, "nesterov is a form of momentum"),
        ({"weight_decay": -1}, "at least 0"),
        ({"warmup": -1}, "between 0 and 1"),
        ({"temperature": 0}, "temperature is 0.0; it must be above 0"),
        ({"embedding_width": 0}, "at least 1"),
        ({"compression": "both", "compression_start": 160}, "fraction of training"),
    ],
)
def test_a_wrong_knob_is_named_with_what_would_be_right(knobs, said):
    with pytest.raises(UsageError, match=said):
        resolve("rcl", DATA, knobs=knobs)


def test_a_knob_of_another_method_is_refused():
    with pytest.raises(UsageError, match="Method ce has no knob 'temperature'"):
        resolve("ce", DATA, knobs={"temperature": 0.1})
    with pytest.raises(UsageError, match="Method bcl has no knob 'compression'"):
        resolve("bcl", DATA, knobs={"compression": "both"})


def test_wrong_names_sizes_and_recipes_are_refused():
    with pytest.raises(UsageError, match=r"Unknown method 'rlc'. Did you mean"):
        find_method("rlc")
    with pytest.raises(UsageError, match="Unknown recipe 'papers'"):
        resolve("rcl", DATA, recipe="papers")
    with pytest.raises(UsageError, match="epochs is 0"):
        resolve("rcl", DATA, epochs=0)
    with pytest.raises(UsageError, match="batch_size is -1"):
        resolve("rcl", DATA, batch_size=-1)


@pytest.mark.parametrize("word", ["la_tau", "=1", "", "la_tau:1"])
def test_a_word_that_is_no_assignment_is_refused(word):
    with pytest.raises(UsageError, match="--set takes KNOB=VALUE"):
        parse_assignments([word])


def test_assignments_split_at_the_first_equals_sign_and_come_once():
    assert parse_assignments(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    with pytest.raises(UsageError, match="--set a is given twice"):
        parse_assignments(["a=1", "a=1"])


@pytest.mark.parametrize("name", WITH_COMPRESSION)
@pytest.mark.parametrize("side", ["both", "anchors", "keys", "before-head"])
def test_compression_acts_on_the_side_that_was_asked_for(name, side):
    recipe = resolve(name, DATA, knobs={"compression": side, "compression_factor": 0.1}).recipe
    term = recipe.stages[0].terms[1]
    assert recipe.compression.side == side
    assert (recipe.compression.factor, recipe.compression.threshold) == (0.1, 0.2)
    assert ("class_scale" in term.reads) == (side != "before-head")
    assert term.loss.scale_on == (side if side != "before-head" else "both")


@pytest.mark.parametrize("side", ["both", "before-head"])
def test_compression_without_a_hold_out_is_refused_before_training(side):
    with pytest.raises(DataError, match=r"hold-out.*--holdout 0\.1"):
        tiny_plan(tiny_dataset(), "rcl", knobs={"compression": side})


def losses_of(knobs: dict[str, object]) -> tuple[dict[str, torch.Tensor], list[float]]:
    dataset = tiny_dataset(holdout=True, kind="vector")
    plan = tiny_plan(dataset, "rcl", knobs=knobs)
    state = fit(plan, dataset, fresh(plan, dataset))
    return state.model.state_dict(), state.class_scale.tolist()


@pytest.mark.parametrize("side", ["both", "anchors", "keys", "before-head"])
def test_compression_changes_a_run_where_a_class_is_weak_and_nothing_where_none_is(side):
    plain, scale = losses_of({})
    assert scale == [1, 1, 1]
    knobs = {"compression": side, "compression_start": 0.4}
    none_weak, scale = losses_of({**knobs, "compression_threshold": 0.0})
    assert scale == [1, 1, 1]
    # Scaling one side of the comparison by 1 sums its gradients in another order.
    assert all(torch.allclose(plain[name], none_weak[name], atol=1e-5) for name in plain)
    all_weak, scale = losses_of({**knobs, "compression_threshold": 1.1})
    assert scale == pytest.approx([0.005] * 3)
    assert not all(torch.allclose(plain[name], all_weak[name], atol=1e-4) for name in plain)
