"""The part that SCL, BCL, RCL and BCL+RCL share: a contrastive branch beside a classifier.

Three views a picture: the first, strongly augmented, trains the classifier with logit adjustment;
the other two train the encoder with a contrastive loss on their projections.
"""

from typing import cast, get_args

from longtail.losses import ContrastiveLoss, LogitAdjustedLoss
from longtail.losses.contrastive import ScaleOn
from longtail.methods.knobs import above_zero, at_least, fraction
from longtail.nn.heads import Heads
from longtail.optim.settings import Settings
from longtail.recipe import (
    Compression,
    CompressionSide,
    DataInfo,
    Output,
    Paper,
    Range,
    Recipe,
    Stage,
    Term,
)

SEARCH = {
    "la_tau": Range(0, 3),
    "ce_weight": Range(0.5, 4, log=True),
    "contrastive_weight": Range(0.1, 4, log=True),
    "temperature": Range(0.03, 0.5, log=True),
}
"""Of the branch's knobs; with RCL's compression those of `COMPRESSION_SEARCH` as well."""
COMPRESSION_SEARCH = {
    "compression_factor": Range(0.001, 1, log=True, needs="compression"),
    "compression_threshold": Range(0.05, 0.6, needs="compression"),
    "compression_start": Range(0.3, 0.9, needs="compression"),
}


def rcl_settings(data: DataInfo) -> Settings:
    """The common recipe's, which are RCL's as far as the paper states them."""
    del data
    return Settings()


# The default of 1 is the Bayes rule for balanced classes and BCL's own; in short training a
# stronger prior gives some of the larger classes up (docs/results/knobs.md).
RCL_PAPER = Paper(rcl_settings, knobs={"la_tau": 1.3})
"""Of the rows of RCL's Table 1: the prior's strength that its authors' grid search found."""


def contrastive_branch(
    data: DataInfo,
    *,
    rebalance: bool,
    class_average: bool,
    prototypes: bool,
    la_tau: float,
    temperature: float,
    ce_weight: float,
    contrastive_weight: float,
    hidden_width: int,
    embedding_width: int,
    compression: CompressionSide = "off",
    compression_factor: float = 0.005,
    compression_threshold: float = 0.2,
    compression_start: float = 0.8,
) -> Recipe:
    """ce_weight * logit adjustment + contrastive_weight * the contrastive loss of the switches."""
    at_least("la_tau", la_tau, 0)
    at_least("ce_weight", ce_weight, 0)
    at_least("contrastive_weight", contrastive_weight, 0)
    at_least("hidden_width", hidden_width, 1)
    at_least("embedding_width", embedding_width, 1)
    at_least("compression_factor", compression_factor, 0)
    at_least("compression_threshold", compression_threshold, 0)
    fraction("compression_start", compression_start)
    above_zero("temperature", temperature)
    scale_on: ScaleOn = "both"
    reads: tuple[Output, ...] = ("embeddings", "prototypes")
    if compression in get_args(ScaleOn):
        scale_on = cast(ScaleOn, compression)
        reads = (*reads, "class_scale")
    contrastive = ContrastiveLoss(
        data.class_counts,
        temperature,
        rebalance=rebalance,
        class_average=class_average,
        scale_on=scale_on,
    )
    terms = (
        Term("logit", ce_weight, LogitAdjustedLoss(data.class_counts, la_tau)),
        Term("contrastive", contrastive_weight, contrastive, reads),
    )
    return Recipe(
        views=("strong", "contrastive", "contrastive"),
        heads=Heads(
            projection=(hidden_width, embedding_width),
            prototypes="classifier" if prototypes else None,
        ),
        stages=(Stage(terms),),
        compression=None
        if compression == "off"
        else Compression(compression, compression_factor, compression_threshold, compression_start),
    )
