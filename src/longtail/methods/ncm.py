"""NCM: the nearest class mean of features trained with cross-entropy."""

import dataclasses

from longtail.methods.ce import ce
from longtail.methods.settings import ldam_settings
from longtail.nn.heads import Heads
from longtail.nn.model import Model
from longtail.recipe import Choices, DataInfo, Labelled, Method, Paper, Recipe, Refit


def ncm(data: DataInfo) -> Recipe:
    """Cross-entropy, then prediction by the nearest mean of the training features.

    Kang et al. 2020 (arXiv 1910.09217), 4.2: features are centred and set to length 1, distances
    are Euclidean. The published number is of their ResNeXt-50 on ImageNet-LT.
    """
    return dataclasses.replace(ce(data), heads=Heads(nearest_mean=True), refit=Refit(fit_means))


def fit_means(model: Model, train: Labelled, holdout: Labelled | None) -> Choices:
    """Give the model the class means of its training features."""
    del holdout
    assert model.nearest_mean is not None
    model.nearest_mean.fit(train.features, train.labels)
    return {}


METHOD = Method(
    ncm,
    title="NCM",
    reference="Kang et al., arXiv 1910.09217",
    year=2020,
    published={"imagenet-lt": 47.3},
    paper=Paper(ldam_settings, first_view="weak"),
)
