"""cRT: a classifier trained again, on balanced batches and frozen features."""

from longtail.methods.decoupled import HEAD_SHARE, PAPER, head_stage, representation
from longtail.nn.heads import Heads
from longtail.recipe import DataInfo, Method, Range, Recipe


def crt(
    data: DataInfo,
    *,
    head_share: float = HEAD_SHARE,
    head_lr: float = 0.1,
    head_sampler: str = "class-aware",
    moving_norm: bool = False,
) -> Recipe:
    """Cross-entropy, then a fresh linear classifier on class-aware batches and frozen features.

    Kang et al. 2020 (arXiv 1910.09217), 4.1. The CIFAR settings and numbers are of Zhang et al.
    2021 (Bag of Tricks), ImageNet-LT's of Kang et al. (ResNeXt-50). RCL's Table 2 prints
    "Decoupled" 78.5, 41.3 and 50.6.

    Args:
        data: class counts.
        head_share: part of training for the classifier alone, in (0, 1).
        head_lr: rate that the classifier starts with, above 0.
        head_sampler: of the classifier's batches, by name.
        moving_norm: lets the frozen encoder's batch norm go on averaging statistics, as the
            authors' code does by its calls to `train()`; off, the encoder stays as it is.
    """
    del data  # the sampler balances, not the loss
    return Recipe(
        views=("strong",),
        heads=Heads(),
        stages=(
            representation(head_share),
            head_stage(
                head_share,
                head_lr,
                head_sampler,
                trainable="classifier",
                reset=("classifier",),
                moving_norm=moving_norm,
            ),
        ),
    )


METHOD = Method(
    crt,
    title="cRT",
    reference="Kang et al., arXiv 1910.09217",
    year=2020,
    published={"cifar10-lt-if100": 74.99, "cifar100-lt-if100": 40.26, "imagenet-lt": 49.6},
    paper=PAPER,
    search={"head_lr": Range(0.01, 1, log=True)},
)
