"""Logit adjustment, as a loss and after training."""

from functools import partial

import torch

from longtail.losses import CrossEntropyLoss, LogitAdjustedLoss, posthoc_logit_adjustment
from longtail.methods.knobs import at_least
from longtail.nn.heads import Heads
from longtail.optim.settings import Settings
from longtail.recipe import DataInfo, Method, Paper, Range, Recipe, Stage, Term


def logit_adjustment(data: DataInfo, *, la_tau: float = 1.0) -> Recipe:
    """Cross-entropy on f + la_tau * log pi, on one view; predicts with the raw logits.

    Menon et al. 2021 (arXiv 2007.07314), Eq. 10. At la_tau 1.3 and strong augmentation it is the
    row "LC" of RCL's Table 1 (arXiv 2312.01753): 50.0 % on CIFAR-100-LT, harmonic mean 36.2 %.
    RCL's Table 2 prints the weakly augmented result of the original: 80.2 (perhaps a slip for
    80.92) on CIFAR-10-LT, 43.9 on CIFAR-100-LT.

    Args:
        data: class counts.
        la_tau: strength of the prior, 0 or more; 1 is the original's, 1.3 RCL's grid search.
    """
    at_least("la_tau", la_tau, 0)
    term = Term("logit", 1.0, LogitAdjustedLoss(data.class_counts, la_tau))
    return Recipe(views=("strong",), heads=Heads(), stages=(Stage((term,)),))


def posthoc_logit_adjustment_method(data: DataInfo, *, la_tau: float = 1.0) -> Recipe:
    """Plain cross-entropy; predicts with f - la_tau * log pi.

    Menon et al. 2021 (arXiv 2007.07314), Eq. 9. The authors' page gives 77.32 on CIFAR-10-LT and
    44.07 on CIFAR-100-LT at la_tau 1.

    Args:
        data: class counts.
        la_tau: strength of the prior taken off; 1 is the Bayes rule for a uniform test prior.
    """
    at_least("la_tau", la_tau, 0)
    counts = torch.from_numpy(data.class_counts)
    return Recipe(
        views=("strong",),
        heads=Heads(),
        stages=(Stage((Term("logit", 1.0, CrossEntropyLoss()),)),),
        posthoc=partial(posthoc_logit_adjustment, class_counts=counts, la_tau=la_tau),
    )


def logit_adjustment_settings(data: DataInfo) -> Settings:
    """About 120,000 steps of 128 pictures, Nesterov, times 0.1 at 49, 75 and 91 % of them.

    Source: Menon et al. 2021, arXiv 2007.07314, and the authors' code, whose epochs on CIFAR-10-LT
    (1,241, with drops after 604, 926 and 1,128) give these fractions.
    """
    steps_per_epoch = max(1, data.num_samples // 128)
    return Settings(
        epochs=max(1, round(120_000 / steps_per_epoch)),
        batch_size=128,
        lr=0.1,
        nesterov=True,
        weight_decay=1e-4,
        milestones=(604 / 1241, 926 / 1241, 1128 / 1241),
        warmup=20 / 1241,
    )


METHOD = Method(
    logit_adjustment,
    title="Logit adjustment",
    reference="Menon et al., arXiv 2007.07314",
    year=2021,
    published={"cifar10-lt-if100": 80.2, "cifar100-lt-if100": 43.9, "imagenet-lt": 50.9},
    paper=Paper(logit_adjustment_settings, first_view="weak", knobs={"la_tau": 1.0}),
    search={"la_tau": Range(0, 3)},
)
POSTHOC_METHOD = Method(
    posthoc_logit_adjustment_method,
    title="Post-hoc logit adjustment",
    reference="Menon et al., arXiv 2007.07314",
    year=2021,
    published={"cifar10-lt-if100": 77.32, "cifar100-lt-if100": 44.07},
    paper=Paper(logit_adjustment_settings, first_view="weak"),
    search={"la_tau": Range(0, 3)},
)
