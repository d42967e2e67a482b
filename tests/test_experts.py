"""Several experts on a shared trunk: structure, combination, routing, class splits."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import DataError, UsageError
from longtail.methods.ace import ace_splits
from longtail.nn.encoders import BasicBlock, build_encoder, count_parameters, split_encoder
from longtail.nn.ensemble import combine_owned, ownership
from longtail.nn.experts import ExpertModel, Router
from longtail.nn.heads import Experts, Heads
from longtail.nn.outputs import Scales
from longtail.nn.weights import read_weights, write_weights

PICTURE = (32, 32, 3)
SMALL = (8, 8, 3)
RIDE = Heads(classifier="cosine", experts=Experts(3, width=0.75))
ROUTED = Heads(classifier="cosine", experts=Experts(3, width=0.75, router=True))
OWNED = ((0, 1, 2, 3, 4), (3, 4, 1), (4,))
ACE = Heads(experts=Experts(3, shared_stages=2, owned=OWNED))


def make(heads: Heads, backbone: str = "resnet8-w4", shape=SMALL, classes: int = 5) -> ExpertModel:
    """A small model whose weights and batch-norm statistics are nobody's default."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ExpertModel(backbone, shape, classes, heads)
        model(torch.randn(1, 16, *(shape if len(shape) == 1 else (3, *shape[:2]))))
    return model


def random_router(model: ExpertModel, generator: torch.Generator) -> None:
    """Scores of both signs."""
    torch.nn.init.normal_(model.router.score.weight, generator=generator)
    torch.nn.init.zeros_(model.router.score.bias)


# structure


def test_rides_experts_have_the_parameters_counted_by_hand():
    model = ExpertModel("resnet32", PICTURE, 100, RIDE)
    trunk = 3 * 16 * 9 + 32 + 5 * (2 * 16 * 16 * 9 + 64)
    stage2 = (16 + 24) * 24 * 9 + 96 + 4 * (2 * 24 * 24 * 9 + 96)
    stage3 = (24 + 48) * 48 * 9 + 192 + 4 * (2 * 48 * 48 * 9 + 192)
    assert count_parameters(model.encoder) == trunk == 23_824
    assert count_parameters(model.experts[0]) == stage2 + stage3 + 100 * 48
    assert count_parameters(model) == trunk + 3 * (stage2 + stage3 + 4800) == 783_856
    routed = ExpertModel("resnet32", PICTURE, 100, ROUTED)
    assert count_parameters(routed.router) == 2 * (48 * 16 + 16) + 16 + 30 + 1


def test_experts_of_an_mlp_share_its_first_layer_and_own_the_second():
    heads = Heads(experts=Experts(2, shared_stages=2, width=0.5))
    model = ExpertModel("mlp-w8", (5,), 3, heads)
    assert count_parameters(model.encoder) == 5 * 8 + 8 + 16
    assert count_parameters(model.experts[1]) == 8 * 4 + 4 + 8 + 4 * 3 + 3
    assert model(torch.randn(1, 6, 5)).expert_logits.shape == (6, 2, 3)


@pytest.mark.parametrize(("name", "shape"), [("resnet8-w4", SMALL), ("mlp-w6", (5,))])
@pytest.mark.parametrize("shared", [0, 1, 2])
def test_trunk_and_branch_of_full_width_are_the_whole_encoder(name, shape, shared, generator):
    encoder = build_encoder(name, shape).eval()
    trunk, make_branch = split_encoder(name, shape, shared, 1.0)
    branch = make_branch().eval()
    assert branch.out_features == encoder.out_features
    weights = list(encoder.state_dict().values())
    cut = len(trunk.state_dict())
    trunk.load_state_dict(dict(zip(trunk.state_dict(), weights[:cut], strict=True)))
    branch.load_state_dict(dict(zip(branch.state_dict(), weights[cut:], strict=True)))
    x = torch.randn(2, *(shape if len(shape) == 1 else (3, 8, 8)), generator=generator)
    assert torch.allclose(branch(trunk.eval()(x)), encoder(x), atol=1e-6)


