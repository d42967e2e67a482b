"""The contrastive softmax in memory linear in rows and keys: few scores outlive their block.

The gradient is taken along with the value, since the shares of the anchors in the mean are known
beforehand, and kept for the backward pass instead of the scores.
"""

from typing import Any

import torch
from torch import Tensor

from longtail.losses.checks import wide
from longtail.losses.instances import Contrast, without_rows
from longtail.losses.plain import differentiable_gradients
from longtail.losses.streaming.attraction import attraction
from longtail.losses.streaming.features import features_as_keys
from longtail.losses.streaming.prototypes import over_prototypes
from longtail.losses.streaming.sides import make_sides, through_the_sides


def streamed(c: Contrast) -> Tensor:
    """The kernel's sum (see `instances`), block by block."""
    rows = wide(c.features), None if c.prototypes is None else wide(c.prototypes)
    learning = any(x is not None and x.requires_grad for x in rows) and torch.is_grad_enabled()
    value: Tensor = _Streamed.apply(*rows, without_rows(c), learning)
    return value


class _Streamed(torch.autograd.Function):
    """Keeps the gradients, which are as large as the inputs, instead of the scores."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, prototypes: Tensor | None, c: Contrast, differentiable: bool
    ) -> Tensor:
        ctx.contrast = c  # without its rows, which are let go after the backward pass
        ctx.save_for_backward(features, prototypes)
        c = c._replace(features=features, prototypes=prototypes)
        ctx.wanted = differentiable, ctx.needs_input_grad[1]
        value, *ctx.gradients = value_and_gradients(c, *ctx.wanted)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        features, prototypes = ctx.saved_tensors
        c = ctx.contrast._replace(features=features, prototypes=prototypes)
        if torch.is_grad_enabled():
            return *differentiable_gradients(c, upstream), None, None
        # Handed out without a copy; where the graph is kept for more, they are taken again.
        with torch.autocast(upstream.device.type, enabled=False):
            gradients = ctx.gradients or value_and_gradients(c, *ctx.wanted)[1:]
        ctx.gradients = None
        # Most losses are added up as they are; an accelerator's number is not known here.
        if upstream.device.type != "cpu" or upstream != 1:
            gradients = [None if g is None else g.mul_(upstream) for g in gradients]
        return *gradients, None, None


def value_and_gradients(
    c: Contrast, differentiable: bool, prototypes_too: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The sum and its gradients in features and prototypes; None where none is asked for."""
    sides = make_sides(c)
    attracted, gradients = attraction(c, sides, differentiable)
    features = features_as_keys(c, sides, differentiable)
    normaliser = features.normaliser()
    if gradients is not None and prototypes_too and c.prototypes is not None:
        gradients = gradients._replace(prototypes=c.prototypes.new_empty(c.prototypes.shape))
    if c.prototypes is not None:
        normaliser, more = over_prototypes(c, sides, normaliser, gradients)
        attracted += more
    # An anchor without any key has a share of 0, and 0 * -inf is no number.
    normaliser.clamp_(min=torch.finfo(normaliser.dtype).min)
    value = c.share @ normaliser - attracted
    if gradients is None:
        return value, None, None
    features.add_gradient(normaliser, gradients)
    return value, through_the_sides(c, sides, gradients), gradients.prototypes
