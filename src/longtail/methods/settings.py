"""Training settings of papers that several methods share."""

import dataclasses

from longtail.optim.settings import Settings
from longtail.recipe import DataInfo


def ldam_settings(data: DataInfo) -> Settings:
    """The CIFAR recipe of LDAM-DRW: batch 128, rate 0.1, times 0.01 at 80 % and at 90 %.

    Source: Cao et al. 2019, arXiv 1906.07413, and the authors' code, whose second drop is also
    a factor of 0.01 where the paper's text can be read as 0.1.
    """
    del data
    return Settings(batch_size=128, lr=0.1, weight_decay=2e-4, decay=0.01)


def balanced_softmax_settings(data: DataInfo) -> Settings:
    """13,000 steps of 512 pictures, cosine from 0.1 after 800 steps of warm-up.

    Source: Ren et al. 2020, arXiv 2007.10740, and the authors' configuration.
    """
    steps_per_epoch = max(1, data.num_samples // 512)
    return Settings(
        epochs=max(1, round(13_000 / steps_per_epoch)),
        batch_size=512,
        lr=0.1,
        weight_decay=5e-4,
        schedule="cosine",
        warmup=800 / 13_000,
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


def bcl_settings(data: DataInfo) -> Settings:
    """BCL's CIFAR settings: RCL's, at a rate of 0.15 (Zhu et al. 2022, arXiv 2207.09052)."""
    del data
    return Settings(lr=0.15)


def decoupled_settings(data: DataInfo) -> Settings:
    """200 epochs of LDAM-DRW's recipe, and 30 more for the head.

    Source: Zhang et al. 2021 (Bag of Tricks, the authors' code) for CIFAR; the original has none.
    """
    return dataclasses.replace(ldam_settings(data), epochs=230)


def balms_settings(data: DataInfo) -> Settings:
    """Balanced Softmax's 13,000 steps and 2,000 more for the head.

    Source: Ren et al. 2020, arXiv 2007.10740, and the authors' configuration.
    """
    both = balanced_softmax_settings(data)
    return dataclasses.replace(both, epochs=max(2, round(both.epochs * 15 / 13)))


def dro_settings(data: DataInfo) -> Settings:
    """LDAM-DRW's recipe for 200 epochs, then 80 for the encoder and 20 for the head.

    Source: Samuel and Chechik 2021, arXiv 2104.03066, and the authors' code.
    """
    return dataclasses.replace(ldam_settings(data), epochs=300)


def ride_settings(data: DataInfo) -> Settings:
    """Nesterov at 0.1, batch 128, times 0.01 at 80 % and at 90 %; 200 epochs and 5 of routing.

    Source: Wang et al. 2021, arXiv 2010.01809, and the authors' configuration for CIFAR-100.
    """
    del data
    return Settings(epochs=205, batch_size=128, lr=0.1, nesterov=True, decay=0.01)


def ace_settings(data: DataInfo) -> Settings:
    """400 epochs of batch 128 at 0.05, times 0.1 at 80 % and at 90 %.

    Source: Cai et al. 2021, arXiv 2108.02385; batch and weight decay are not stated there.
    """
    del data
    return Settings(epochs=400, batch_size=128, lr=0.05)


def hybrid_settings(data: DataInfo) -> Settings:
    """200 epochs of batch 512 at 0.5, times 0.1 at 60 % and at 80 %.

    Source: Wang et al. 2021, arXiv 2103.14267.
    """
    del data
    return Settings(batch_size=512, lr=0.5, weight_decay=1e-4, milestones=(0.6, 0.8))
