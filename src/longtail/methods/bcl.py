"""BCL: balanced contrastive learning."""

from longtail.methods.contrastive import SEARCH, contrastive_branch
from longtail.optim.settings import Settings
from longtail.recipe import DataInfo, Method, Paper, Recipe


def bcl(
    data: DataInfo,
    *,
    la_tau: float = 1.0,
    temperature: float = 0.1,
    ce_weight: float = 2.0,
    contrastive_weight: float = 1.0,
    hidden_width: int = 512,
    embedding_width: int = 128,
) -> Recipe:
    """Balanced contrastive learning: class averaging and class complement.

    Zhu et al. 2022 (arXiv 2207.09052), Eq. 5, which is Eq. 3 of RCL (arXiv 2312.01753). RCL's
    Table 2 prints 84.3 on CIFAR-10-LT, 51.9 on CIFAR-100-LT (harmonic mean 40.2) and 56.2 on
    ImageNet-LT. BCL itself uses a contrastive weight of 0.6 and a rate of 0.15 (`--recipe paper`);
    its authors never released their CIFAR code.

    Args:
        data: class counts.
        la_tau: strength of the classifier's prior, 0 or more.
        temperature: of the contrastive softmax, above 0.
        ce_weight: weight of the classifier's loss.
        contrastive_weight: weight of the contrastive loss.
        hidden_width: of the projection MLPs.
        embedding_width: of their output.
    """
    return contrastive_branch(
        data,
        rebalance=False,
        class_average=True,
        prototypes=True,
        la_tau=la_tau,
        temperature=temperature,
        ce_weight=ce_weight,
        contrastive_weight=contrastive_weight,
        hidden_width=hidden_width,
        embedding_width=embedding_width,
    )


def bcl_settings(data: DataInfo) -> Settings:
    """BCL's CIFAR settings: RCL's, at a rate of 0.15 (Zhu et al. 2022, arXiv 2207.09052)."""
    del data
    return Settings(lr=0.15)


METHOD = Method(
    bcl,
    title="BCL",
    reference="Zhu et al., arXiv 2207.09052",
    year=2022,
    published={"cifar10-lt-if100": 84.3, "cifar100-lt-if100": 51.9, "imagenet-lt": 56.2},
    paper=Paper(bcl_settings, knobs={"la_tau": 1.0, "contrastive_weight": 0.6}),
    search=SEARCH,
)
