"""Cross-entropy: the baseline that ignores the imbalance."""

from longtail.losses import CrossEntropyLoss
from longtail.methods.settings import ldam_settings
from longtail.nn.heads import Heads
from longtail.recipe import DataInfo, Method, Paper, Recipe, Stage, Term


def ce(data: DataInfo) -> Recipe:
    """Plain softmax cross-entropy on one view.

    The row "CE" of RCL's Table 2 (arXiv 2312.01753) is the result of the weakly augmented LDAM
    recipe (arXiv 1906.07413): `--recipe paper`.
    """
    del data  # the baseline looks at nothing but the label
    term = Term("logit", 1.0, CrossEntropyLoss())
    return Recipe(views=("strong",), heads=Heads(), stages=(Stage((term,)),))


METHOD = Method(
    ce,
    title="CE",
    reference="Cao et al., arXiv 1906.07413 (the recipe)",
    year=2019,
    published={"cifar10-lt-if100": 70.4, "cifar100-lt-if100": 38.5, "imagenet-lt": 41.6},
    paper=Paper(ldam_settings, first_view="weak"),
)
