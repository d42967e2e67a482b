"""ACE: complementary experts, each for a longer or shorter part of the tail."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError
from longtail.losses import ComplementaryExpertsLoss
from longtail.methods.knobs import at_least
from longtail.nn.ensemble import ownership
from longtail.nn.heads import Experts, Heads
from longtail.optim import ParameterGroup
from longtail.optim.settings import Settings
from longtail.prior import GROUPS, as_counts, groups
from longtail.recipe import DataInfo, Method, Paper, Recipe, Stage, Term


def ace(
    data: DataInfo,
    *,
    experts: int = 3,
    trunk_learns_from: Literal["all", "first"] = "first",
) -> Recipe:
    """Experts for all classes, for medium and few, and for few, on shared early stages.

    Cai et al. 2021 (arXiv 2108.02385), as far as its text fixes it; no code was released. An
    expert learns the samples of its classes and holds its logits of the others at zero; its rate
    is the run's times the part of the training samples that its classes have. Whether the experts
    of the tail teach the shared stages is not certain: here the first alone does, as a reader of
    the paper notes, so that features stay those of all the data. How classes are split is said at
    `ace_splits`, how logits are brought to one scale in `longtail.nn.ensemble`, the reading of the
    loss in `longtail.losses`. The published CIFAR numbers are of 4 experts, ImageNet-LT's of
    ResNet-50.

    Args:
        data: class counts; at least as many classes as experts.
        experts: how many, at least 2.
        trunk_learns_from: whether "all" experts teach the shared stages or the "first" alone.
    """
    at_least("experts", experts, 2)
    owned = ace_splits(data.class_counts, experts)
    mask = ownership(owned, data.num_classes)
    term = Term("experts", 1.0, ComplementaryExpertsLoss(mask), ("expert_logits",))
    parts = [float(data.class_counts[list(ids)].sum() / data.num_samples) for ids in owned]
    return Recipe(
        views=("strong",),
        heads=Heads(
            experts=Experts(
                experts, shared_stages=2, owned=owned, trunk_learns_from=trunk_learns_from
            )
        ),
        stages=(Stage((term,)),),
        groups=tuple(ParameterGroup(f"experts.{k}", lr=part) for k, part in enumerate(parts)),
    )


def ace_splits(class_counts: npt.ArrayLike, experts: int = 3) -> tuple[tuple[int, ...], ...]:
    """The classes of each ACE expert: all of them, then ever shorter tails of the ranking.

    Classes are ranked by falling count, ties by class id. Three experts on data that have many,
    medium and few classes own all classes, medium and few, and few. Otherwise the ranking is cut
    into equal parts (as equal as whole classes allow) and expert number i, from 0, owns all but
    the first i parts.

    Args:
        class_counts: [c] training pictures a class.
        experts: k, at least 1.

    Returns:
        k tuples of class ids, each in the order of the ranking and the tail of the one before.

    Raises:
        DataError: fewer classes than experts.

    Source:
        Cai, Wang, Hwang 2021 (arXiv 2108.02385), the three splits. Equal parts are our rule for
        what the three groups do not cover.

    >>> ace_splits([500, 7, 60, 9])
    ((0, 2, 3, 1), (2, 3, 1), (3, 1))
    >>> ace_splits([10, 40, 20, 30], experts=2)
    ((1, 3, 2, 0), (2, 0))
    """
    counts = as_counts(class_counts)
    if len(counts) < experts:
        raise DataError(
            f"{len(counts)} classes cannot be split over {experts} experts; "
            f"use at most {len(counts)}."
        )
    ranking = np.argsort(-counts, kind="stable").tolist()
    sizes = [len(members) for members in groups(counts).values()]
    if experts == len(GROUPS) and all(sizes):
        starts = [0, sizes[0], sizes[0] + sizes[1]]
    else:
        starts = [number * len(counts) // experts for number in range(experts)]
    return tuple(tuple(ranking[start:]) for start in starts)


def ace_settings(data: DataInfo) -> Settings:
    """400 epochs of batch 128 at 0.05, times 0.1 at 80 % and at 90 %.

    Source: Cai et al. 2021, arXiv 2108.02385; batch and weight decay are not stated there.
    """
    del data
    return Settings(epochs=400, batch_size=128, lr=0.05)


METHOD = Method(
    ace,
    title="ACE",
    reference="Cai et al., arXiv 2108.02385",
    year=2021,
    published={"cifar10-lt-if100": 81.4, "cifar100-lt-if100": 49.6, "imagenet-lt": 54.7},
    paper=Paper(ace_settings, knobs={"experts": 4}),
)
