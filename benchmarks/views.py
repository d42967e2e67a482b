"""Pictures a second on one core: longtail's batched views beside torchvision's and kornia's.

    python benchmarks/views.py [--batches 256 1024] [--json FILE]
    python benchmarks/views.py --device cuda [--json FILE]

The same batches of 32x32 photographs, in turns. On the CPU one thread and this process's CPU
seconds, so that whoever else uses the machine counts less. The peers differ: torchvision's loop
makes the same views picture by picture from Pillow pictures; torchvision v2 on a batch draws once
for all of its pictures; kornia draws for each picture, but its AutoAugment takes one policy a
batch. longtail draws everything for each picture.
"""

import argparse
import time
from collections.abc import Callable

import torch
from measure import Run, absent_peers, interleave, machine, parsed, parser, typed_command
from ordinary import pillow_view
from results import Case, Goal, Report, publish, ratio
from torch import Tensor
from torchvision.transforms import functional, v2

from longtail import keyed
from longtail.data.views import Role, view_for
from longtail.data.views.sheet import photographs

ROLES: tuple[Role, ...] = ("strong", "contrastive", "weak")
OURS = "longtail"
GOAL = 10_000
PEER_NOTES = (
    "torchvision v2 draws once a batch, so all of its pictures get the same operation: quick, and "
    "no replacement for the others.",
    "kornia works in float32 and draws for each picture, but AutoAugment's policy once a batch.",
    "v2 and kornia cut out a square that lies wholly inside, the others one that may overlap the "
    "border.",
)


def batched_v2(role: str) -> Callable[[Tensor], Tensor]:
    """The view as torchvision v2 makes it of a batch: one draw for all pictures."""
    steps = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]
    if role == "strong":
        policy = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
        steps += [policy, v2.RandomErasing(1.0, (0.25, 0.25), (1.0, 1.0))]
    elif role == "contrastive":
        jitter = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8)
        crop = v2.RandomResizedCrop(32, (0.08, 1.0))
        steps = [crop, v2.RandomHorizontalFlip(), jitter, v2.RandomGrayscale(0.2)]
    view: Callable[[Tensor], Tensor] = v2.Compose(steps)
    return view


def batched_kornia(role: str) -> Callable[[Tensor], Tensor] | None:
    """The view as kornia makes it of a float batch; None where kornia is absent."""
    try:
        from kornia import augmentation as k
    except ImportError:
        return None
    weak = [k.RandomCrop((32, 32), padding=4), k.RandomHorizontalFlip()]
    if role == "weak":
        steps = weak
    elif role == "strong":
        hole = k.RandomErasing((0.25, 0.25), (1.0, 1.0), p=1.0)
        steps = [*weak, k.auto.AutoAugment("cifar10"), hole]
    else:
        jitter = k.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8)
        crop = k.RandomResizedCrop((32, 32), (0.08, 1.0))
        steps = [crop, k.RandomHorizontalFlip(), jitter, k.RandomGrayscale(p=0.2)]
    sequence = torch.nn.Sequential(*steps)
    return lambda images: sequence(images.float() / 255)


def alternatives(role: Role, images: Tensor) -> dict[str, Run]:
    """Every way to make the view of uint8 [b, 3, 32, 32] pictures."""
    key = keyed.fold(0, torch.arange(len(images), device=images.device))
    view, together, kornia = view_for("photo", role), batched_v2(role), batched_kornia(role)
    runs: dict[str, Run] = {OURS: lambda: view(images, key)}
    if images.device.type == "cpu":
        singles = [functional.to_pil_image(image) for image in images]
        single = pillow_view(role)
        runs["torchvision, Pillow, a picture at a time"] = lambda: [single(p) for p in singles]
    runs["torchvision v2, one draw a batch"] = lambda: together(images)
    if kornia is not None:
        runs["kornia"] = lambda: kornia(images)
    return runs


def compare(role: Role, batch: int, arguments: argparse.Namespace) -> Case:
    images = photographs().repeat(batch // 4, 1, 1, 1).to(arguments.device)
    on_cpu = images.device.type == "cpu"
    timings = interleave(
        alternatives(role, images),
        turns=arguments.turns,
        device=arguments.device,
        budget=arguments.seconds,
        work=float(len(images)),
        clock=time.process_time if on_cpu else time.perf_counter,
    )
    reached = len(images) / timings[0].median
    goal = Goal(f"pictures/s of the {role} view on one core", GOAL, reached)
    return Case(
        title=f"{role} view, batch of {batch}",
        timings=tuple(timings),
        ratios=tuple(ratio(timings, other.name, OURS) for other in timings[1:]),
        goals=(goal,) if on_cpu and role != "weak" else (),
        counts="pictures",
    )


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--batches", type=int, nargs="+", default=[256, 1024])
    made.add_argument("--roles", nargs="+", default=ROLES, choices=ROLES)
    made.add_argument("--turns", type=int, default=15)
    arguments = parsed(made)
    if arguments.device == "cpu":
        torch.set_num_threads(arguments.threads or 1)
        # As any training process has by its first step, free one large buffer: until then glibc
        # gives the memory of every freed tensor back, and page faults dominate.
        torch.zeros(24 << 20, dtype=torch.uint8)
    report = Report(
        benchmark="views",
        title="Views",
        command=typed_command(),
        machine=machine(arguments.device),
        cases=tuple(
            compare(role, batch, arguments)
            for role in arguments.roles
            for batch in arguments.batches
        ),
        notes=(*PEER_NOTES, *absent_peers("kornia")),
    )
    publish(report, arguments.json)


if __name__ == "__main__":
    main()
