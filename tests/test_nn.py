"""Encoders, heads and the one forward over all views."""

import pytest
import torch
import torch.nn.functional as F

from longtail.errors import UsageError
from longtail.nn.classifiers import CosineClassifier, LinearClassifier, class_means
from longtail.nn.encoders import (
    BasicBlock,
    CifarResNet,
    build_encoder,
    count_parameters,
    default_backbone,
)
from longtail.nn.heads import Heads, ProjectionHead
from longtail.nn.model import build_model
from longtail.nn.outputs import Scales

PICTURE = (32, 32, 3)
CONTRASTIVE = Heads(projection=(16, 8), prototypes="classifier")


def test_resnet32_has_the_published_number_of_parameters():
    assert count_parameters(build_encoder("resnet32", PICTURE)) == 463_504
    assert count_parameters(build_model("resnet32", PICTURE, 10, Heads(), seed=0)) == 464_154


@pytest.mark.parametrize(("channels_in", "channels", "stride"), [(4, 8, 2), (16, 32, 2), (4, 7, 1)])
def test_the_shortcut_takes_every_second_pixel_and_pads_zero_channels(
    channels_in, channels, stride, generator
):
    block = BasicBlock(channels_in, channels, stride)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)  # only the shortcut is left
    x = torch.rand(2, channels_in, 6, 6, generator=generator)
    expected = torch.zeros(2, channels, 6 // stride, 6 // stride)
    before = (channels - channels_in) // 2
    for channel in range(channels_in):
        for row in range(6 // stride):
            for column in range(6 // stride):
                pixel = x[:, channel, row * stride, column * stride]
                expected[:, before + channel, row, column] = pixel
    assert torch.equal(block(x), expected)
    assert {name.split(".")[0] for name, _ in block.named_parameters()} == {
        "conv1",
        "bn1",
        "conv2",
        "bn2",
    }


@pytest.mark.parametrize(("depth", "width"), [(8, 4), (14, 8), (20, 16), (32, 16)])
def test_a_resnet_has_its_depth_in_convolutions_and_four_widths_of_features(depth, width):
    encoder = CifarResNet(depth, width)
    layers = [m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(layers) == depth - 1  # and the classifier
    assert encoder.out_features == 4 * width
    assert encoder(torch.zeros(2, 3, 32, 32)).shape == (2, 4 * width)
    assert encoder(torch.zeros(2, 3, 9, 13)).shape == (2, 4 * width)


def test_weights_start_kaiming_normal():
    model = build_model("resnet32", PICTURE, 100, Heads(), seed=0)
    weight = model.encoder.stages[2][1].conv1.weight.detach()
    assert weight.std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert model.classifier.weight.detach().std() == pytest.approx((2 / 64) ** 0.5, rel=0.03)


def test_vectors_go_through_two_hidden_layers():
    encoder = build_encoder("mlp-w12", (5,))
    assert encoder.out_features == 12
    assert encoder(torch.randn(4, 5)).shape == (4, 12)
    assert build_encoder("mlp", (5,)).out_features == 256
    assert default_backbone((5,)) == "mlp"
    assert default_backbone(PICTURE) == "resnet32"


@pytest.mark.parametrize(
    ("name", "shape", "named"),
    [
        ("resnet33", PICTURE, r"6n \+ 2.*resnet32"),
        ("resnet2", PICTURE, r"6n \+ 2"),
        ("resnt32", PICTURE, "Unknown backbone 'resnt32'. Did you mean .*'resnet32'"),
        ("resnet32x", PICTURE, "Unknown backbone"),
        ("resnet8-w0", PICTURE, "at least 1"),
        ("mlp-w0", (5,), "at least 1"),
        ("mlp", PICTURE, "does not take pictures; try resnet32"),
        ("resnet32", (5,), "does not take vectors; try mlp"),
        ("timm:resnet18", (5,), "does not take vectors; try mlp"),
        ("", PICTURE, "Unknown backbone ''"),
    ],
)
def test_a_backbone_that_does_not_exist_or_fit_is_named_with_what_does(name, shape, named):
    with pytest.raises(UsageError, match=named):
        build_encoder(name, shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv3_small_050"])
def test_any_timm_model_is_an_encoder_as_wide_as_what_it_returns(name):
    pytest.importorskip("timm")
    encoder = build_encoder(f"timm:{name}", PICTURE)
    assert encoder.training
    assert encoder(torch.zeros(2, 3, 32, 32)).shape == (2, encoder.out_features)


@pytest.mark.slow
def test_a_timm_model_that_does_not_exist_or_fit_is_an_error_for_people():
    pytest.importorskip("timm")
    with pytest.raises(UsageError, match=r"no model 'resnet181'. Did you mean resnet18"):
        build_encoder("timm:resnet181", PICTURE)
    with pytest.raises(UsageError, match="does not take pictures of 32x32"):
        build_encoder("timm:vit_tiny_patch16_224", PICTURE)


def test_the_seed_decides_the_weights_and_nothing_else_is_drawn():
    state = torch.random.get_rng_state()
    one, same, other = (
        build_model("resnet8-w4", PICTURE, 3, CONTRASTIVE, seed=seed).state_dict()
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["encoder.conv1.weight"], other["encoder.conv1.weight"])
    torch.manual_seed(99)
    again = build_model("resnet8-w4", PICTURE, 3, CONTRASTIVE, seed=1).state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)


def test_one_forward_covers_the_concatenation_of_the_views(generator):
    model = build_model("resnet8-w4", (8, 8, 3), 3, CONTRASTIVE, seed=0)
    views = torch.randn(3, 4, 3, 8, 8, generator=generator)
    calls = []
    model.encoder.register_forward_hook(lambda _, inputs, __: calls.append(inputs[0]))
    outputs = model(views)
    assert [call.shape for call in calls] == [(12, 3, 8, 8)]
    # Batch norm has seen all views at once: its mean is that of the concatenation.
    maps = model.encoder.conv1(views.flatten(0, 1))
    assert torch.allclose(model.encoder.bn1.running_mean, 0.1 * maps.mean((0, 2, 3)), atol=1e-6)
    assert model.encoder.bn1.num_batches_tracked == 1
    assert outputs.logits.shape == (4, 3)
    assert outputs.embeddings.shape == (8, 8)
    assert outputs.prototypes.shape == (3, 8)


def test_logits_come_from_the_first_view_and_embeddings_view_after_view(generator):
    model = build_model("resnet8-w4", (8, 8, 3), 3, CONTRASTIVE, seed=0).eval()
    views = torch.randn(3, 4, 3, 8, 8, generator=generator)
    outputs = model(views)
    for number, view in enumerate(views):
        logits, embeddings = model.predict(view)
        if number == 0:
            assert torch.allclose(outputs.logits, logits, atol=1e-5)
        else:
            rows = outputs.embeddings[(number - 1) * 4 : number * 4]
            assert torch.allclose(rows, embeddings, atol=1e-5)


def test_a_cosine_classifier_starts_with_rows_of_length_one():
    model = build_model("mlp-w6", (5,), 3, Heads(classifier="cosine"), seed=0)
    assert model.classifier.weight.norm(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_a_rare_classifier_starts_with_every_class_as_likely_as_one_of_all():
    model = build_model("mlp-w6", (5,), 10, Heads(classifier="rare"), seed=0)
    even = torch.sigmoid(model.classifier.bias)
    assert even.tolist() == pytest.approx([0.1] * 10)
    assert build_model("mlp-w6", (5,), 1, Heads(classifier="rare"), seed=0).classifier.bias == 0


def test_class_means_are_those_of_a_loop_and_zero_without_a_sample(generator):
    features, labels = (
        torch.randn(9, 4, generator=generator),
        torch.tensor([2, 0, 2, 2, 0, 4, 4, 0, 0]),
    )
    means = class_means(features, labels, 6)
    for label in range(6):
        own = features[labels == label]
        expected = own.mean(0) if len(own) else torch.zeros(4)
        assert torch.allclose(means[label], expected, atol=1e-6)


def test_each_views_features_are_scaled_before_the_heads_by_its_own_factors(generator):
    model = build_model("resnet8-w4", (8, 8, 3), 3, CONTRASTIVE, seed=0).eval()
    views = torch.randn(3, 2, 3, 8, 8, generator=generator)
    first, others = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.25])
    plain, scaled = model(views), model(views, Scales(first, others))
    features = model.encoder(views[0])
    assert torch.allclose(scaled.features, features, atol=1e-5)
    assert torch.allclose(scaled.logits, model.classifier(features * first[:, None]), atol=1e-5)
    features = model.encoder(views[1:].flatten(0, 1)) * others.repeat(2)[:, None]
    assert torch.allclose(scaled.embeddings, model.projection(features), atol=1e-5)
    assert not torch.allclose(plain.embeddings, scaled.embeddings)
    same = model(views, Scales(torch.ones(2), torch.ones(2)))
    assert torch.equal(plain.logits, same.logits)
    assert torch.equal(plain.embeddings, same.embeddings)


def test_prototypes_teach_the_classifiers_weights_through_their_own_projection(generator):
    model = build_model("mlp-w6", (5,), 3, CONTRASTIVE, seed=0)
    model(torch.randn(3, 4, 5, generator=generator)).prototypes.square().sum().backward()
    assert model.classifier.weight.grad.abs().sum() > 0
    assert all(p.grad is not None for p in model.prototype_head.parameters())
    assert all(p.grad is None for p in model.projection.parameters())
    assert all(p.grad is None for p in model.encoder.parameters())
    assert model.prototype_head is not model.projection


def test_without_a_projection_there_is_nothing_but_logits(generator):
    model = build_model("mlp-w6", (5,), 3, Heads(), seed=0)
    outputs = model(torch.randn(1, 4, 5, generator=generator))
    assert outputs.embeddings is None
    assert outputs.prototypes is None
    assert model.predict(torch.randn(4, 5))[1] is None


def test_cosine_logits_are_scaled_cosines(generator):
    head = CosineClassifier(6, 4, scale=30.0)
    features = torch.randn(5, 6, generator=generator)
    expected = 30 * F.cosine_similarity(features[:, None], head.weight[None], dim=2)
    assert torch.allclose(head(features), expected, atol=1e-4)
    assert torch.allclose(head(7 * features), head(features), atol=1e-4)
    assert head(head.weight.detach()).diagonal().tolist() == pytest.approx([30.0] * 4)
    model = build_model("mlp-w6", (5,), 3, Heads(classifier="cosine"), seed=0)
    assert isinstance(model.classifier, CosineClassifier)
    assert model.classifier.weight.shape == LinearClassifier(6, 3).weight.shape


def test_the_projection_is_linear_norm_relu_linear(generator):
    head = ProjectionHead(6, 5, 4)
    x = torch.randn(8, 6, generator=generator)
    first, _, _, last = head
    hidden = x @ first.weight.T + first.bias
    normed = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
    expected = normed.clamp(min=0) @ last.weight.T + last.bias
    assert torch.allclose(head(x), expected, atol=1e-5)


def test_the_three_stages_halve_the_picture_twice_and_double_the_channels():
    encoder = CifarResNet(8, 4)
    shapes, x = [], torch.randn(2, 4, 32, 32)
    for stage in encoder.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(4, 32, 32), (8, 16, 16), (16, 8, 8)]
