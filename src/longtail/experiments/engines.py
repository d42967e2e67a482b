"""Engines by name, and how a machine is shared among runs."""

from typing import NamedTuple

from longtail.errors import UsageError
from longtail.experiments.local import Engine, local
from longtail.training.decisions import usable_cores


class Share(NamedTuple):
    """How a machine is shared.

    Attributes:
        at_once: runs at a time.
        threads: of each.
    """

    at_once: int
    threads: int


def machine_share(at_once: int | None, threads: int | None, device: str, runs: int) -> Share:
    """Whatever is left out, so that every core works: a core a run, or the GPU to one of them.

    Raises:
        UsageError: a number below 1.
    """
    for name, number in (("--jobs", at_once), ("--threads", threads)):
        if number is not None and number < 1:
            raise UsageError(f"{name} {number}: it must be at least 1.")
    cores = usable_cores()
    if at_once is None:
        at_once = 1 if _on_gpu(device) else max(1, min(runs, cores // (threads or 1)))
    return Share(at_once, threads or max(1, cores // at_once))


def engine_named(
    name: str, share: Share, *, address: str | None = None, gpus: float = 0.0
) -> Engine:
    """The engine of a name.

    Args:
        name: "local" or "ray".
        share: how each machine is shared.
        address: of a Ray cluster; None starts one on this machine.
        gpus: of each run, for Ray.

    Raises:
        UsageError: Ray is asked for and not installed, or an option is for another engine.
    """
    if name == "ray":
        from longtail.experiments.cluster import ray_engine

        return ray_engine(share, address=address, gpus=gpus)
    if address or gpus:
        raise UsageError("--address and --gpus are for --engine ray.")
    return local(share.at_once)


def _on_gpu(device: str) -> bool:
    import torch

    return device not in ("auto", "cpu") or (device == "auto" and torch.cuda.is_available())
