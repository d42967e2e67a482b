"""FCC: feature clusters compression."""

from longtail.methods.ce import ce
from longtail.methods.modifiers import with_feature_factors
from longtail.methods.settings import ldam_settings
from longtail.recipe import DataInfo, Method, Paper, Recipe


def fcc(data: DataInfo, *, fcc_gamma: float = 1.0, fcc_start: float = 0.25) -> Recipe:
    """Cross-entropy on features that are multiplied by a class factor while training.

    Li et al. 2023, "FCC: Feature Clusters Compression for Long-Tailed Visual Recognition" (CVPR).
    The factor is larger for the head: it falls from 1 + fcc_gamma for the most frequent class to
    almost 1; the network answers with features that are closer together. Test features are not
    multiplied. Any other method with a linear classifier takes the same two knobs.

    Args:
        data: class counts.
        fcc_gamma: strength, 0 or more; the authors' code has 1 on CIFAR-100-LT and 0.5 on
            CIFAR-10-LT, which `--recipe paper` takes for up to ten classes.
        fcc_start: fraction of training after which the factors act.
    """
    return with_feature_factors(ce(data), data, fcc_gamma, fcc_start)


def fcc_knobs(data: DataInfo) -> dict[str, object]:
    """The strength of the authors' code: by the number of classes."""
    return {"fcc_gamma": 0.5 if data.num_classes <= 10 else 1.0}


METHOD = Method(
    fcc,
    title="FCC",
    reference="Li et al., CVPR 2023",
    year=2023,
    published={},
    paper=Paper(ldam_settings, first_view="weak", knobs=fcc_knobs),
)
