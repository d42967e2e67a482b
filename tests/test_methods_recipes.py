"""The methods of RCL's Table 2, number by number, as their papers and authors' code have them."""

import numpy as np
import pytest

from longtail import losses
from longtail.errors import DataError, UsageError
from longtail.methods import METHODS
from longtail.methods.resolve import Resolved, knobs_of, resolve
from longtail.methods.tau_norm import GRID
from longtail.nn.heads import Experts
from longtail.optim import ParameterGroup
from longtail.recipe import DataInfo, Recipe, Restart, Stage
from longtail.training.stages import phase_at, phases

COUNTS = [500, 60, 25, 7]
DATA = DataInfo(np.array(COUNTS))
CIFAR10 = DataInfo(np.array([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]))
HEAD_RESTART = Restart(0.1, "step", (1 / 3, 2 / 3), 0.1, 1 / 6, 5e-4)


def recipe_of(name: str, **knobs: object) -> Recipe:
    return resolve(name, DATA, knobs=knobs).recipe


def paper(name: str, data: DataInfo = DATA) -> Resolved:
    return resolve(name, data, recipe="paper")


def ends(resolved: Resolved) -> list[int]:
    """The epoch after each stage's last."""
    return [phase.end for phase in phases(resolved.recipe.stages, resolved.settings)]


def rates(resolved: Resolved) -> list[float]:
    """The rate of each epoch's first step, at one step an epoch."""
    laid_out = phases(resolved.recipe.stages, resolved.settings)
    epochs = range(resolved.settings.epochs)
    return [phase_at(laid_out, epoch).learning_rate(epoch, 1) for epoch in epochs]


def terms_of(stage: Stage) -> dict[str, tuple[object, type, tuple[str, ...]]]:
    return {term.name: (term.weight, type(term.loss), term.reads) for term in stage.terms}


CROSS_ENTROPY = {"logit": (1.0, losses.CrossEntropyLoss, ("logits",))}


def test_ldam_drw_weighs_its_margin_loss_from_epoch_160_on():
    recipe = recipe_of("ldam-drw")
    assert recipe.heads.classifier == "cosine"
    assert [stage.share for stage in recipe.stages] == pytest.approx([0.8, 0.2])
    (plain,), (weighted,) = (stage.terms for stage in recipe.stages)
    for term, beta in ((plain, None), (weighted, 0.9999)):
        assert isinstance(term.loss, losses.LDAMLoss)
        assert (term.loss.max_margin, term.loss.scale, term.loss.beta) == (0.5, 30.0, beta)
        assert term.loss.class_counts.tolist() == COUNTS
    assert not any(stage.restart or stage.trainable or stage.reset for stage in recipe.stages)
    resolved = paper("ldam-drw")
    assert ends(resolved) == [160, 200]
    assert resolved.recipe.views == ("weak",)


def test_ldams_rate_warms_up_for_five_epochs_and_drops_hundredfold_twice():
    expected = [0.1 * (epoch + 1) / 5 for epoch in range(5)]
    expected += [0.1] * 155 + [1e-3] * 20 + [1e-5] * 20
    for name in ("ce", "ldam-drw", "cb-focal", "fcc", "ncm", "tau-norm"):
        assert rates(paper(name)) == pytest.approx(expected), name


def test_cb_focal_starts_rare_and_does_not_decay_its_bias():
    recipe = recipe_of("cb-focal")
    (stage,) = recipe.stages
    (term,) = stage.terms
    assert isinstance(term.loss, losses.ClassBalancedFocalLoss)
    assert (term.loss.beta, term.loss.gamma, term.weight) == (0.9999, 1.0, 1.0)
    assert recipe.heads.classifier == "rare"
    assert recipe.groups == (ParameterGroup("classifier.bias", lr=1.0, weight_decay=0.0),)