def test_the_trunk_keeps_the_names_of_the_encoders_layers():
    trunk, _ = split_encoder("resnet8-w4", SMALL, 2, 1.0)
    whole = build_encoder("resnet8-w4", SMALL).state_dict()
    assert list(trunk.state_dict()) == [name for name in whole if "stages.2" not in name]


@pytest.mark.parametrize("width", [0.05, 0.25, 0.6, 1.5])
@pytest.mark.parametrize("shared", [0, 1, 2])
def test_own_stages_may_be_narrower_or_wider_than_the_trunk(width, shared):
    trunk, make_branch = split_encoder("resnet8-w8", SMALL, shared, width)
    branch = make_branch()
    assert branch.out_features == max(1, round(32 * width))
    assert branch(trunk(torch.randn(2, 3, 8, 8))).shape == (2, branch.out_features)
    blocks = [block for block in branch.modules() if isinstance(block, BasicBlock)]
    assert [block.stride for block in blocks] == [1, 2, 2][shared:]


def test_names_are_the_prefixes_that_freezing_and_learning_rates_use():
    names = [name for name, _ in make(ROUTED).named_parameters()]
    for prefix in ("encoder", "experts.0", "experts.2.branch", "experts.1.classifier", "router"):
        assert any(name.startswith(f"{prefix}.") for name in names), prefix
    assert {name.split(".")[0] for name in names} == {"encoder", "experts", "router"}


def test_experts_start_different_and_branches_kaiming_normal():
    model = ExpertModel("resnet20", PICTURE, 5, RIDE)
    one, other, _ = (expert.branch[1][1].conv1.weight.detach() for expert in model.experts)
    assert not torch.equal(one, other)
    assert one.std() == pytest.approx((2 / (48 * 9)) ** 0.5, rel=0.03)


# forward


@pytest.mark.parametrize("classifier", ["linear", "cosine", "scaled"])
def test_outputs_are_those_of_a_loop_over_experts_and_samples(classifier, generator):
    model = make(Heads(classifier=classifier, experts=Experts(3, width=0.75))).eval()
    views = torch.randn(1, 4, 3, 8, 8, generator=generator)
    outputs = model(views)
    for sample, number in itertools.product(range(4), range(3)):
        expert = model.experts[number]
        features = expert.branch(model.encoder(views[0, sample : sample + 1]))
        logits = expert.classifier(features)[0]
        assert torch.allclose(outputs.expert_logits[sample, number], logits, atol=1e-5)
        width = features.shape[1]
        mine = outputs.features[sample, number * width : (number + 1) * width]
        assert torch.allclose(mine, features[0], atol=1e-5)
    mean = sum(outputs.expert_logits[:, number] for number in range(3)) / 3
    assert torch.allclose(outputs.logits, mean, atol=1e-5)
    assert outputs.embeddings is outputs.prototypes is outputs.radii is outputs.routing is None
    assert model.prototypes() is None
    logits, embeddings = model.predict(views[0])
    assert embeddings is None
    assert torch.equal(logits, outputs.logits)
    assert torch.equal(model.features(views[0]), outputs.features)


def test_only_the_first_view_is_looked_at(generator):
    model = make(RIDE).eval()
    views = torch.randn(2, 4, 3, 8, 8, generator=generator)
    assert torch.equal(model(views).logits, model(views[:1]).logits)


def test_each_experts_loss_teaches_the_trunk_and_itself_alone(generator):
    model = make(ROUTED)
    views = torch.randn(1, 4, 3, 8, 8, generator=generator)
    for number in range(3):
        model.zero_grad()
        model(views).expert_logits[:, number].logsumexp(1).sum().backward()
        taught = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert "encoder.conv1.weight" in taught
        assert f"experts.{number}.classifier.weight" in taught
        assert f"experts.{number}.branch.0.0.conv1.weight" in taught
        others = [name for name in taught if not name.startswith(("encoder", f"experts.{number}"))]
        assert not others


