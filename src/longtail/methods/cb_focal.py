"""CB-Focal: class-balanced focal loss on one sigmoid a class."""

from longtail.losses import ClassBalancedFocalLoss
from longtail.methods.knobs import at_least, below_one
from longtail.methods.settings import ldam_settings
from longtail.nn.heads import Heads
from longtail.optim import ParameterGroup
from longtail.recipe import DataInfo, Method, Paper, Range, Recipe, Stage, Term


def cb_focal(data: DataInfo, *, beta: float = 0.9999, gamma: float = 1.0) -> Recipe:
    """Sigmoid focal loss weighted by the effective number of samples.

    Cui et al. 2019 (arXiv 1901.05555), Eq. 13. The classifier's bias starts at -log(c - 1) and has
    no weight decay. The authors' script for CIFAR-10-LT uses beta 0.9999 and gamma 1; a rerun by
    others on CIFAR-100-LT uses beta 0.9, whose weights span only a factor of 2.5.

    Args:
        data: class counts.
        beta: of the effective number, in [0, 1): 0.9, 0.99, 0.999 or 0.9999 in the paper.
        gamma: how much easy decisions count less, 0 or more: 0.5, 1 or 2 in the paper.
    """
    below_one("beta", beta)
    at_least("gamma", gamma, 0)
    term = Term("logit", 1.0, ClassBalancedFocalLoss(data.class_counts, beta, gamma))
    return Recipe(
        views=("strong",),
        heads=Heads(classifier="rare"),
        stages=(Stage((term,)),),
        groups=(ParameterGroup("classifier.bias", weight_decay=0.0),),
    )


METHOD = Method(
    cb_focal,
    title="CB-Focal",
    reference="Cui et al., arXiv 1901.05555",
    year=2019,
    published={"cifar10-lt-if100": 74.6, "cifar100-lt-if100": 39.9},
    paper=Paper(ldam_settings, first_view="weak"),
    # What matters of beta are its nines, which neither a linear nor a logarithmic scale spaces.
    search={"gamma": Range(0, 2)},
)
