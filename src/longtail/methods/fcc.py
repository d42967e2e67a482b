"""FCC: feature clusters compression."""

from typing import Literal

from longtail.methods.ce import ce
from longtail.methods.modifiers import with_feature_factors
from longtail.methods.settings import ldam_settings
from longtail.recipe import DataInfo, Method, Paper, Range, Recipe


def fcc(
    data: DataInfo, *, fcc_gamma: float | Literal["auto"] = "auto", fcc_start: float = 0.25
) -> Recipe:
    """Cross-entropy on features that are multiplied by a class factor while training.

    Li et al. 2023, "FCC: Feature Clusters Compression for Long-Tailed Visual Recognition" (CVPR).
    The factor is larger for the head: it falls from 1 + fcc_gamma for the most frequent class to
    almost 1; the network answers with features that are closer together. Test features are not
    multiplied. Any other method with a linear classifier takes the same two knobs.

    Args:
        data: class counts.
        fcc_gamma: strength, 0 or more; "auto" is the authors': 0.5 for up to ten classes (their
            CIFAR-10-LT), 1 for more (CIFAR-100-LT).
        fcc_start: fraction of training after which the factors act.
    """
    if fcc_gamma == "auto":
        fcc_gamma = 0.5 if data.num_classes <= 10 else 1.0
    return with_feature_factors(ce(data), data, fcc_gamma, fcc_start)


METHOD = Method(
    fcc,
    title="FCC",
    reference="Li et al., CVPR 2023",
    year=2023,
    published={},
    paper=Paper(ldam_settings, first_view="weak"),
    search={"fcc_gamma": Range(0, 1), "fcc_start": Range(0, 0.75)},
)