@pytest.mark.parametrize("teachers", ["all", "first"])
def test_the_trunk_learns_from_all_experts_or_the_first_alone(teachers, generator):
    model = make(Heads(experts=Experts(3, trunk_learns_from=teachers)))
    views = torch.randn(1, 4, 3, 8, 8, generator=generator)
    for number in range(3):
        model.zero_grad()
        model(views).expert_logits[:, number].square().sum().backward()
        taught = any(p.grad is not None and p.grad.any() for p in model.encoder.parameters())
        assert taught == (number == 0 or teachers == "all")
        assert model.experts[number].classifier.weight.grad.any()


def test_factors_scale_each_samples_features_before_the_classifiers(generator):
    model = make(Heads(experts=Experts(2))).eval()
    views = torch.randn(1, 3, 3, 8, 8, generator=generator)
    factors = torch.tensor([1.0, 0.5, 2.0])
    plain, scaled = model(views), model(views, Scales(factors, factors))
    assert torch.equal(scaled.features, plain.features)  # they are the encoder's own
    bias = torch.stack([expert.classifier.bias for expert in model.experts])
    expected = (plain.expert_logits - bias) * factors[:, None, None] + bias
    assert torch.allclose(scaled.expert_logits, expected, atol=1e-4)


@pytest.mark.parametrize("heads", [RIDE, ROUTED, ACE])
def test_weights_survive_the_file(heads, tmp_path, generator):
    model = make(heads).eval()
    write_weights(tmp_path / "model.safetensors", model)
    again = ExpertModel("resnet8-w4", SMALL, 5, heads).eval()
    again.load_state_dict(read_weights(tmp_path / "model.safetensors"))
    x = torch.randn(4, 3, 8, 8, generator=generator)
    assert torch.equal(model.predict(x)[0], again.predict(x)[0])


@pytest.mark.parametrize("heads", [RIDE, ROUTED, ACE])
def test_bfloat16_autocast_stays_near_float32(heads, generator):
    model = make(heads)
    if heads is ROUTED:
        random_router(model, generator)
    views = torch.randn(1, 8, 3, 8, 8, generator=generator)
    exact = model(views)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(views)
        model.eval().predict(views[0])
    assert torch.allclose(rough.logits.float(), exact.logits, rtol=0.05, atol=0.5)
    rough.logits.float().logsumexp(1).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# combination of owned classes


def slow_combination(expert_logits, norms, owned):
    """Plain loops over samples, classes and owners."""
    sizes = [np.mean([norms[k][c] for c in classes]) for k, classes in enumerate(owned)]
    factors = [np.mean(sizes) / size if size > 0 else 1 for size in sizes]
    batch, _, num_classes = expert_logits.shape
    combined = np.zeros((batch, num_classes))
    for row, label in itertools.product(range(batch), range(num_classes)):
        owners = [k for k, classes in enumerate(owned) if label in classes]
        scaled = [factors[k] * expert_logits[row, k, label] for k in owners]
        combined[row, label] = sum(scaled) / len(owners)
    return combined


def test_owned_classes_are_combined_as_in_a_slow_loop(generator):
    logits = torch.randn(6, 3, 5, generator=generator, dtype=torch.float64)
    norms = torch.rand(3, 5, generator=generator, dtype=torch.float64)
    for zero in ([], [1], [0, 1, 2]):
        norms[zero] = 0
        found = combine_owned(logits, norms, ownership(OWNED, 5))
        expected = slow_combination(logits.numpy(), norms.numpy(), OWNED)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_an_expert_with_larger_weights_has_no_larger_say(generator):
    logits = torch.randn(6, 3, 5, generator=generator, dtype=torch.float64)
    norms = torch.rand(3, 5, generator=generator, dtype=torch.float64)
    owned = ownership(OWNED, 5)
    before = combine_owned(logits, norms, owned)
    logits[:, 2] *= 40
    norms[2] *= 40
    after = combine_owned(logits, norms, owned)
    ratio = after / before
    assert torch.allclose(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-12)


