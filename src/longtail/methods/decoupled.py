"""The part that the decoupled methods share: cross-entropy first, then the head alone.

Kang et al. 2020 (arXiv 1910.09217): instance sampling learns good features, and the imbalance is
a matter of the classifier, which is trained again, or rescaled, on top of them.
"""

from longtail.losses import CrossEntropyLoss
from longtail.methods.knobs import above_zero, share
from longtail.methods.settings import decoupled_settings
from longtail.recipe import Paper, Restart, Stage, Term

HEAD_SHARE = 30 / 230
"""Part of training that the head has for itself: 30 epochs after 200 (Zhang et al. 2021)."""

PAPER = Paper(decoupled_settings, first_view="weak")


def representation(share_of_head: float, trains: tuple[str, ...] = ()) -> Stage:
    """Cross-entropy on instance-balanced batches, until the head's turn comes."""
    return Stage((cross_entropy(),), share=1 - share_of_head, trains=trains)


def head_stage(
    share_of_head: float,
    lr: float,
    *,
    trains: str,
    reset: tuple[str, ...] = (),
    moving_norm: bool = False,
) -> Stage:
    """Cross-entropy on class-aware batches for a part of the head; the encoder is frozen.

    The schedule is that of Zhang et al. 2021 (Bag of Tricks, AAAI, and its code): five epochs of
    warm-up in thirty, times 0.1 after a third and two thirds.
    """
    share("head_share", share_of_head)
    above_zero("head_lr", lr)
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
        sampler="class-aware",
        trains=(trains,),
        moving_norm=moving_norm,
        reset=reset,
        restart=restart,
    )


def cross_entropy() -> Term:
    """The one term of both stages."""
    return Term("logit", 1.0, CrossEntropyLoss())
