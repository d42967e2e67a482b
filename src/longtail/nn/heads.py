"""Heads: what turns features into class logits, embeddings and class prototypes."""

import dataclasses
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class Experts:
    """Several classifiers on a shared trunk.

    Attributes:
        number: of experts, at least 2.
        shared_stages: stages of the encoder that they share.
        width: factor on the widths of their own stages.
        owned: class ids that each expert answers for; None where each answers for all.
        router: whether a router decides, sample by sample, how many experts are asked.
    """

    number: int
    shared_stages: int = 1
    width: float = 1.0
    owned: tuple[tuple[int, ...], ...] | None = None
    router: bool = False


@dataclasses.dataclass(frozen=True)
class Heads:
    """Which heads a model needs.

    Attributes:
        classifier: "linear", "cosine", or "scaled": linear with a learnable factor a class.
        projection: (hidden, out) widths of the projection MLP, or None.
        prototypes: one a class in the projection's space, made from the "classifier"'s weights or
            "free"; None without them.
        radii: whether each class has a learnable radius.
        rare_start: whether the classifier starts out finding every class rare.
        nearest_mean: whether prediction may be by the nearest class mean.
        experts: several classifiers on a shared trunk, or None.
    """

    classifier: Literal["linear", "cosine", "scaled"] = "linear"
    projection: tuple[int, int] | None = None
    prototypes: Literal["classifier", "free"] | None = None
    radii: bool = False
    rare_start: bool = False
    nearest_mean: bool = False
    experts: Experts | None = None


class LinearClassifier(nn.Linear):
    """W h + b; `weight` is [c, d], one row a class. Kaiming-normal weights, as the encoder's."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        nn.init.kaiming_normal_(self.weight)


class CosineClassifier(nn.Module):
    """scale * cos(w_c, h), without a bias; `weight` is [c, d].

    The scale lives here and never also in the loss: cosines alone lie in [-1, 1], where a log
    prior would decide everything.

    Args:
        in_features: d.
        num_classes: c.
        scale: inverse temperature of the cosines, above 0.
    """

    def __init__(self, in_features: int, num_classes: int, scale: float = 30.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, in_features).uniform_(-1, 1))
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """[b, d] to [b, c]."""
        return self.scale * F.linear(F.normalize(features), F.normalize(self.weight))


class ProjectionHead(nn.Sequential):
    """Linear, batch norm, ReLU, linear: [b, d] to [b, out]; the loss normalises the rows.

    Serves features (BCL's first MLP) and, a second one, classifier weights (its prototypes).
    """

    def __init__(self, in_features: int, hidden: int, out: int) -> None:
        super().__init__(
            nn.Linear(in_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, out),
        )
