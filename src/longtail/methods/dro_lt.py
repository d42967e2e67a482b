"""DRO-LT: features that are robust to where the class centroids really are."""

import dataclasses

import numpy as np
import numpy.typing as npt

from longtail.losses import CrossEntropyLoss, RobustCentroidLoss
from longtail.methods.knobs import above_zero, at_least, share
from longtail.methods.settings import ldam_settings
from longtail.nn.heads import Heads
from longtail.optim.settings import Settings
from longtail.recipe import DataInfo, Method, Paper, Range, Recipe, Restart, Stage, Term


def dro_lt(
    data: DataInfo,
    *,
    robust_weight: float = 1.0,
    robust_temperature: float = 1.0,
    robust_share: float = 80 / 300,
    robust_lr: float = 0.005,
    head_share: float = 20 / 300,
    head_lr: float = 0.01,
) -> Recipe:
    """Cross-entropy; then the encoder with a robust loss around class centroids; then the head.

    Samuel and Chechik 2021 (arXiv 2104.03066). In the second stage the classifier is frozen, the
    radius of each class's ball of possible centroids is learned, cross-entropy is weighted by
    n_c / max n as in the authors' code, and batches are class-aware. Centroids are means of the
    unaugmented training features at the start of each epoch; the authors' are of augmented and
    resampled ones. Each sample meets its own class's radius: the authors' code mixes them up unless
    the batch is sorted by class. Nothing is reloaded between stages: the authors keep the
    epoch that is best on test.

    Args:
        data: class counts.
        robust_weight: of the robust loss, 0 or more.
        robust_temperature: that distances are divided by, above 0.
        robust_share: part of training for the second stage, in (0, 1).
        robust_lr: its constant rate, above 0.
        head_share: part of training for the third, in (0, 1).
        head_lr: its constant rate, above 0.
    """
    at_least("robust_weight", robust_weight, 0)
    share("robust_share", robust_share)
    share("head_share", head_share)
    share("robust_share + head_share", robust_share + head_share)
    above_zero("robust_temperature", robust_temperature)
    for name, rate in (("robust_lr", robust_lr), ("head_lr", head_lr)):
        above_zero(name, rate)
    counts = np.maximum(data.class_counts, 1)
    return Recipe(
        views=("strong",),
        heads=Heads(radii=True),
        stages=(
            Stage((_cross_entropy(),), share=1 - robust_share - head_share),
            Stage(
                (
                    _cross_entropy(counts / counts.max()),
                    Term(
                        "robust",
                        robust_weight,
                        RobustCentroidLoss(robust_temperature),
                        ("features", "class_means", "radii"),
                    ),
                ),
                share=robust_share,
                sampler="class-aware",
                trainable=("encoder", "radii"),
                restart=_constant(robust_lr),
            ),
            Stage(
                (_cross_entropy(),),
                share=head_share,
                sampler="class-aware",
                trainable=("classifier",),
                restart=_constant(head_lr),
            ),
        ),
    )


def _cross_entropy(class_weights: npt.NDArray[np.float64] | None = None) -> Term:
    return Term("logit", 1.0, CrossEntropyLoss(class_weights))


def _constant(lr: float) -> Restart:
    return Restart(lr=lr, schedule="step", weight_decay=1e-4)


def dro_settings(data: DataInfo) -> Settings:
    """LDAM-DRW's recipe for 200 epochs, then 80 for the encoder and 20 for the head.

    Source: Samuel and Chechik 2021, arXiv 2104.03066, and the authors' code.
    """
    return dataclasses.replace(ldam_settings(data), epochs=300)


METHOD = Method(
    dro_lt,
    title="DRO-LT",
    reference="Samuel and Chechik, arXiv 2104.03066",
    year=2021,
    published={"cifar10-lt-if100": 80.5, "cifar100-lt-if100": 47.1, "imagenet-lt": 53.5},
    paper=Paper(dro_settings),
    search={
        "robust_weight": Range(0.1, 10, log=True),
        "robust_temperature": Range(0.1, 10, log=True),
        "robust_lr": Range(0.001, 0.05, log=True),
        "head_lr": Range(0.001, 0.1, log=True),
    },
)