@pytest.mark.parametrize(
    ("name", "classifier", "first_trains", "trains", "reset"),
    [
        ("crt", "linear", (), ("classifier",), ("classifier",)),
        (
            "lws",
            "scaled",
            ("encoder", "classifier.weight", "classifier.bias"),
            ("classifier.scale",),
            (),
        ),
    ],
)
def test_decoupled_methods_train_200_epochs_and_then_30_for_the_head(
    name, classifier, first_trains, trains, reset
):
    recipe = recipe_of(name)
    first, second = recipe.stages
    assert recipe.heads.classifier == classifier
    assert terms_of(first) == terms_of(second) == CROSS_ENTROPY
    assert (first.sampler, first.trainable, first.restart) == ("instance", first_trains, None)
    assert (second.sampler, second.trainable, second.reset) == ("class-aware", trains, reset)
    assert second.restart == HEAD_RESTART
    assert not second.moving_norm
    assert recipe_of(name, moving_norm=True).stages[1].moving_norm
    resolved = paper(name)
    assert (resolved.settings.epochs, ends(resolved)) == (230, [200, 230])
    head = [0.1 * min(1, (epoch + 1) / 5) for epoch in range(10)] + [0.01] * 10 + [0.001] * 10
    assert rates(resolved)[200:] == pytest.approx(head)
    assert rates(resolved)[160:200] == pytest.approx([1e-3] * 20 + [1e-5] * 20)


def test_tau_norm_tries_0_to_2_in_tenths_unless_it_is_told():
    assert pytest.approx([step / 10 for step in range(21)]) == GRID
    assert recipe_of("tau-norm").refit.chooses == "norm_tau"
    assert recipe_of("tau-norm", norm_tau="0.7").refit.chooses is None
    assert terms_of(recipe_of("tau-norm").stages[0]) == CROSS_ENTROPY
    resolved = paper("tau-norm")
    assert resolved.knobs == {"norm_tau": 1.0}
    assert resolved.recipe.refit.chooses is None


def test_ncm_is_cross_entropy_and_means_that_choose_nothing():
    recipe = recipe_of("ncm")
    assert terms_of(recipe.stages[0]) == CROSS_ENTROPY
    assert recipe.heads.nearest_mean
    assert recipe.refit.chooses is None


def test_balms_trains_13000_steps_and_2000_for_a_fresh_classifier():
    recipe = recipe_of("balms")
    first, second = recipe.stages
    assert terms_of(first) == CROSS_ENTROPY
    assert terms_of(second) == {"logit": (1.0, losses.BalancedSoftmaxLoss, ("logits",))}
    assert second.trainable == second.reset == ("classifier",)
    assert second.restart == Restart(0.1, "cosine", (), 0.1, 0.0, 5e-4)
    assert first.meta is None
    assert (second.meta.lr, second.meta.power, second.meta.temperature) == (0.01, 0.0, 1.0)
    resolved = paper("balms", DataInfo(np.array([5000, 5847])))  # 21 steps an epoch
    assert ends(resolved)[1] * 21 == pytest.approx(15_000, abs=21)
    assert ends(resolved)[0] * 21 == pytest.approx(13_000, abs=21)
    assert resolved.settings.batch_size == 512
    assert resolved.recipe.views == ("strong",)


def test_dro_lt_trains_200_80_and_20_epochs():
    recipe = recipe_of("dro-lt")
    first, second, third = recipe.stages
    assert recipe.heads.radii
    assert terms_of(first) == terms_of(third) == CROSS_ENTROPY
    robust = (1.0, losses.RobustCentroidLoss, ("features", "class_means", "radii"))
    assert terms_of(second) == CROSS_ENTROPY | {"robust": robust}
    weighted, term = (term.loss for term in second.terms)
    assert weighted.class_weights.tolist() == pytest.approx([n / 500 for n in COUNTS])
    assert term.temperature == 1.0
    assert [stage.sampler for stage in recipe.stages] == ["instance", "class-aware", "class-aware"]
    assert (first.trainable, second.trainable, third.trainable) == (
        (),
        ("encoder", "radii"),
        ("classifier",),
    )
    assert not any(stage.reset for stage in recipe.stages)
    assert [stage.restart.weight_decay for stage in (second, third)] == [1e-4, 1e-4]
    resolved = paper("dro-lt")
    assert ends(resolved) == [200, 280, 300]
    assert rates(resolved)[200:] == pytest.approx([0.005] * 80 + [0.01] * 20)
    assert rates(resolved)[180:200] == pytest.approx([1e-5] * 20)


