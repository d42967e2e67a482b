"""What can be combined with any method: another sampler, and FCC's class factors."""

import dataclasses

import numpy as np
import numpy.typing as npt
import torch

from longtail.data.samplers import sampler as find_sampler
from longtail.errors import UsageError
from longtail.methods.knobs import at_least, fraction
from longtail.recipe import DataInfo, FeatureFactors, Recipe, Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Modifiers:
    """Knobs of every method that change its recipe.

    Attributes:
        sampler: takes the place of instance sampling wherever the method samples so.
        fcc_gamma: strength of FCC's factors on the encoder's features; 0 has none.
        fcc_start: fraction of training after which they act.
    """

    sampler: str = "instance"
    fcc_gamma: float = 0.0
    fcc_start: float = 0.25


def modified(recipe: Recipe, data: DataInfo, modifiers: Modifiers) -> Recipe:
    """A recipe with the modifiers in it; the defaults change nothing.

    Raises:
        UsageError: an unknown sampler, a value out of range, or one that would have no effect.
    """
    find_sampler(modifiers.sampler)
    if modifiers.sampler != "instance":
        recipe = dataclasses.replace(
            recipe, stages=tuple(_sampled(stage, modifiers.sampler) for stage in recipe.stages)
        )
    if modifiers.fcc_start != Modifiers.fcc_start and not modifiers.fcc_gamma:
        raise UsageError("fcc_start has no effect without fcc_gamma; add --set fcc_gamma=0.5.")
    if modifiers.fcc_gamma:
        recipe = with_feature_factors(recipe, data, modifiers.fcc_gamma, modifiers.fcc_start)
    return recipe


def with_feature_factors(recipe: Recipe, data: DataInfo, gamma: float, start: float) -> Recipe:
    """A recipe whose features are multiplied by FCC's class factors while training.

    Raises:
        UsageError: values out of range, or a classifier that sees no length of features.
    """
    at_least("fcc_gamma", gamma, 0)
    fraction("fcc_start", start)
    if recipe.heads.classifier == "cosine":
        raise UsageError(
            "FCC scales features, and this method's cosine classifier does not see their length; "
            "leave fcc_gamma at 0, or choose a method with a linear classifier."
        )
    factors = torch.from_numpy(feature_factors(data, gamma))
    return dataclasses.replace(recipe, feature_factors=FeatureFactors(factors, start))


def feature_factors(data: DataInfo, gamma: float) -> npt.NDArray[np.float32]:
    """1 + gamma (1 - r / c) for the class of rank r, 0 the most frequent; float32 [c].

    Source: Li et al. 2023 (FCC, CVPR); the authors' code rounds to two digits and takes the class
    id for the rank, which is the same on CIFAR-LT. Ties are ranked by class id.
    """
    ranks = np.empty(data.num_classes)
    ranks[np.argsort(-data.class_counts, kind="stable")] = np.arange(data.num_classes)
    return np.round(1 + gamma * (1 - ranks / data.num_classes), 2).astype(np.float32)


def _sampled(stage: Stage, name: str) -> Stage:
    other = name if stage.contrast_sampler == "instance" else stage.contrast_sampler
    own = name if stage.sampler == "instance" and not stage.meta else stage.sampler
    return dataclasses.replace(stage, sampler=own, contrast_sampler=other)
