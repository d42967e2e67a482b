"""The kernels of the contrastive softmax by name, and which one fits a batch."""

from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor

from longtail.errors import UsageError
from longtail.losses.instances import Contrast
from longtail.losses.plain import plain
from longtail.losses.streaming import streamed

KernelName = Literal["auto", "plain", "streamed"]

KERNELS: dict[str, Callable[[Contrast], Tensor]] = {"plain": plain, "streamed": streamed}
"""Each gives the same sum; see `longtail.losses.instances`."""


def choose_kernel(name: KernelName, contrast: Contrast) -> Callable[[Contrast], Tensor]:
    """The kernel of that name; for "auto" the one that is fastest on the batch's device.

    Raises:
        UsageError: no kernel has that name.
    """
    if name not in get_args(KernelName):
        raise UsageError(
            f"kernel is {name!r}; it must be one of {', '.join(get_args(KernelName))}."
        )
    if name == "auto":
        name = "streamed"
    return KERNELS[name]