def test_ride_trains_experts_with_margins_then_with_weights_and_then_a_router():
    recipe = recipe_of("ride")
    assert recipe.heads.classifier == "cosine"
    assert recipe.heads.experts == Experts(3, shared_stages=1, width=0.75, router=True)
    logit = (1.0, losses.EachExpert, ("expert_logits",))
    apart = (-0.45, losses.ExpertDiversityLoss, ("expert_logits",))
    for stage, beta, factor in zip(recipe.stages, (None, 0.9999), (None, 0.05), strict=False):
        assert terms_of(stage) == {"logit": logit, "diversity": apart}
        margins, diversity = (term.loss for term in stage.terms)
        assert isinstance(margins.loss, losses.LDAMLoss)
        assert (margins.loss.max_margin, margins.loss.scale, margins.loss.beta) == (0.5, 30.0, beta)
        assert diversity.factor == factor
        assert stage.trainable == ("encoder", "experts")
    router = recipe.stages[2]
    routing = (1.0, losses.RoutingLoss, ("routing", "expert_logits"))
    assert terms_of(router) == {"routing": routing}
    assert router.terms[0].loss.positive_weight == 100
    assert (router.sampler, router.trainable) == ("class-balanced", ("router",))
    assert router.restart == Restart(0.01, "cosine", weight_decay=5e-4)


def test_ride_without_a_router_or_with_a_teacher():
    alone = recipe_of("ride", routing=False, experts=4)
    assert alone.heads.experts == Experts(4, width=0.75)
    assert [stage.share for stage in alone.stages] == pytest.approx([0.8, 0.2])
    taught = recipe_of("ride", teacher="runs/six", teacher_weight=2.0)
    assert taught.teacher == "runs/six"
    lesson = (2.0, losses.DistillationLoss, ("expert_logits", "teacher_logits"))
    for stage in taught.stages[:2]:
        assert terms_of(stage)["distillation"] == lesson
        assert stage.terms[2].loss.temperature == 1.5
    assert "distillation" not in terms_of(taught.stages[2])


def test_rides_paper_trains_200_epochs_and_5_of_routing():
    resolved = paper("ride")
    assert ends(resolved) == [160, 200, 205]
    assert (resolved.settings.batch_size, resolved.settings.nesterov) == (128, True)
    assert resolved.settings.weight_decay == 5e-4
    assert resolved.recipe.views == ("weak",)
    assert rates(resolved)[5:200] == pytest.approx([0.1] * 155 + [1e-3] * 20 + [1e-5] * 20)
    cosine = [0.005 * (1 + np.cos(np.pi * epoch / 5)) for epoch in range(5)]
    assert rates(resolved)[200:] == pytest.approx(cosine)


def test_ace_gives_each_expert_its_classes_and_its_part_of_the_rate():
    data = DataInfo(np.array([7, 500, 60, 9]))
    recipe = resolve("ace", data).recipe
    owned = ((1, 2, 3, 0), (2, 3, 0), (3, 0))
    assert recipe.heads.experts == Experts(
        3, shared_stages=2, owned=owned, trunk_learns_from="first"
    )
    experts = {"experts": (1.0, losses.ComplementaryExpertsLoss, ("expert_logits",))}
    assert terms_of(recipe.stages[0]) == experts
    expected = [[True] * 4, [True, False, True, True], [True, False, False, True]]
    assert recipe.stages[0].terms[0].loss.owned.tolist() == expected
    assert [group.prefix for group in recipe.groups] == ["experts.0", "experts.1", "experts.2"]
    assert [group.lr for group in recipe.groups] == pytest.approx([1, 76 / 576, 16 / 576])
    assert [group.weight_decay for group in recipe.groups] == [1, 1, 1]


def test_aces_paper_has_four_experts_and_400_epochs():
    resolved = paper("ace")
    assert resolved.recipe.heads.experts.number == 4
    expected = [0.05] * 310 + [5e-3] * 40 + [5e-4] * 40
    assert rates(resolved)[10:] == pytest.approx(expected)
    with pytest.raises(DataError, match="3 classes cannot be split over 4 experts"):
        paper("ace", DataInfo(np.array([9, 5, 2])))


