"""tau-norm: a trained classifier whose class weights are brought to more equal norms."""

import dataclasses
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from longtail.methods.ce import ce
from longtail.methods.knobs import at_least
from longtail.methods.settings import ldam_settings
from longtail.metrics import balanced_accuracy, confusion_matrix
from longtail.nn.classifiers import LinearClassifier, tau_normalised
from longtail.nn.model import Model
from longtail.recipe import Choices, DataInfo, Labelled, Method, Paper, Range, Recipe, Refit

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
    if norm_tau != "auto":
        at_least("norm_tau", norm_tau, 0)
    refit = Refit(
        partial(normalise, norm_tau=norm_tau), chooses="norm_tau" if norm_tau == "auto" else None
    )
    return dataclasses.replace(ce(data), refit=refit)


@torch.no_grad()
def normalise(
    model: Model, train: Labelled, holdout: Labelled | None, *, norm_tau: float | Literal["auto"]
) -> Choices:
    """Normalise the model's classifier, by the exponent that is given or best on the hold-out."""
    del train
    classifier = model.classifier
    assert isinstance(classifier, LinearClassifier)
    choices = {}
    if norm_tau == "auto":
        assert holdout is not None  # make_plan has refused the run otherwise
        norm_tau = best_on(holdout, classifier.weight)
        choices = {"norm_tau": norm_tau}
    classifier.weight.copy_(tau_normalised(classifier.weight, norm_tau))
    classifier.bias.zero_()  # as in the authors' code, also at 0
    return choices


def best_on(holdout: Labelled, weight: Tensor) -> float:
    """The power of the grid with the best balanced accuracy, the smallest of equals."""

    def accuracy(power: float) -> float:
        logits = holdout.features @ tau_normalised(weight, power).T
        found = confusion_matrix(
            holdout.labels.cpu().numpy(), logits.argmax(1).cpu().numpy(), len(weight)
        )
        return balanced_accuracy(found)

    return max(GRID, key=accuracy)


METHOD = Method(
    tau_norm,
    title="tau-norm",
    reference="Kang et al., arXiv 1910.09217",
    year=2020,
    published={"cifar10-lt-if100": 72.70, "cifar100-lt-if100": 40.96, "imagenet-lt": 49.4},
    paper=Paper(ldam_settings, first_view="weak", knobs={"norm_tau": 1.0}),
    search={"norm_tau": Range(0, 2)},
)
