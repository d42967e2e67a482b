"""LWS: a learned factor a class on a frozen classifier."""

from longtail.methods.decoupled import HEAD_SHARE, PAPER, head_stage, representation
from longtail.nn.heads import Heads
from longtail.recipe import DataInfo, Method, Range, Recipe


def lws(
    data: DataInfo,
    *,
    head_share: float = HEAD_SHARE,
    head_lr: float = 0.1,
    head_sampler: str = "class-aware",
    moving_norm: bool = False,
) -> Recipe:
    """Cross-entropy, then one factor a class on the logits, learned on class-aware batches.

    Kang et al. 2020 (arXiv 1910.09217), 4.3: learnable weight scaling. The CIFAR settings and
    numbers are of Zhang et al. 2021 (Bag of Tricks), ImageNet-LT's of Kang et al. (ResNeXt-50). The
    factor also scales the bias, as in the authors' code.

    Args:
        data: class counts.
        head_share: part of training for the factors alone, in (0, 1).
        head_lr: rate that they start with, above 0.
        head_sampler: of the factors' batches, by name.
        moving_norm: lets the frozen encoder's batch norm go on averaging statistics.
    """
    del data  # the sampler balances, not the loss
    return Recipe(
        views=("strong",),
        heads=Heads(classifier="scaled"),
        stages=(
            representation(
                head_share, trainable=("encoder", "classifier.weight", "classifier.bias")
            ),
            head_stage(
                head_share,
                head_lr,
                head_sampler,
                trainable="classifier.scale",
                moving_norm=moving_norm,
            ),
        ),
    )


METHOD = Method(
    lws,
    title="LWS",
    reference="Kang et al., arXiv 1910.09217",
    year=2020,
    published={"cifar10-lt-if100": 72.63, "cifar100-lt-if100": 40.16, "imagenet-lt": 49.9},
    paper=PAPER,
    search={"head_lr": Range(0.01, 1, log=True)},
)
