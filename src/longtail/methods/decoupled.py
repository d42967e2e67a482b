"""The part that the decoupled methods share: cross-entropy first, then the head alone.

Kang et al. 2020 (arXiv 1910.09217): instance sampling learns good features, and the imbalance is
a matter of the classifier, which is trained again, or rescaled, on top of them.
"""

import dataclasses

from longtail.data.samplers import find_sampler
from longtail.losses import CrossEntropyLoss
from longtail.methods.knobs import above_zero, share
from longtail.methods.settings import ldam_settings
from longtail.optim.settings import Settings
from longtail.recipe import DataInfo, Paper, Restart, Stage, Term

HEAD_SHARE = 30 / 230
"""Part of training that the head has for itself: 30 epochs after 200 (Zhang et al. 2021)."""


def decoupled_settings(data: DataInfo) -> Settings:
    """200 epochs of LDAM-DRW's recipe, and 30 more for the head.

    Source: Zhang et al. 2021 (Bag of Tricks, the authors' code) for CIFAR; the original has none.
    """
    return dataclasses.replace(ldam_settings(data), epochs=230)


PAPER = Paper(decoupled_settings, first_view="weak")


def representation(share_of_head: float, trainable: tuple[str, ...] = ()) -> Stage:
    """Cross-entropy on instance-balanced batches, until the head's turn comes."""
    return Stage((cross_entropy(),), share=1 - share_of_head, trainable=trainable)


def head_stage(
    share_of_head: float,
    lr: float,
    sampler: str,
    *,
    trainable: str,
    reset: tuple[str, ...] = (),
    moving_norm: bool = False,
) -> Stage:
    """Cross-entropy for a part of the head, on batches of its own; the encoder is frozen.

    The schedule is that of Zhang et al. 2021 (Bag of Tricks, AAAI, and its code): five epochs of
    warm-up in thirty, times 0.1 after a third and two thirds.
    """
    share("head_share", share_of_head)
    above_zero("head_lr", lr)
    find_sampler(sampler)
    restart = Restart(
        lr=lr,
        schedule="step",
        milestones=(1 / 3, 2 / 3),
        decay=0.1,
        warmup=1 / 6,
        weight_decay=5e-4,
    )
    return Stage(
        (cross_entropy(),),
        share=share_of_head,
        sampler=sampler,
        trainable=(trainable,),
        moving_norm=moving_norm,
        reset=reset,
        restart=restart,
    )


def cross_entropy() -> Term:
    """The one term of both stages."""
    return Term("logit", 1.0, CrossEntropyLoss())
