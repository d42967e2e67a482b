"""What a model hands to the terms of a recipe, and what scales its features on the way."""

from typing import NamedTuple

from torch import Tensor


class Outputs(NamedTuple):
    """What the terms of a recipe may read. Letters: b batch, v views, c classes, k experts.

    Attributes:
        logits: [b, c] of the first view.
        features: [b, d] of the first view, as the encoder has them.
        embeddings: [(v - 1) * b, d] of the other views, view after view; None without them.
        prototypes: [c, d], one a class; None for recipes without them.
        radii: [c], a learned radius a class; None for recipes without them.
        expert_logits: [b, k, c]; None for a single classifier.
        routing: [b, k - 1], above 0 where one more expert should be asked; None without a router.
    """

    logits: Tensor
    features: Tensor
    embeddings: Tensor | None = None
    prototypes: Tensor | None = None
    radii: Tensor | None = None
    expert_logits: Tensor | None = None
    routing: Tensor | None = None


class Scales(NamedTuple):
    """Factors on the features before the heads, while training.

    Attributes:
        first: float [b], of the first view.
        others: float [b], of the other views.
    """

    first: Tensor
    others: Tensor


def scaled(features: Tensor, factors: Tensor) -> Tensor:
    """Features [b, d] times a factor [b] each, in their own precision."""
    return features * factors[:, None].to(features.dtype)
