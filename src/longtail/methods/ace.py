"""ACE: complementary experts, each for a longer or shorter part of the tail."""

from typing import Literal

from longtail.losses import ComplementaryExpertsLoss
from longtail.methods.knobs import at_least
from longtail.methods.settings import ace_settings
from longtail.nn.ensemble import ace_splits, ownership
from longtail.nn.heads import Experts, Heads
from longtail.optim import Group
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
    the paper notes, so that features stay those of all the data. How classes are split and logits
    are brought to one scale is said in `longtail.nn.ensemble`, the reading of the loss in
    `longtail.losses`. The published CIFAR numbers are of 4 experts, ImageNet-LT's of ResNet-50.

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
        groups=tuple(Group(f"experts.{k}", lr=part) for k, part in enumerate(parts)),
    )


METHOD = Method(
    ace,
    title="ACE",
    reference="Cai et al., arXiv 2108.02385",
    year=2021,
    published={"cifar10-lt-if100": 81.4, "cifar100-lt-if100": 49.6, "imagenet-lt": 54.7},
    paper=Paper(ace_settings, knobs={"experts": 4}),
)
