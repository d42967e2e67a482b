"""RCL: supervised contrastive learning rebalanced by class frequency."""

from longtail.methods.contrastive import COMPRESSION_SEARCH, RCL_PAPER, SEARCH, contrastive_branch
from longtail.recipe import CompressionSide, DataInfo, Method, Recipe


def rcl(
    data: DataInfo,
    *,
    la_tau: float = 1.0,
    temperature: float = 0.1,
    ce_weight: float = 2.0,
    contrastive_weight: float = 1.0,
    class_average: bool = False,
    hidden_width: int = 512,
    embedding_width: int = 128,
    compression: CompressionSide = "off",
    compression_factor: float = 0.005,
    compression_threshold: float = 0.2,
    compression_start: float = 0.8,
) -> Recipe:
    """Rebalanced contrastive learning on SCL: each key weighed by its class's training count.

    De Alvis et al. 2023 (arXiv 2312.01753), Eq. 4; Table 1 and 2 print 52.2 on CIFAR-100-LT
    (harmonic mean 42.4), 86.0 on CIFAR-10-LT and 55.4 on ImageNet-LT. The paper does not state its
    epochs, schedule, weight decay and temperature: they are BCL's here. Compression is off: the
    paper's numbers for it are lost and its table does not separate it from the loss.

    Args:
        data: class counts.
        la_tau: strength of the classifier's prior, 0 or more; 1.3 is the paper's grid search.
        temperature: of the contrastive softmax, above 0.
        ce_weight: weight of the classifier's loss.
        contrastive_weight: weight of the contrastive loss.
        class_average: whether a class counts by the mean of its keys instead of by their sum, the
            other reading of Eq. 4; bcl-rcl has it with prototypes.
        hidden_width: of the projection MLP.
        embedding_width: of its output.
        compression: which features of weak classes are scaled: in the loss "both" anchors and
            keys, "anchors" or "keys"; or "before-head", the encoder's. Needs a hold-out.
        compression_factor: of a weak class; small factors all but remove it from the comparison.
        compression_threshold: a class is weak when its hold-out accuracy is below this fraction.
        compression_start: fraction of training after which weak classes are chosen, once.
    """
    return contrastive_branch(
        data,
        rebalance=True,
        class_average=class_average,
        prototypes=False,
        la_tau=la_tau,
        temperature=temperature,
        ce_weight=ce_weight,
        contrastive_weight=contrastive_weight,
        hidden_width=hidden_width,
        embedding_width=embedding_width,
        compression=compression,
        compression_factor=compression_factor,
        compression_threshold=compression_threshold,
        compression_start=compression_start,
    )


METHOD = Method(
    rcl,
    title="RCL",
    reference="De Alvis et al., arXiv 2312.01753",
    year=2023,
    published={"cifar10-lt-if100": 86.0, "cifar100-lt-if100": 52.2, "imagenet-lt": 55.4},
    paper=RCL_PAPER,
    search=SEARCH | COMPRESSION_SEARCH,
)
