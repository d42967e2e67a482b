"""Samplers: the order in which an epoch visits the training samples.

A sampler is a pure function of (labels, seed, epoch), so a position in training is one integer.
"""

from collections.abc import Callable

from torch import Tensor

from longtail.errors import UsageError, did_you_mean
from longtail.keyed import fold, permutation

Sampler = Callable[[Tensor, int, int], Tensor]
"""(labels int64 [n], seed, epoch) -> positions in [0, n), int64, in the order of the visit."""


def instance(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """Every sample once, shuffled: classes come as often as they are."""
    return permutation(fold(seed, "order", epoch), len(labels))


SAMPLERS: dict[str, Sampler] = {"instance": instance}


def sampler(name: str) -> Sampler:
    """The sampler called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in SAMPLERS:
        raise UsageError(f"Unknown sampler {name!r}. {did_you_mean(name, SAMPLERS)}")
    return SAMPLERS[name]