def test_equal_norms_and_common_classes_give_the_plain_mean(generator):
    logits = torch.randn(6, 3, 5, generator=generator)
    everyone = torch.ones(3, 5, dtype=torch.bool)
    found = combine_owned(logits, torch.full((3, 5), 0.7), everyone)
    assert torch.allclose(found, logits.mean(1), atol=1e-6)


@pytest.mark.parametrize("classifier", ["linear", "cosine", "scaled"])
def test_the_model_combines_with_the_norms_its_logits_feel(classifier, generator):
    model = make(Heads(classifier=classifier, experts=Experts(3, owned=OWNED))).eval()
    x = torch.randn(4, 3, 8, 8, generator=generator)
    norms = np.ones((3, 5))
    for number, expert in enumerate(model.experts):
        expert.classifier.weight.data *= number + 1
        if classifier == "scaled":
            expert.classifier.scale.data = torch.tensor([1.0, -2, 3, -4, 5])
        for label, row in enumerate(expert.classifier.weight.tolist()):
            if classifier != "cosine":
                norms[number, label] = sum(weight**2 for weight in row) ** 0.5
            if classifier == "scaled":
                norms[number, label] *= label + 1
    outputs = model(x[None])
    expected = slow_combination(outputs.expert_logits.detach().numpy(), norms, OWNED)
    np.testing.assert_allclose(outputs.logits.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(model.predict(x)[0], outputs.logits)


def test_weights_of_zero_give_finite_logits_and_gradients(generator):
    model = make(ACE)
    for expert in model.experts:
        torch.nn.init.zeros_(expert.classifier.weight)
    logits = model(torch.randn(1, 4, 3, 8, 8, generator=generator)).logits
    logits.logsumexp(1).sum().backward()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("owned", "named"),
    [
        (((0, 1, 2), (5,)), r"Expert 1 owns \[5\].*0 to 4"),
        (((0, 1, 2), (-1,)), r"Expert 1 owns \[-1\]"),
        (((0, 1, 2, 3, 4), ()), r"Expert 1 owns \[\]"),
        (((0, 1), (4, 1)), r"No expert owns the classes \[2, 3\]"),
    ],
)
def test_ownership_that_does_not_fit_the_classes_is_refused(owned, named):
    with pytest.raises(UsageError, match=named):
        make(Heads(experts=Experts(2, owned=owned)))


# routing


def test_before_training_the_router_asks_every_expert(generator):
    model = make(ROUTED).eval()
    x = 100 * torch.randn(8, 3, 8, 8, generator=generator)
    assert (model(x[None]).routing > 0).all()
    logits, used = model.predict_routed(x)
    assert used.dtype == torch.int64
    assert used.tolist() == [3] * 8
    assert torch.allclose(logits, model(x[None]).logits, atol=1e-4)


def test_a_router_that_says_no_leaves_the_first_expert_alone(generator):
    model = make(ROUTED).eval()
    torch.nn.init.constant_(model.router.score.bias, 0.0)  # a score of 0 stops, too
    x = torch.randn(8, 3, 8, 8, generator=generator)
    logits, used = model.predict_routed(x)
    assert used.tolist() == [1] * 8
    assert torch.allclose(logits, model(x[None]).expert_logits[:, 0], atol=1e-5)


def test_each_sample_stops_at_its_first_negative_score(generator):
    model = make(ROUTED).eval()
    random_router(model, generator)
    x = torch.randn(64, 3, 8, 8, generator=generator)
    # A large logit stops, and half of the second scores are above 0: the logits' scale matters.
    model.router.score.weight.data[0, -model.router.top] -= 3
    model.router.score.bias.data -= model(x[None]).routing[:, 1].quantile(0.5)
    outputs = model(x[None])
    found, used = model.predict_routed(x)
    for row, scores in enumerate(outputs.routing.tolist()):
        asked = 1
        while asked < 3 and scores[asked - 1] > 0:
            asked += 1
        assert used[row] == asked
        mean = outputs.expert_logits[row, :asked].mean(0)
        assert torch.allclose(found[row], mean, atol=1e-4)
    assert set(used.tolist()) == {1, 2, 3}, "the example must show every length"
    assert torch.equal(model.predict(x)[0], found)


