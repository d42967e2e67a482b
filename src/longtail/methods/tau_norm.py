"""tau-norm: a trained classifier whose class weights are brought to more equal norms."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from longtail.methods.decoupled import cross_entropy
from longtail.methods.knobs import at_least
from longtail.methods.settings import ldam_settings
from longtail.nn.classifiers import LinearClassifier, normalise_weights
from longtail.nn.heads import Heads
from longtail.nn.model import Model
from longtail.recipe import Choices, DataInfo, Labelled, Method, Paper, Recipe, Refit, Stage

GRID = tuple(round(0.1 * step, 1) for step in range(21))
"""Exponents that are tried on the hold-out: 0 to 2 in steps of 0.1, as the authors'."""


def tau_norm(data: DataInfo, *, norm_tau: float | Literal["auto"] = "auto") -> Recipe:
    """Cross-entropy, then each class's weights divided by their norm to the power norm_tau.

    Kang et al. 2020 (arXiv 1910.09217), Eq. 10, without the bias. "auto" takes the best of 0, 0.1,
    ..., 2 by balanced accuracy on the hold-out, the smallest of equals; a number needs no hold-out.
    CIFAR numbers are of Zhang et al. 2021 (Bag of Tricks, norm_tau 1), ImageNet-LT's of Kang et al.
    (ResNeXt-50).

    Args:
        data: class counts.
        norm_tau: the power, 0 or more, or "auto".
    """
    del data  # the norms of the weights tell the imbalance
    if norm_tau != "auto":
        at_least("norm_tau", norm_tau, 0)
    return Recipe(
        views=("strong",),
        heads=Heads(),
        stages=(Stage((cross_entropy(),)),),
        refit=Refit(
            partial(normalise, norm_tau=norm_tau),
            chooses="norm_tau" if norm_tau == "auto" else None,
        ),
    )


def normalise(
    model: Model, train: Labelled, holdout: Labelled | None, *, norm_tau: float | Literal["auto"]
) -> Choices:
    """Normalise the model's classifier, by the exponent that is given or best on the hold-out."""
    del train
    classifier = model.classifier
    assert isinstance(classifier, LinearClassifier)
    if norm_tau != "auto":
        normalise_weights(classifier, norm_tau)
        return {}
    assert holdout is not None  # make_plan has refused the run otherwise
    best = max(GRID, key=lambda power: balanced_accuracy(classifier.weight, power, holdout))
    normalise_weights(classifier, best)
    return {"norm_tau": best}


@torch.no_grad()
def balanced_accuracy(weight: Tensor, power: float, holdout: Labelled) -> float:
    """Mean class accuracy on the hold-out of weights [c, d] normalised to a power."""
    norms = weight.norm(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    predicted = (holdout.features @ (weight / norms.pow(power)).T).argmax(1)
    sizes = torch.bincount(holdout.labels, minlength=len(weight))
    hits = torch.bincount(holdout.labels[predicted == holdout.labels], minlength=len(weight))
    return float((hits / sizes)[sizes > 0].mean())


METHOD = Method(
    tau_norm,
    title="tau-norm",
    reference="Kang et al., arXiv 1910.09217",
    year=2020,
    published={"cifar10-lt-if100": 72.70, "cifar100-lt-if100": 40.96, "imagenet-lt": 49.4},
    paper=Paper(ldam_settings, first_view="weak", knobs={"norm_tau": 1.0}),
)
