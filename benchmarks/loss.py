"""The contrastive loss forward and backward: our kernels beside others' ways to compute it.

    python benchmarks/loss.py [--json loss.json]
    python benchmarks/loss.py --device cuda [--dtype bf16]

BCL with a prototype a class (its Eq. 5): `plain` and `streamed` (and `triton` on CUDA) are kernels
of `longtail.losses.contrastive_loss`; `materialised` writes the equation with masks of n scores by
m keys, as loops usually have it; pytorch-metric-learning's SupConLoss is given the prototypes as
further samples, which makes them anchors too: that is another loss, the nearest that it has.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from measure import (
    Alternative,
    Segment,
    absent_peers,
    interleave,
    interleave_apart,
    machine,
    parsed,
    parser,
    peak_allocated,
    typed_command,
)
from ordinary import KINDS, materialised_loss
from results import Case, Goal, Report, Timing, publish, ratio
from torch import Tensor

from longtail.losses import contrastive_loss
from longtail.losses.kernels import TRITON_DIM, KernelName

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

MATERIALISED, PEER = "materialised", "pytorch-metric-learning"
# Rows, width, classes; how many times quicker than the peer and the materialised loss, and the
# share of the latter's memory, that were wanted.
SIZES = (
    ((512, 128, 100), {PEER: 2.0}, None),
    ((2048, 1024, 1000), {PEER: 2.0, MATERIALISED: 1.8}, (0.4, 1 / 3)),
    ((512, 1024, 8142), {PEER: 10.0, MATERIALISED: 2.0}, (0.2, None)),
)
LARGE, LARGE_MIB = (16_384, 128, 8142), 2048
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def batch(
    n: int, d: int, c: int, device: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, labels, prototypes, and counts of a tail from 500 pictures down to 5."""
    generator = torch.Generator().manual_seed(0)
    features, prototypes = (
        torch.randn(rows, d, generator=generator).to(device, dtype).requires_grad_()
        for rows in (n, c)
    )
    counts = (500 * 0.01 ** torch.linspace(0, 1, c)).long()
    labels = torch.multinomial(counts.float(), n, replacement=True, generator=generator)
    return features, labels.to(device), prototypes, counts.to(device)


def losses(counts: Tensor, d: int) -> dict[str, Loss]:
    """Every way to compute it for rows of d numbers that is here, the slowest first."""
    found = {PEER: peer()} if not absent(PEER) else {}
    found[MATERIALISED] = partial(materialised_loss, class_counts=counts, kind=KINDS["bcl"])
    kernels: tuple[KernelName, ...] = ("plain", "streamed")
    if counts.is_cuda and d <= TRITON_DIM:
        kernels += ("triton",)
    return found | {
        name: partial(contrastive_loss, class_average=True, kernel=name) for name in kernels
    }


def absent(name: str) -> bool:
    return any(sentence.startswith(name) for sentence in absent_peers())


def peer() -> Loss:
    from pytorch_metric_learning.losses import SupConLoss

    supervised = SupConLoss(temperature=0.1)

    def loss(features: Tensor, labels: Tensor, prototypes: Tensor) -> Tensor:
        classes = torch.arange(len(prototypes), device=labels.device)
        value: Tensor = supervised(torch.cat([features, prototypes]), torch.cat([labels, classes]))
        return value

    return loss


def forward_backward(loss: Loss, features: Tensor, labels: Tensor, prototypes: Tensor) -> None:
    features.grad = prototypes.grad = None
    loss(features, labels, prototypes).backward()  # type: ignore[no-untyped-call]


def compare(size: tuple[int, int, int], arguments: argparse.Namespace) -> Case:
    """All ways in turns on one batch; then the memory of each in a call of its own."""
    features, labels, prototypes, counts = batch(*size, arguments.device, DTYPES[arguments.dtype])
    runs = {
        name: partial(forward_backward, loss, features, labels, prototypes)
        for name, loss in losses(counts, size[1]).items()
    }
    timings = interleave(
        runs,
        turns=arguments.turns,
        warm_ups=3 if size[2] < 5000 else 1,
        device=arguments.device,
        budget=arguments.seconds,
    )
    peaks = {}
    for name, run in runs.items():
        features.grad = prototypes.grad = None  # memory of a former call is none of this one's
        peaks[name] = peak_allocated(run, arguments.device)
    timings = [Timing(t.name, t.seconds, peak_bytes=peaks[t.name]) for t in timings]
    n, d, c = size
    ours = "triton" if "triton" in runs and d <= 256 else "streamed"
    slower = [name for name in (PEER, MATERIALISED, "plain") if name in runs]
    return Case(
        title=f"{n:,} rows of {d}, {c:,} classes, {arguments.dtype}",
        timings=tuple(timings),
        ratios=tuple(ratio(timings, name, ours) for name in slower),
        goals=goals(size, timings, ours) if arguments.device == "cpu" else (),
        memory="highest sum of tensors made during a call, gradients included",
    )


def goals(size: tuple[int, int, int], timings: list[Timing], ours: str) -> tuple[Goal, ...]:
    """What was wanted at this size."""
    named = {timing.name: timing for timing in timings}
    wanted, share = next((times, share) for known, times, share in SIZES if known == size)
    found = [
        Goal(
            f"times as quick as {name}",
            times,
            ratio(timings, name, ours).medians,
            stretch=2.0 if times == 1.8 else None,
        )
        for name, times in wanted.items()
        if name in named
    ]
    if share:
        peak, theirs = named[ours].peak_bytes or 0, named[MATERIALISED].peak_bytes or 1
        what = f"of the memory of {MATERIALISED}"
        found.append(Goal(what, share[0], peak / theirs, at_most=True, stretch=share[1]))
    return tuple(found)


def prepare_large() -> Segment:
    """The large batch in a process of its own."""
    features, labels, prototypes, _ = batch(*LARGE, "cpu", torch.float32)
    loss = partial(contrastive_loss, class_average=True)
    return Segment(partial(forward_backward, loss, features, labels, prototypes))


def large() -> Case:
    """How much memory a whole process needs for a batch whose scores alone would be 1.6 GB."""
    timings = interleave_apart({"streamed": Alternative(prepare_large)}, turns=3)
    n, d, c = LARGE
    peak = (timings[0].peak_bytes or 0) / 2**20
    return Case(
        title=f"{n:,} rows of {d}, {c:,} classes, fp32, in a process of its own",
        timings=tuple(timings),
        goals=(Goal("MiB of process memory", LARGE_MIB, peak, at_most=True),),
        memory="highest resident memory of the process, with torch",
    )


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--turns", type=int, default=15)
    made.add_argument("--dtype", default="fp32", choices=tuple(DTYPES))
    arguments = parsed(made)
    cases = [compare(size, arguments) for size, *_ in SIZES]
    if arguments.device == "cpu":
        cases.append(large())
    report = Report(
        benchmark="loss",
        title="The contrastive loss, forward and backward",
        command=typed_command(),
        machine=machine(arguments.device),
        cases=tuple(cases),
        notes=tuple(absent_peers()),
    )
    publish(report, arguments.json)


if __name__ == "__main__":
    main()
