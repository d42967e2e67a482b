"""SCL: supervised contrastive learning beside a logit-adjusted classifier."""

from longtail.methods.contrastive import RCL_PAPER, SEARCH, contrastive_branch
from longtail.recipe import DataInfo, Method, Recipe


def scl(
    data: DataInfo,
    *,
    la_tau: float = 1.0,
    temperature: float = 0.1,
    ce_weight: float = 2.0,
    contrastive_weight: float = 1.0,
    hidden_width: int = 512,
    embedding_width: int = 128,
) -> Recipe:
    """Supervised contrastive learning beside logit adjustment: the row "LC+SCL".

    The loss is Khosla et al. 2020 (arXiv 2004.11362), Eq. 2; the row is of RCL's Table 1
    (arXiv 2312.01753), which gives 51.1 % on CIFAR-100-LT, harmonic mean 39.2 %.

    Args:
        data: class counts.
        la_tau: strength of the classifier's prior, 0 or more; 1.3 is the paper's grid search.
        temperature: of the contrastive softmax, above 0.
        ce_weight: weight of the classifier's loss.
        contrastive_weight: weight of the contrastive loss.
        hidden_width: of the projection MLP.
        embedding_width: of its output.
    """
    return contrastive_branch(
        data,
        rebalance=False,
        class_average=False,
        prototypes=False,
        la_tau=la_tau,
        temperature=temperature,
        ce_weight=ce_weight,
        contrastive_weight=contrastive_weight,
        hidden_width=hidden_width,
        embedding_width=embedding_width,
    )


METHOD = Method(
    scl,
    title="LC+SCL",
    reference="Khosla et al., arXiv 2004.11362",
    year=2020,
    published={"cifar100-lt-if100": 51.1},
    paper=RCL_PAPER,
    search=SEARCH,
)
