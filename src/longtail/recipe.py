"""What a method is: views, sampler, heads, weighted loss terms, stages and post-hoc logits.

A method is a small function that returns a `Recipe`; its signature is its configuration. The
training loop reads recipes and knows no method by name.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from longtail.data.views import Role
from longtail.nn.heads import Heads
from longtail.optim.settings import Settings

Output = Literal["logits", "embeddings", "prototypes", "class_scale"]
CompressionSide = Literal["off", "both", "anchors", "keys", "before-head"]


@dataclasses.dataclass(frozen=True)
class DataInfo:
    """All that a method may know of the data.

    Attributes:
        class_counts: training pictures a class, int64 [c].
    """

    class_counts: npt.NDArray[np.int64]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_counts)

    @property
    def num_samples(self) -> int:
        """Training pictures in all."""
        return int(self.class_counts.sum())


@dataclasses.dataclass(frozen=True)
class Term:
    """One weighted summand of the loss.

    Attributes:
        name: in the log.
        weight: factor in the sum.
        loss: module called with the outputs it reads and the labels.
        reads: first the output whose rows carry the labels, then the loss's further inputs.
    """

    name: str
    weight: float
    loss: nn.Module
    reads: tuple[Output, ...] = ("logits",)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stretch of training with its own terms.

    Attributes:
        terms: summed.
        share: of the run's steps; the shares of a recipe's stages add up to 1.
        sampler: name in `longtail.data.samplers.SAMPLERS`.
    """

    terms: tuple[Term, ...]
    share: float = 1.0
    sampler: str = "instance"


@dataclasses.dataclass(frozen=True)
class Compression:
    """RCL's compression: classes that do badly on the hold-out get a factor on their features.

    Attributes:
        side: where the factor acts: in the loss on "both" anchors and keys, on "anchors", on
            "keys", or on the features "before-head".
        factor: of a weak class; 1 for the others.
        threshold: a class is weak when its hold-out accuracy is below, in [0, 1].
        start: fraction of training after which the factor is chosen, once.
    """

    side: CompressionSide
    factor: float = 0.005
    threshold: float = 0.2
    start: float = 0.8


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A method with its knobs filled in.

    Attributes:
        views: roles of the views of each picture; the first goes to the classifier.
        heads: of the model.
        stages: in order.
        posthoc: from test logits [b, c] to the logits that are predicted with, or None.
        compression: RCL's, or None.
    """

    views: tuple[Role, ...]
    heads: Heads
    stages: tuple[Stage, ...]
    posthoc: Callable[[Tensor], Tensor] | None = None
    compression: Compression | None = None


@dataclasses.dataclass(frozen=True)
class Paper:
    """How the method's own paper trains it, where that differs from the common recipe.

    Attributes:
        settings: from what is known of the data.
        first_view: role of the classifier's view.
        knobs: the paper's values of the method's knobs.
    """

    settings: Callable[[DataInfo], Settings]
    first_view: Role = "strong"
    knobs: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Method:
    """An entry of the list of methods.

    Attributes:
        build: from data and knobs to a recipe; its docstring is the method's page.
        title: in a table.
        reference: authors, year, arXiv number.
        year: of the paper.
        published: top-1 accuracy in per cent by "DATASET-ifN" as printed in the paper named in
            the docstring; never mixed with our own.
        paper: its own training, or None where that is the common one.
    """

    build: Callable[..., Recipe]
    title: str
    reference: str
    year: int
    published: Mapping[str, float]
    paper: Paper | None = None
