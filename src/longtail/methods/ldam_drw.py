"""LDAM-DRW: label-distribution-aware margins, and class weights for the last part of training."""

from longtail.losses import LDAMLoss
from longtail.methods.knobs import above_zero, below_one, share
from longtail.methods.settings import ldam_settings
from longtail.nn.heads import Heads
from longtail.recipe import DataInfo, Method, Paper, Range, Recipe, Stage, Term


def ldam_drw(
    data: DataInfo, *, max_margin: float = 0.5, beta: float = 0.9999, drw_start: float = 0.8
) -> Recipe:
    """LDAM on a cosine classifier, then LDAM weighted by the effective number of samples.

    Cao et al. 2019 (arXiv 1906.07413), Eq. 13 and Algorithm 1. The margin of a class goes with
    its count to the power -1/4. The paper weighs by the inverse count in the second stage; its code
    by the effective number, which is what the published numbers are of and what is done here.

    Args:
        data: class counts.
        max_margin: of the rarest class, in cosine; above 0.
        beta: of the effective number, in [0, 1); 0 never weighs.
        drw_start: fraction of training after which the loss is weighted.
    """
    above_zero("max_margin", max_margin)
    below_one("beta", beta)
    share("drw_start", drw_start)
    plain = LDAMLoss(data.class_counts, max_margin)
    weighted = LDAMLoss(data.class_counts, max_margin, beta=beta)
    return Recipe(
        views=("strong",),
        heads=Heads(classifier="cosine"),
        stages=(
            Stage((Term("logit", 1.0, plain),), share=drw_start),
            Stage((Term("logit", 1.0, weighted),), share=1 - drw_start),
        ),
    )


METHOD = Method(
    ldam_drw,
    title="LDAM-DRW",
    reference="Cao et al., arXiv 1906.07413",
    year=2019,
    published={"cifar10-lt-if100": 77.2, "cifar100-lt-if100": 42.2, "imagenet-lt": 49.8},
    paper=Paper(ldam_settings, first_view="weak"),
    search={"max_margin": Range(0.1, 1), "drw_start": Range(0.5, 0.95)},
)
