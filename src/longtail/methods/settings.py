"""Training settings of papers that methods share."""

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