def test_an_expert_computes_nothing_for_samples_that_stopped_before_it(generator):
    model = make(ROUTED).eval()
    random_router(model, generator)
    x = torch.randn(64, 3, 8, 8, generator=generator)
    rows = {name: [] for name in ("encoder", "0", "1", "2")}
    model.encoder.register_forward_hook(lambda _, a, __: rows["encoder"].append(len(a[0])))
    for number, expert in enumerate(model.experts):
        expert.branch.register_forward_hook(
            lambda _, a, __, name=str(number): rows[name].append(len(a[0]))
        )
    used = model.predict_routed(x)[1]
    assert rows == {
        "encoder": [64],
        "0": [64],
        "1": [int((used > 1).sum())],
        "2": [int((used > 2).sum())],
    }
    torch.nn.init.constant_(model.router.score.bias, -1e4)
    model.predict(x)
    assert rows["0"][1:] == [64]
    assert len(rows["1"]) == len(rows["2"]) == 1


def test_scores_are_those_of_a_slow_loop(generator):
    router = Router(in_features=6, num_classes=4, experts=3, top=3)
    torch.nn.init.normal_(router.score.weight, generator=generator)
    features = torch.randn(5, 6, generator=generator)
    logits = torch.randn(5, 4, generator=generator)
    for asked in (1, 2):
        found = router(asked, features, logits)
        layer = router.hidden[asked - 1]
        for row in range(5):
            unit = features[row] / features[row].square().sum().sqrt()
            hidden = (layer.weight @ unit + layer.bias).clamp(min=0)
            largest = torch.tensor(sorted(logits[row].tolist(), reverse=True)[:3])
            expected = router.score.weight[0] @ torch.cat((hidden, largest)) + router.score.bias
            assert found[row].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)


def test_the_router_sees_the_last_experts_features_and_the_running_mean(generator):
    model = make(ROUTED).eval()
    random_router(model, generator)
    outputs = model(torch.randn(1, 4, 3, 8, 8, generator=generator))
    features = outputs.features.chunk(3, 1)
    first = model.router(1, features[0], outputs.expert_logits[:, 0])
    both = (outputs.expert_logits[:, 0] + outputs.expert_logits[:, 1]) / 2
    second = model.router(2, features[1], both)
    assert outputs.routing.shape == (4, 2)
    assert torch.allclose(outputs.routing, torch.stack((first, second), 1), atol=1e-5)


def test_the_router_learns_and_teaches_nobody_else(generator):
    model = make(ROUTED)
    views = torch.randn(1, 16, 3, 8, 8, generator=generator)
    optimizer = torch.optim.SGD(model.router.parameters(), lr=0.1)
    for _ in range(2):  # the hidden layers learn once the last one is no longer zero
        optimizer.zero_grad()
        routing = model(views).routing
        F.binary_cross_entropy_with_logits(routing, torch.zeros_like(routing)).backward()
        optimizer.step()
    taught = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert {name.split(".")[0] for name in taught} == {"router"}
    assert {"router.hidden.0.weight", "router.hidden.1.weight", "router.score.weight"} <= taught


def test_while_training_prediction_asks_everyone(generator):
    model = make(ROUTED)
    torch.nn.init.constant_(model.router.score.bias, -1.0)
    x = torch.randn(8, 3, 8, 8, generator=generator)
    expected = model(x[None]).logits
    assert torch.allclose(model.predict(x)[0], expected, atol=1e-4)


@pytest.mark.parametrize("heads", [RIDE, ACE])
def test_without_a_router_every_expert_is_used(heads, generator):
    model = make(heads).eval()
    x = torch.randn(4, 3, 8, 8, generator=generator)
    logits, used = model.predict_routed(x)
    assert used.dtype == torch.int64
    assert used.tolist() == [3] * 4
    assert torch.equal(logits, model.predict(x)[0])


