"""The part that SCL, BCL, RCL and BCL+RCL share: a contrastive branch beside a classifier.

Three views a picture: the first, strongly augmented, trains the classifier with logit adjustment;
the other two train the encoder with a contrastive loss on their projections.
"""

from longtail.losses import ContrastiveLoss, LogitAdjustedLoss
from longtail.nn.heads import Heads
from longtail.recipe import Compression, CompressionSide, DataInfo, Recipe, Stage, Term


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
    in_loss = compression in ("both", "anchors", "keys")
    contrastive = ContrastiveLoss(
        data.class_counts,
        temperature,
        rebalance=rebalance,
        class_average=class_average,
        scale_on=compression if in_loss else "both",
    )
    reads = ("embeddings", "prototypes", "class_scale") if in_loss else ("embeddings", "prototypes")
    terms = (
        Term("logit", ce_weight, LogitAdjustedLoss(data.class_counts, la_tau)),
        Term("contrastive", contrastive_weight, contrastive, reads),
    )
    return Recipe(
        views=("strong", "contrastive", "contrastive"),
        heads=Heads(projection=(hidden_width, embedding_width), prototypes=prototypes),
        stages=(Stage(terms),),
        compression=None
        if compression == "off"
        else Compression(compression, compression_factor, compression_threshold, compression_start),
    )