def test_elm_adds_a_margin_on_features_to_logit_adjustment():
    (stage,) = recipe_of("elm", margin_tau=0.5, distance="cosine").stages
    assert terms_of(stage) == {
        "logit": (1.0, losses.LogitAdjustedLoss, ("logits",)),
        "embedding": (0.1, losses.EmbeddingMarginLoss, ("features",)),
    }
    logit, embedding = (term.loss for term in stage.terms)
    assert logit.la_tau == 1.0
    assert (embedding.margin_tau, embedding.distance) == (0.5, "cosine")


def test_fccs_factors_fall_from_the_head_to_the_tail():
    recipe = resolve("fcc", CIFAR10).recipe
    expected = [1.5, 1.45, 1.4, 1.35, 1.3, 1.25, 1.2, 1.15, 1.1, 1.05]
    assert recipe.feature_factors.factors.tolist() == pytest.approx(expected)
    assert recipe.feature_factors.start == 0.25  # epoch 50 of 200
    hundred = resolve("fcc", DataInfo(np.arange(100, 0, -1))).recipe.feature_factors.factors
    assert hundred[[0, 1, -1]].tolist() == pytest.approx([2.0, 1.99, 1.01])
    few = resolve("fcc", DataInfo(np.array([7, 500, 60, 60])), knobs={"fcc_gamma": 1})
    mixed = few.recipe.feature_factors.factors
    assert mixed.tolist() == pytest.approx([1.25, 2.0, 1.75, 1.5])
    alike = resolve("fcc", DataInfo(np.tile([5, 9], 20))).recipe.feature_factors.factors
    assert (alike[1::2].diff() < 0).all()
    assert (alike[::2].diff() < 0).all()
    assert terms_of(recipe.stages[0]) == CROSS_ENTROPY


@pytest.mark.parametrize(
    ("name", "views", "loss", "reads", "prototypes"),
    [
        ("hybrid-sc", 3, losses.ContrastiveLoss, ("embeddings",), None),
        ("hybrid-psc", 2, losses.PrototypeLoss, ("embeddings", "prototypes"), "free"),
    ],
)
def test_hybrids_hand_over_from_contrast_to_a_balanced_classifier(
    name, views, loss, reads, prototypes
):
    recipe = recipe_of(name)
    (stage,) = recipe.stages
    assert recipe.views == ("strong", *["contrastive"] * (views - 1))
    assert recipe.heads.projection == (512, 128)
    assert recipe.heads.prototypes == prototypes
    logit, contrastive = stage.terms
    assert (type(logit.loss), logit.reads) == (losses.CrossEntropyLoss, ("logits",))
    assert (type(contrastive.loss), contrastive.reads) == (loss, reads)
    many = resolve(name, DataInfo(np.arange(100, 0, -1))).recipe.stages[0].terms[1]
    assert many.loss.temperature == 0.1
    assert contrastive.loss.temperature == (1.0 if prototypes else 0.1)  # of up to ten classes
    for progress in (0.0, 0.3, 0.5, 0.99):
        assert contrastive.weight(progress) == pytest.approx(1 - progress**2)
        assert logit.weight(progress) == pytest.approx(progress**2)
    assert (stage.sampler, stage.contrast_sampler) == ("class-balanced", "instance")
    settings = paper(name).settings
    assert (settings.batch_size, settings.weight_decay) == (512, 1e-4)
    rate = rates(paper(name))
    assert rate[5:] == pytest.approx([0.5] * 115 + [0.05] * 40 + [0.005] * 40)


