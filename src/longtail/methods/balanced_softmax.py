"""Balanced Softmax: the softmax weighed by class counts while training."""

from longtail.losses import BalancedSoftmaxLoss
from longtail.methods.settings import balanced_softmax_settings
from longtail.nn.heads import Heads
from longtail.recipe import DataInfo, Method, Paper, Recipe, Stage, Term


def balanced_softmax(data: DataInfo) -> Recipe:
    """Balanced Softmax on one view; predicts with the raw logits.

    Ren et al. 2020 (arXiv 2007.10740), Eq. 3. It is logit adjustment at strength 1, without the
    meta sampler that makes it BALMS. The authors' code publishes imbalance 200 only (CIFAR-10-LT
    79.8, CIFAR-100-LT 46.7, end to end); RCL's Table 2 prints BALMS.
    """
    term = Term("logit", 1.0, BalancedSoftmaxLoss(data.class_counts))
    return Recipe(views=("strong",), heads=Heads(), stages=(Stage((term,)),))


METHOD = Method(
    balanced_softmax,
    title="Balanced Softmax",
    reference="Ren et al., arXiv 2007.10740",
    year=2020,
    published={"cifar10-lt-if200": 79.8, "cifar100-lt-if200": 46.7},
    paper=Paper(balanced_softmax_settings),
)
