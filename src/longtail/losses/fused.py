"""The contrastive softmax in Triton: no score leaves the program that needs it.

One kernel gives the value, and keeps the normaliser of each anchor; two take the scores again and
give the gradients of features and of prototypes (`fused_kernels`). Nothing is added up in an order
that changes between runs, and nothing makes the host wait, so that a CUDA graph can hold it.

Rows in half precision are multiplied as they are, exactly, and added up in float32: the value has
float32's error. Their gradient is a sum of rows weighted by probabilities, which go into that
product in TF32: the rows stay exact, and each weight loses less than 2**-10 of itself, no more than
the rounding of the gradient to its type. (Weights in the rows' type would not do: float16 ends at
6e-8, and they fall with the square of the batch.) Rows in float32 never see TF32.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from longtail.losses.fused_kernels import features_kernel, forward_kernel, prototypes_kernel
from longtail.losses.instances import EPSILON, Contrast, without_rows
from longtail.losses.plain import differentiable_gradients


class Tiles(NamedTuple):
    """How a kernel is cut: the rows a program owns, those it reads at a time, and its warps."""

    block: int
    tile: int
    warps: int


class Operands(NamedTuple):
    """What every kernel reads, in the order of its arguments.

    Attributes:
        features: [n, d], raw.
        prototypes: [c, d], raw; [0, d] without any.
        labels: int64 [n].
        anchor_size: float32 [n], what a product with a feature as anchor is multiplied by.
        key_size: float32 [n], and as key.
        prototype_size: float32 [c].
        feature_along: float32 [n], 1 / length of rows whose gradient lies across them, else 0.
        prototype_along: float32 [c].
        key_weight: float32 [c].
        own_weight: float32 [n].
        share: float32 [n].
        positive_share: float32 [n], share over the number of positives.
    """

    features: Tensor
    prototypes: Tensor
    labels: Tensor
    anchor_size: Tensor
    key_size: Tensor
    prototype_size: Tensor
    feature_along: Tensor
    prototype_along: Tensor
    key_weight: Tensor
    own_weight: Tensor
    share: Tensor
    positive_share: Tensor


def fused(c: Contrast, tiles: Tiles | None = None) -> Tensor:
    """The kernel's sum (see `instances`).

    Args:
        c: one that `kernels.triton` lets through.
        tiles: None takes `tiles_for` the features; each size is a power of 2 of at least 16.
    """
    tiles = tiles or tiles_for(c.features)
    value: Tensor = _Fused.apply(c.features, c.prototypes, without_rows(c), tiles)
    return value


def tiles_for(features: Tensor) -> Tiles:
    """Sizes that fit the registers of sm_80 to sm_90; their speed on a GPU is not measured yet.

    A program owns few rows where there are few, so that all multiprocessors have work.
    """
    n, d = features.shape
    if features.dtype == torch.float32:
        return Tiles(16, 16, 4)  # no tensor cores here: each thread multiplies from its registers
    if n <= 4096:
        return Tiles(16, 64, 4)
    return Tiles(32, 64, 4) if d <= 128 else Tiles(32, 32, 4)


class _Fused(torch.autograd.Function):
    """Keeps the normalisers [n] and the rows' factors, and takes the scores again."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, prototypes: Tensor | None, c: Contrast, tiles: Tiles
    ) -> Tensor:
        operands = _operands(c._replace(features=features, prototypes=prototypes))
        normaliser, terms = torch.empty_like(operands.share), torch.empty_like(operands.share)
        _launch(forward_kernel, len(features), operands, (normaliser, terms), tiles)
        ctx.save_for_backward(features, prototypes, *operands, normaliser)
        ctx.tiles, ctx.contrast = tiles, c
        return terms.sum()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        features, prototypes, *saved, normaliser = ctx.saved_tensors
        if torch.is_grad_enabled():
            c = ctx.contrast._replace(features=features, prototypes=prototypes)
            return *differentiable_gradients(c, upstream), None, None
        operands = Operands(*saved)
        wanted = zip(
            ctx.needs_input_grad[:2],
            (features_kernel, prototypes_kernel),
            (operands.features, operands.prototypes),
            strict=True,
        )
        gradients = [
            _gradient(kernel, rows, operands, normaliser, upstream, ctx.tiles) if needed else None
            for needed, kernel, rows in wanted
        ]
        return (*gradients, None, None)


def _gradient(
    kernel: Any,
    rows: Tensor,
    operands: Operands,
    normaliser: Tensor,
    upstream: Tensor,
    tiles: Tiles,
) -> Tensor:
    gradient = torch.empty_like(rows)
    _launch(kernel, len(rows), operands, (normaliser, upstream, gradient), tiles)
    return gradient


def _launch(
    kernel: Any, rows: int, operands: Operands, outputs: tuple[Tensor, ...], tiles: Tiles
) -> None:
    """One program for each block of rows."""
    features = operands.features
    sizes = (len(features), len(operands.prototypes))
    with torch.cuda.device(features.get_device()):
        kernel[(-(-rows // tiles.block),)](
            *operands,
            *outputs,
            *sizes,
            **constants_of(kernel, features, tiles),
            **options_of(tiles),
        )


def constants_of(kernel: Any, features: Tensor, tiles: Tiles) -> dict[str, Any]:
    """What a kernel is built for, by the names of its arguments."""
    d = features.shape[1]
    constants: dict[str, Any] = {
        "D": d,
        "WIDTH": max(16, 1 << (d - 1).bit_length()),
        "BLOCK": tiles.block,
        "TILE": tiles.tile,
        # On the CPU there is but Triton's interpreter, which reads bfloat16 as integers.
        "WIDEN": features.device.type == "cpu",
    }
    if kernel is not forward_kernel:
        constants["PULL_PRECISION"] = "ieee" if features.dtype == torch.float32 else "tf32"
    return constants


def options_of(tiles: Tiles) -> dict[str, Any]:
    """How a kernel is built."""
    # Triton is about to change its default of the second, and warns until then.
    return {"num_warps": tiles.warps, "enable_fp_fusion": True}


def _operands(c: Contrast) -> Operands:
    features = c.features.contiguous()
    prototypes = features[:0] if c.prototypes is None else c.prototypes.contiguous()
    size, feature_along = _factors(features, c.normalize)
    prototype_size, prototype_along = _factors(prototypes, c.normalize)
    anchor_size = size / c.temperature
    return Operands(
        features=features,
        prototypes=prototypes,
        labels=c.labels.contiguous(),
        anchor_size=anchor_size if c.anchor_scale is None else anchor_size * c.anchor_scale,
        key_size=size if c.key_scale is None else size * c.key_scale,
        prototype_size=prototype_size,
        feature_along=feature_along,
        prototype_along=prototype_along,
        key_weight=c.key_weight.contiguous(),
        own_weight=torch.zeros_like(c.share) if c.own_weight is None else c.own_weight,
        share=c.share,
        positive_share=c.share / c.positives.clamp(min=1),
    )


def _factors(rows: Tensor, normalize: bool) -> tuple[Tensor, Tensor]:
    """What brings each row to length 1, and the same where it makes the gradient lie across it.

    Rows too short to be normalised keep their gradient, as under F.normalize.
    """
    if not normalize:
        one = rows.new_ones(len(rows), dtype=torch.float32)
        return one, torch.zeros_like(one)
    length = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32)
    inverse = 1 / length.clamp(min=EPSILON)
    return inverse, torch.where(length > EPSILON, inverse, 0.0)