def test_few_classes_and_single_samples_can_be_routed(generator):
    model = make(ROUTED, classes=2).eval()
    random_router(model, generator)
    x = torch.randn(9, 3, 8, 8, generator=generator)
    together, used = model.predict_routed(x)
    for row in range(9):
        alone, asked = model.predict_routed(x[row : row + 1])
        assert asked == used[row]
        assert torch.allclose(alone[0], together[row], atol=1e-4)
    assert model.predict_routed(x[:0])[0].shape == (0, 2)


# settings


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"number": 1}, "experts=1: there must be at least 2"),
        ({"number": 2, "shared_stages": -1}, "shared_stages=-1"),
        ({"number": 2, "width": 0.0}, r"width=0\.0"),
        ({"number": 2, "owned": ((0,),)}, "owned has 1 sets of classes for 2 experts"),
        ({"number": 2, "owned": ((0,), (1,)), "router": True}, "either owned classes or a router"),
    ],
)
def test_experts_that_cannot_be_are_refused(arguments, named):
    with pytest.raises(UsageError, match=named):
        Experts(**arguments)


@pytest.mark.parametrize(
    ("backbone", "shape", "heads", "named"),
    [
        ("timm:resnet18", PICTURE, RIDE, "timm:resnet18 cannot be cut.*try resnet32.*mlp"),
        ("mlp", PICTURE, RIDE, "does not take pictures"),
        ("resnet8", PICTURE, Heads(experts=Experts(2, shared_stages=3)), "share at most 2"),
        ("resnet8", PICTURE, Heads(), "experts have classifiers and no other heads"),
        ("resnet8", PICTURE, Heads(projection=(8, 8), experts=Experts(2)), "no other heads"),
        ("resnet8", PICTURE, Heads(radii=True, experts=Experts(2)), "no other heads"),
        ("resnet8", PICTURE, Heads(nearest_mean=True, experts=Experts(2)), "no other heads"),
    ],
)
def test_a_backbone_or_head_that_experts_cannot_use_is_named(backbone, shape, heads, named):
    with pytest.raises(UsageError, match=named):
        ExpertModel(backbone, shape, 5, heads)


# class splits


def test_three_experts_follow_many_medium_and_few_where_all_exist():
    counts = [500, 477, 101, 100, 20, 19, 5]
    assert ace_splits(counts) == (tuple(range(7)), (3, 4, 5, 6), (5, 6))
    shuffled = [19, 500, 100, 5, 101]
    assert ace_splits(shuffled) == ((1, 4, 2, 0, 3), (2, 0, 3), (0, 3))


def test_without_all_groups_the_ranking_is_cut_into_equal_parts():
    cifar10_lt = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert [len(split) for split in ace_splits(cifar10_lt)] == [10, 7, 4]
    assert [len(split) for split in ace_splits(cifar10_lt, experts=4)] == [10, 8, 5, 3]
    assert [len(split) for split in ace_splits([500, 50, 5], experts=2)] == [3, 2]
    assert ace_splits([1, 1, 1, 1, 1, 1]) == ((0, 1, 2, 3, 4, 5), (2, 3, 4, 5), (4, 5))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 600), min_size=4, max_size=30).filter(any), st.integers(2, 4))
def test_splits_are_ever_shorter_tails_of_the_ranking(counts, experts):
    splits = ace_splits(counts, experts)
    assert len(splits) == experts
    assert sorted(splits[0]) == list(range(len(counts)))
    for longer, shorter in itertools.pairwise(splits):
        assert 0 < len(shorter) < len(longer)
        assert longer[-len(shorter) :] == shorter
    keys = [(-counts[label], label) for label in splits[0]]
    assert keys == sorted(keys)
    assert ownership(splits, len(counts))[0].all()
    assert Experts(experts, owned=splits).owned == splits


def test_fewer_classes_than_experts_is_an_error_for_people():
    with pytest.raises(DataError, match="2 classes cannot be split over 3 experts; use at most 2"):
        ace_splits([50, 5])
