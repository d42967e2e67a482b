"""BALMS: Balanced Softmax on frozen features, with batches drawn by a meta sampler."""

import dataclasses
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.losses import BalancedSoftmaxLoss, CrossEntropyLoss
from longtail.methods.knobs import above_zero, at_least, share
from longtail.methods.settings import balanced_softmax_settings
from longtail.nn.heads import Heads
from longtail.optim.settings import Settings
from longtail.recipe import (
    DataInfo,
    MetaSampling,
    Method,
    Paper,
    Range,
    Recipe,
    Restart,
    Stage,
    Term,
)


def balms(
    data: DataInfo,
    *,
    head_share: float = 2 / 15,
    head_lr: float = 0.1,
    meta_lr: float = 0.01,
    meta_power: float = 0.0,
) -> Recipe:
    """Cross-entropy, then a fresh classifier with Balanced Softmax and learned sampling.

    Ren et al. 2020 (arXiv 2007.10740), 3.3. In the second stage a weight a class decides how often
    it is drawn; before every step the classifier's step is taken on trial, and the weights follow
    the gradient of its loss on a class-balanced batch of training data. The authors' code takes
    that batch from the validation set of ImageNet-LT, which gives it data that others do not have;
    here it always comes from train.

    RCL's Table 2 prints 84.9 on CIFAR-10-LT and 50.8 on CIFAR-100-LT; the authors' code publishes
    imbalance 200 alone (82.2 and 48.0).

    Args:
        data: class counts.
        head_share: part of training for the classifier alone, in (0, 1).
        head_lr: rate that the classifier starts with, above 0; it falls along a cosine.
        meta_lr: of Adam on the class weights, above 0.
        meta_power: of the inverse class frequency they start from, 0 or more: 0 on CIFAR, 0.1 on
            ImageNet-LT.
    """
    share("head_share", head_share)
    above_zero("head_lr", head_lr)
    above_zero("meta_lr", meta_lr)
    at_least("meta_power", meta_power, 0)
    log_counts = torch.from_numpy(data.class_counts).clamp(min=1).log()
    balanced = Term("logit", 1.0, BalancedSoftmaxLoss(data.class_counts))
    return Recipe(
        views=("strong",),
        heads=Heads(),
        stages=(
            Stage((Term("logit", 1.0, CrossEntropyLoss()),), share=1 - head_share),
            Stage(
                (balanced,),
                share=head_share,
                trainable=("classifier",),
                reset=("classifier",),
                restart=Restart(lr=head_lr, weight_decay=5e-4),
                meta=MetaSampling(
                    partial(balanced_softmax_each, log_counts), lr=meta_lr, power=meta_power
                ),
            ),
        ),
    )


def balanced_softmax_each(log_counts: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Balanced Softmax of each sample, [b], of logits [b, c]."""
    prior = log_counts.to(logits.device, logits.dtype)
    return F.cross_entropy(logits + prior, labels, reduction="none")


def balms_settings(data: DataInfo) -> Settings:
    """Balanced Softmax's 13,000 steps and 2,000 more for the head.

    Source: Ren et al. 2020, arXiv 2007.10740, and the authors' configuration.
    """
    both = balanced_softmax_settings(data)
    return dataclasses.replace(both, epochs=max(2, round(both.epochs * 15 / 13)))


METHOD = Method(
    balms,
    title="BALMS",
    reference="Ren et al., arXiv 2007.10740",
    year=2020,
    published={"cifar10-lt-if100": 84.9, "cifar100-lt-if100": 50.8},
    paper=Paper(balms_settings),
    search={"head_lr": Range(0.01, 1, log=True), "meta_lr": Range(0.001, 0.1, log=True)},
)
