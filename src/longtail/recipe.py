"""What a method is: views, sampler, heads, weighted loss terms, stages and post-hoc logits.

A method is a small function that returns a `Recipe`; its signature is its configuration. The
training loop reads recipes and knows no method by name.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from longtail.data.views import Role
from longtail.nn.heads import Heads
from longtail.nn.model import Model
from longtail.optim import ParameterGroup
from longtail.optim.settings import Settings

Output = Literal[
    "logits",
    "features",
    "embeddings",
    "prototypes",
    "radii",
    "expert_logits",
    "routing",
    "class_scale",
    "class_means",
    "teacher_logits",
]
"""What a term may read: those of `longtail.nn.outputs.Outputs`, RCL's factors [c], the mean
features of each class over the training data [c, d], the teacher's logits [b, c]."""
CompressionSide = Literal["off", "both", "anchors", "keys", "before-head"]
Weight = float | Callable[[float], float]
"""Of a term: a number, or a function of the fraction of training that is done."""
Choices = dict[str, float]
"""What a refit has chosen, by name."""


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
    weight: Weight
    loss: nn.Module
    reads: tuple[Output, ...] = ("logits",)


@dataclasses.dataclass(frozen=True)
class Restart:
    """A stage's own schedule, from its first step; SGD's momenta start from zero again.

    Attributes:
        lr, schedule, milestones, decay, warmup: as in `longtail.optim.settings.Settings`, as
            fractions of the stage and of the stages that follow it without a restart.
        weight_decay: None keeps the run's.
    """

    lr: float
    schedule: Literal["step", "cosine"] = "cosine"
    milestones: tuple[float, ...] = ()
    decay: float = 0.1
    warmup: float = 0.0
    weight_decay: float | None = None


@dataclasses.dataclass(frozen=True)
class MetaSampling:
    """Class weights of the sampler, learned for what they do to a class-balanced loss.

    Attributes:
        loss: of the classifier on each drawn sample: logits [b, c] and labels [b] to float [b].
        lr: of Adam on the class weights.
        power: of the inverse class frequency that they start from; 0 starts with all alike.
        temperature: of the relaxed draw that carries their gradient.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    lr: float = 0.01
    power: float = 0.0
    temperature: float = 1.0


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stretch of training with its own terms.

    Attributes:
        terms: summed.
        share: of the run's epochs; the shares of a recipe's stages add up to 1.
        sampler: name that `longtail.data.samplers.sampler` knows, perhaps with a parameter
            ("class-aware:8"), of the first view's pictures.
        contrast_sampler: of the other views' pictures; None shows all views of the same ones.
        trainable: prefixes of the names of the parameters that learn; () is all of them.
        moving_norm: whether batch norm in parts that do not learn goes on averaging statistics.
        reset: prefixes of what starts from fresh values.
        restart: an own schedule; None goes on with the one before.
        meta: learned class weights of the sampler, in the place of `sampler`; or None.
    """

    terms: tuple[Term, ...]
    share: float = 1.0
    sampler: str = "instance"
    contrast_sampler: str | None = None
    trainable: tuple[str, ...] = ()
    moving_norm: bool = False
    reset: tuple[str, ...] = ()
    restart: Restart | None = None
    meta: MetaSampling | None = None


@dataclasses.dataclass(frozen=True)
class FeatureFactors:
    """Class factors on the encoder's features while training, so that clusters get denser.

    Attributes:
        factors: float32 [c], of at least 1.
        start: fraction of training after which they act.
    """

    factors: Tensor
    start: float


class Labelled(NamedTuple):
    """Features float [n, d] with their labels int64 [n]."""

    features: Tensor
    labels: Tensor


@dataclasses.dataclass(frozen=True)
class Refit:
    """A classifier computed from features once training is over.

    Attributes:
        function: called with the model, which it changes, and the features and labels of the
            training data and of the hold-out (None without one).
        chooses: the knob it chooses on the hold-out, or None; the record keeps the value.
    """

    function: Callable[[Model, Labelled, Labelled | None], Choices]
    chooses: str | None = None


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
        feature_factors: FCC's, or None.
        groups: parameters with a rate or a weight decay of their own.
        refit: of the classifier, after training; or None.
        teacher: folder of the finished run whose logits are "teacher_logits", or None.
    """

    views: tuple[Role, ...]
    heads: Heads
    stages: tuple[Stage, ...]
    posthoc: Callable[[Tensor], Tensor] | None = None
    compression: Compression | None = None
    feature_factors: FeatureFactors | None = None
    groups: tuple[ParameterGroup, ...] = ()
    refit: Refit | None = None
    teacher: str | None = None


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
class Range:
    """Values over which a knob is searched on a hold-out.

    Attributes:
        low, high: both included.
        log: whether factors count and not differences; `low` is then above 0.
        needs: another knob; while that is off ("off", "", 0) this one does nothing.
    """

    low: float
    high: float
    log: bool = False
    needs: str | None = None


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
        search: what `longtail tune` looks for the best values of, by knob.
    """

    build: Callable[..., Recipe]
    title: str
    reference: str
    year: int
    published: Mapping[str, float]
    paper: Paper | None = None
    search: Mapping[str, Range] = dataclasses.field(default_factory=dict)
