"""Heads: which of them a model has, and the projection to embeddings and prototypes."""

import dataclasses
from typing import Literal

from torch import nn

from longtail.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Experts:
    """Several classifiers on a shared trunk.

    Attributes:
        number: of experts, at least 2.
        shared_stages: stages of the encoder that they share.
        width: factor on the widths of their own stages.
        owned: class ids that each expert answers for; None where each answers for all.
        router: whether a router decides, sample by sample, how many experts are asked.
        trunk_learns_from: whether "all" experts teach the shared stages or the "first" alone.

    Raises:
        UsageError: numbers out of range, one `owned` too many or too few, or `owned` with a router.
    """

    number: int
    shared_stages: int = 1
    width: float = 1.0
    owned: tuple[tuple[int, ...], ...] | None = None
    router: bool = False
    trunk_learns_from: Literal["all", "first"] = "all"

    def __post_init__(self) -> None:
        if self.number < 2:
            raise UsageError(f"experts={self.number}: there must be at least 2.")
        if self.shared_stages < 0 or self.width <= 0:
            raise UsageError(
                f"shared_stages={self.shared_stages}, width={self.width}: experts share 0 stages "
                "or more, and the factor on their own widths is above 0."
            )
        if self.owned is not None and len(self.owned) != self.number:
            raise UsageError(
                f"owned has {len(self.owned)} sets of classes for {self.number} experts; "
                "give one to each."
            )
        if self.owned is not None and self.router:
            raise UsageError(
                "A router may stop before the expert that owns a class is asked; "
                "give experts either owned classes or a router."
            )


@dataclasses.dataclass(frozen=True)
class Heads:
    """Which heads a model needs.

    Attributes:
        classifier: "linear", "rare" (linear, starting out with every class rare), "cosine", or
            "scaled" (linear with a learnable factor a class).
        projection: (hidden, out) widths of the projection MLP, or None.
        prototypes: one a class in the projection's space, made from the "classifier"'s weights or
            "free"; None without them.
        radii: whether each class has a learnable radius.
        nearest_mean: whether prediction may be by the nearest class mean.
        experts: several classifiers on a shared trunk, or None.
    """

    classifier: Literal["linear", "rare", "cosine", "scaled"] = "linear"
    projection: tuple[int, int] | None = None
    prototypes: Literal["classifier", "free"] | None = None
    radii: bool = False
    nearest_mean: bool = False
    experts: Experts | None = None


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
