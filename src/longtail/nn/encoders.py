"""Encoders: inputs to features [b, d]. Each has an `out_features` attribute, its d."""

import difflib
import re
from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.errors import UsageError, did_you_mean

_STRIDES = (1, 2, 2)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and an option-A shortcut.

    Where the shape changes, the shortcut takes every second pixel and pads the new channels with
    zeros, half on each side: it has no parameters (He et al. 2016, arXiv 1512.03385, 3.3 A).
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels_in, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv3x3(channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - channels_in

    def forward(self, x: Tensor) -> Tensor:
        """[b, channels_in, h, w] to [b, channels, h / stride, w / stride]."""
        # In place: batch norm keeps its input for the gradient, and nobody its output.
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += self._shortcut(x)
        return F.relu(y, inplace=True)

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride == 1 and not self.new_channels:
            return x
        before = self.new_channels // 2
        sides = (0, 0, 0, 0, before, self.new_channels - before)
        return F.pad(x[:, :, :: self.stride, :: self.stride], sides)


class CifarResNet(nn.Module):
    """The ResNet for 32x32 pictures: depth 6n + 2, three stages of n blocks, global average pool.

    ResNet-32 at width 16 has 64 features and 0.46 million parameters without its classifier.
    Weights start Kaiming-normal, as LDAM-DRW and its successors train it (He et al. 2016, 4.2).

    Args:
        depth: 6n + 2 (8, 14, 20, 32, 44, 56, ...).
        width: channels of the first stage; the next two have twice and four times as many.
    """

    def __init__(self, depth: int = 32, width: int = 16) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise UsageError(
                f"resnet{depth}: the depth must be 6n + 2; try resnet8, resnet20 or resnet32."
            )
        self.blocks = (depth - 2) // 6
        self.widths = (width, 2 * width, 4 * width)
        self.conv1 = _conv3x3(3, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.stages = nn.Sequential(*_stages(width, self.widths, _STRIDES, self.blocks))
        self.out_features = self.widths[-1]
        self.apply(_kaiming)

    def forward(self, x: Tensor) -> Tensor:
        """[b, 3, h, w] pictures to [b, 4 * width] features."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        maps: Tensor = self.stages(x)
        return maps.mean((2, 3))

    def trunk(self, shared: int) -> nn.Sequential:
        """Its stem and first `shared` stages under their own names: pictures to feature maps."""
        stem = {"conv1": self.conv1, "bn1": self.bn1, "relu": nn.ReLU(inplace=True)}
        return nn.Sequential(OrderedDict(**stem, stages=self.stages[:shared]))

    def branch(self, shared: int, factor: float) -> "Branch":
        """Fresh stages after the first `shared`, `factor` times as wide: maps to features."""
        channels_in = self.widths[max(shared - 1, 0)]
        widths = tuple(_scaled(width, factor) for width in self.widths[shared:])
        stages = _stages(channels_in, widths, _STRIDES[shared:], self.blocks)
        return Branch(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), out_features=widths[-1])


class VectorEncoder(nn.Module):
    """Two hidden layers with batch norm, for tables of features or embeddings.

    Args:
        in_features: length of a vector.
        width: of both hidden layers, and of the output.
    """

    def __init__(self, in_features: int, width: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_hidden(in_features, width), *_hidden(width, width))
        self.out_features = width
        self.apply(_kaiming)

    def forward(self, x: Tensor) -> Tensor:
        """[b, in_features] to [b, width]."""
        features: Tensor = self.layers(x)
        return features

    def trunk(self) -> nn.Sequential:
        """Its first hidden layer: [b, in_features] to [b, width]."""
        return self.layers[:3]

    def branch(self, factor: float) -> "Branch":
        """A fresh second hidden layer, `factor` times as wide."""
        width = _scaled(self.out_features, factor)
        return Branch(*_hidden(self.out_features, width), out_features=width)


class Branch(nn.Sequential):
    """The later part of an encoder, owned by one expert: from the trunk's output to features.

    Args:
        layers: in order.
        out_features: d.
    """

    def __init__(self, *layers: nn.Module, out_features: int) -> None:
        super().__init__(*layers)
        self.out_features = out_features
        self.apply(_kaiming)


class TimmEncoder(nn.Module):
    """Any timm model without its classifier, with freshly initialised weights.

    Args:
        name: of `timm.list_models()`.
        input_shape: (h, w, 3) of the pictures.
    """

    def __init__(self, name: str, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise UsageError(
                f"backbone timm:{name} needs timm, which is not installed; "
                "type: pip install 'longtail[timm]'"
            ) from error
        if name not in timm.list_models():
            raise UsageError(f"timm has no model {name!r}. {_near_timm(name, timm.list_models())}")
        self.model = timm.create_model(name, pretrained=False, num_classes=0)
        self.out_features = self._width(name, input_shape)

    def _width(self, name: str, input_shape: tuple[int, ...]) -> int:
        # By trial: some models widen after `num_features`, some take one size of picture only.
        height, width, channels = input_shape
        try:
            with torch.no_grad():
                features = self.model.eval()(torch.zeros(1, channels, height, width))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UsageError(
                f"backbone timm:{name} does not take pictures of {height}x{width} "
                f"({str(error).splitlines()[0]}); try another, or resnet32."
            ) from error
        self.model.train()
        return int(features.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """[b, 3, h, w] pictures to [b, out_features]."""
        features: Tensor = self.model(x)
        return features


def default_backbone(input_shape: tuple[int, ...]) -> str:
    """The paper's ResNet-32 for pictures, two hidden layers for vectors."""
    return "resnet32" if len(input_shape) == 3 else "mlp"


def build_encoder(name: str, input_shape: tuple[int, ...]) -> nn.Module:
    """An encoder by the name people type.

    Args:
        name: resnetD or resnetD-wW (D depth, W width: resnet32, resnet8-w8), mlp or mlp-wW for
            vectors, timm:NAME for any timm model.
        input_shape: (h, w, 3) of a picture or (d,) of a vector.

    Raises:
        UsageError: an unknown name, or an encoder that does not fit the inputs.
    """
    pictures = len(input_shape) == 3
    resnet = re.fullmatch(r"resnet(\d+)(?:-w(\d+))?", name)
    mlp = re.fullmatch(r"mlp(?:-w(\d+))?", name)
    if not (resnet or mlp or name.startswith("timm:")):
        known = ["resnet8", "resnet20", "resnet32", "resnet8-w8", "mlp", "timm:NAME"]
        raise UsageError(f"Unknown backbone {name!r}. {did_you_mean(name, known)}")
    if pictures == bool(mlp):
        inputs = "pictures" if pictures else "vectors"
        raise UsageError(
            f"backbone {name} does not take {inputs}; try {default_backbone(input_shape)}."
        )
    if name.endswith("-w0"):
        raise UsageError(f"backbone {name}: a width must be at least 1.")
    if resnet:
        return CifarResNet(int(resnet[1]), int(resnet[2] or 16))
    if mlp:
        return VectorEncoder(input_shape[0], int(mlp[1] or 256))
    return TimmEncoder(name.removeprefix("timm:"), input_shape)


def channels_last(inputs: Tensor) -> Tensor:
    """Pictures laid out as the convolutions of CPUs and tensor cores are fastest on."""
    if inputs.ndim != 4:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)


def split_encoder(
    name: str, input_shape: tuple[int, ...], shared_stages: int, width: float
) -> tuple[nn.Module, Callable[[], Branch]]:
    """An encoder cut in two: the trunk that experts share, and what makes each one's own branch.

    A branch takes what the trunk returns. A ResNet has its stem and `shared_stages` of its three
    stages in the trunk. An mlp can be cut in one place only, between its two hidden layers,
    whatever `shared_stages` is, so that a recipe for pictures also trains on vectors.

    Args:
        name: as `build_encoder` takes it, but not timm:NAME.
        input_shape: (h, w, 3) of a picture or (d,) of a vector.
        shared_stages: 0 (the stem alone) to 2.
        width: factor on the widths of the branch's layers, rounded, at least 1 channel.

    Raises:
        UsageError: an encoder that cannot be cut, or not there.
    """
    if name.startswith("timm:"):
        raise UsageError(
            f"backbone {name} cannot be cut into a trunk and experts; "
            "try resnet32 or another resnetD for pictures, mlp for vectors."
        )
    encoder = build_encoder(name, input_shape)
    if isinstance(encoder, VectorEncoder):
        return encoder.trunk(), lambda: encoder.branch(width)
    assert isinstance(encoder, CifarResNet)
    if shared_stages >= len(encoder.widths):
        raise UsageError(
            f"shared_stages={shared_stages}: {name} has {len(encoder.widths)} stages and each "
            f"expert needs one of its own; share at most {len(encoder.widths) - 1}."
        )
    return encoder.trunk(shared_stages), lambda: encoder.branch(shared_stages, width)


def _stages(
    channels_in: int, widths: tuple[int, ...], strides: tuple[int, ...], blocks: int
) -> list[nn.Sequential]:
    return [
        _stage(before, channels, blocks=blocks, stride=stride)
        for before, channels, stride in zip((channels_in, *widths), widths, strides, strict=False)
    ]


def _hidden(in_features: int, width: int) -> list[nn.Module]:
    return [nn.Linear(in_features, width), nn.BatchNorm1d(width), nn.ReLU()]


def _scaled(width: int, factor: float) -> int:
    return max(1, round(width * factor))


def _stage(channels_in: int, channels: int, *, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)))


def _conv3x3(channels_in: int, channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)


def _kaiming(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)


def _near_timm(name: str, known: list[str]) -> str:
    # timm lists over a thousand models: only the near ones help.
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"Did you mean {' or '.join(near)}?" if near else "timm.list_models() shows all."


def count_parameters(module: nn.Module) -> int:
    """Parameters in all, whether or not a stage has them learn."""
    return sum(p.numel() for p in module.parameters())