BAD = [
    ("ldam-drw", "max_margin", 0),
    ("ldam-drw", "beta", 1),
    ("ldam-drw", "drw_start", 1),
    ("cb-focal", "beta", -0.1),
    ("cb-focal", "gamma", -1),
    ("crt", "head_share", 0),
    ("crt", "head_lr", 0),
    ("lws", "head_share", 1),
    ("lws", "head_lr", -1),
    ("tau-norm", "norm_tau", -0.1),
    ("balms", "head_share", 1),
    ("balms", "head_lr", 0),
    ("balms", "meta_lr", 0),
    ("balms", "meta_power", -1),
    ("dro-lt", "robust_weight", -1),
    ("dro-lt", "robust_temperature", 0),
    ("dro-lt", "robust_share", 0),
    ("dro-lt", "head_share", 0),
    ("dro-lt", "robust_lr", 0),
    ("dro-lt", "head_lr", 0),
    ("ride", "experts", 1),
    ("ride", "diversity", -0.1),
    ("ride", "reweight_start", 1),
    ("ride", "max_margin", 0),
    ("ride", "beta", 1),
    ("ride", "temperature_factor", 1.5),
    ("ride", "routing_share", 0),
    ("ride", "routing_lr", 0),
    ("ride", "teacher_weight", -1),
    ("ride", "teacher_temperature", 0),
    ("ace", "experts", 1),
    ("elm", "la_tau", -1),
    ("elm", "embedding_weight", -1),
    ("elm", "margin_tau", -1),
    ("fcc", "fcc_gamma", -1),
    ("fcc", "fcc_start", 50),
    *[
        (name, knob, 0)
        for name in ("hybrid-sc", "hybrid-psc")
        for knob in ("temperature", "hidden_width", "embedding_width")
    ],
]


@pytest.mark.parametrize(("name", "knob", "value"), BAD)
def test_a_value_out_of_range_names_the_knob(name, knob, value):
    with pytest.raises(UsageError, match=rf"^{knob} is {value}"):
        resolve(name, DATA, knobs={knob: value})


def test_every_number_of_the_methods_here_has_a_bad_value():
    tried = {(name, knob) for name, knob, _ in BAD}
    for name in {name for name, _, _ in BAD}:
        numbers = {k for k, knob in knobs_of(METHODS[name]).items() if knob.type in (int, float)}
        assert {(name, knob) for knob in numbers} <= tried


def test_shares_that_leave_nothing_for_the_first_stage_are_refused():
    with pytest.raises(UsageError, match=r"robust_share \+ head_share is 1\.1"):
        recipe_of("dro-lt", robust_share=0.6, head_share=0.5)


@pytest.mark.parametrize(
    ("name", "knobs", "said"),
    [
        ("tau-norm", {"norm_tau": "best"}, "--set norm_tau=best"),
        ("elm", {"distance": "manhattan"}, "'euclidean' or 'cosine'"),
        ("ride", {"routing": "perhaps"}, "--set routing=perhaps"),
        ("ce", {"sampler": "square"}, r"Unknown sampler 'square'. Did you mean 'square-root'"),
        ("ce", {"sampler": "class-aware:0"}, "class-aware:0"),
        ("ce", {"fcc_gamma": -1}, "fcc_gamma is -1"),
        ("ce", {"fcc_gamma": 1, "fcc_start": 2}, "fcc_start is 2"),
        ("ce", {"fcc_start": 0.5}, "no effect without fcc_gamma"),
        ("ldam-drw", {"fcc_gamma": 1}, "cosine classifier does not see"),
        ("ride", {"fcc_gamma": 1}, "cosine classifier does not see"),
    ],
)
def test_what_cannot_be_is_said(name, knobs, said):
    with pytest.raises(UsageError, match=said):
        resolve(name, DATA, knobs=knobs)


@pytest.mark.parametrize("name", METHODS)
def test_a_sampler_takes_the_place_of_instance_sampling_alone(name):
    plain = recipe_of(name).stages
    for before, after in zip(plain, recipe_of(name, sampler="class-aware:2").stages, strict=True):
        for place in ("sampler", "contrast_sampler"):
            own = getattr(before, place)
            replaced = own == "instance" and not (place == "sampler" and before.meta)
            assert getattr(after, place) == ("class-aware:2" if replaced else own)


@pytest.mark.parametrize("name", [n for n in METHODS if n not in ("ldam-drw", "ride", "fcc")])
def test_fcc_combines_with_every_classifier_that_sees_lengths(name):
    resolved = resolve(name, DATA, knobs={"fcc_gamma": 0.4, "fcc_start": 0.5})
    factors = resolved.recipe.feature_factors
    assert factors.factors.tolist() == pytest.approx([1.4, 1.3, 1.2, 1.1])
    assert factors.start == 0.5
    assert resolved.knobs.items() >= {"fcc_gamma": 0.4, "fcc_start": 0.5}.items()
    assert recipe_of(name).feature_factors is None
