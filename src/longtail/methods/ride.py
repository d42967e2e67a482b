"""RIDE: routing diverse, distribution-aware experts."""

from longtail.losses import (
    DistillationLoss,
    EachExpert,
    ExpertDiversityLoss,
    LDAMLoss,
    RoutingLoss,
)
from longtail.methods.knobs import above_zero, at_least, below_one, share
from longtail.nn.heads import Experts, Heads
from longtail.optim.settings import Settings
from longtail.recipe import DataInfo, Method, Paper, Range, Recipe, Restart, Stage, Term

ENSEMBLE = ("encoder", "experts")


def ride(
    data: DataInfo,
    *,
    experts: int = 3,
    diversity: float = 0.45,
    reweight_start: float = 0.8,
    max_margin: float = 0.5,
    beta: float = 0.9999,
    temperature_factor: float = 0.05,
    routing: bool = True,
    routing_share: float = 0.025,
    routing_lr: float = 0.01,
    teacher: str = "",
    teacher_weight: float = 1.0,
    teacher_temperature: float = 1.5,
) -> Recipe:
    """LDAM experts on a shared trunk that differ from their mean; a router asks as few as it can.

    Wang et al. 2021 (arXiv 2010.01809). Every expert has its own later stages, three quarters as
    wide, and its own cosine classifier; the ensemble is their mean. `diversity` is what
    the authors' configuration writes as a negative weight of the divergence. Distillation is of the
    mean of the student, once; the authors' loop adds it once an expert. With routing, the last
    part of training teaches a router on frozen experts when to ask one more.

    RCL's Table 2 prints 49.1 on CIFAR-100-LT (4 experts, distilled) and 55.4 on ImageNet-LT. The
    authors' page gives 48.6 on CIFAR-100-LT for 3 experts, 49.4 for 4 distilled from 6; no
    configuration of theirs is for CIFAR-10.

    Args:
        data: class counts.
        experts: how many, at least 2.
        diversity: weight of being unlike the mean expert, 0 or more.
        reweight_start: fraction of the experts' training after which rare classes weigh more.
        max_margin: LDAM's, of the rarest class; above 0.
        beta: of the effective number in the weights, in [0, 1).
        temperature_factor: how much lower the temperature of rare classes is then, in [0, 1).
        routing: whether there is a router.
        routing_share: part of training for it, in (0, 1).
        routing_lr: the rate it starts with, above 0; it falls along a cosine.
        teacher: folder of a finished run on the same data to distil from, such as RIDE with six
            experts; "" without one.
        teacher_weight: of the distillation, 0 or more.
        teacher_temperature: of it, above 0.
    """
    for name, value in (("diversity", diversity), ("teacher_weight", teacher_weight)):
        at_least(name, value, 0)
    for name, value in (("max_margin", max_margin), ("routing_lr", routing_lr)):
        above_zero(name, value)
    above_zero("teacher_temperature", teacher_temperature)
    at_least("experts", experts, 2)
    below_one("beta", beta)
    below_one("temperature_factor", temperature_factor)
    share("reweight_start", reweight_start)
    share("routing_share", routing_share)
    counts = data.class_counts
    distilled = Term(
        "distillation",
        teacher_weight,
        DistillationLoss(teacher_temperature),
        ("expert_logits", "teacher_logits"),
    )

    def ensemble_stage(part: float, *, reweighted: bool) -> Stage:
        margins = LDAMLoss(counts, max_margin, beta=beta if reweighted else None)
        apart = ExpertDiversityLoss(counts, temperature_factor if reweighted else None)
        terms = (
            Term("logit", 1.0, EachExpert(margins), ("expert_logits",)),
            Term("diversity", -diversity, apart, ("expert_logits",)),
        )
        return Stage(terms + ((distilled,) if teacher else ()), share=part, trainable=ENSEMBLE)

    rest = 1 - routing_share if routing else 1.0
    router = Stage(
        (Term("routing", 1.0, RoutingLoss(), ("routing", "expert_logits")),),
        share=1 - rest,
        sampler="class-balanced",
        trainable=("router",),
        restart=Restart(lr=routing_lr, weight_decay=5e-4),
    )
    return Recipe(
        views=("strong",),
        heads=Heads(classifier="cosine", experts=Experts(experts, width=0.75, router=routing)),
        stages=(
            ensemble_stage(rest * reweight_start, reweighted=False),
            ensemble_stage(rest * (1 - reweight_start), reweighted=True),
            *((router,) if routing else ()),
        ),
        teacher=teacher or None,
    )


def ride_settings(data: DataInfo) -> Settings:
    """Nesterov at 0.1, batch 128, times 0.01 at 80 % and at 90 %; 200 epochs and 5 of routing.

    Source: Wang et al. 2021, arXiv 2010.01809, and the authors' configuration for CIFAR-100.
    """
    del data
    return Settings(epochs=205, batch_size=128, lr=0.1, nesterov=True, decay=0.01)


METHOD = Method(
    ride,
    title="RIDE",
    reference="Wang et al., arXiv 2010.01809",
    year=2021,
    published={"cifar100-lt-if100": 49.1, "imagenet-lt": 55.4},
    paper=Paper(ride_settings, first_view="weak"),
    search={
        "diversity": Range(0, 1),
        "max_margin": Range(0.1, 1),
        "reweight_start": Range(0.5, 0.95),
        "temperature_factor": Range(0, 0.2),
        "teacher_weight": Range(0.1, 4, log=True, needs="teacher"),
        "teacher_temperature": Range(1, 8, log=True, needs="teacher"),
    },
)
