"""Apply to each picture the operation it drew, one batch an operation."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Operation = Callable[[Tensor, Tensor], Tensor]
"""(uint8 [b, 3, h, w], one parameter a picture [b]) -> uint8 [b, 3, h, w]."""


def apply_chosen(
    images: Tensor, chosen: Tensor, parameters: Tensor, operations: Sequence[Operation]
) -> Tensor:
    """Each picture after its own operation.

    Pictures are sorted by operation, so that each runs once on a contiguous batch.

    Args:
        images: uint8 [b, 3, h, w].
        chosen: int64 [b], an index into `operations`, or `len(operations)` to leave it as it is.
        parameters: float32 [b].
        operations: what can be chosen.
    """
    order = torch.argsort(chosen, stable=True)
    sizes = torch.bincount(chosen, minlength=len(operations) + 1).tolist()
    batches = torch.split(images.index_select(0, order), sizes)
    numbers = torch.split(parameters[order], sizes)
    done = [
        operation(batch, number) if len(batch) else batch
        for operation, batch, number in zip(operations, batches, numbers, strict=False)
    ]
    restored = torch.empty_like(order)
    restored[order] = torch.arange(len(order), device=order.device)
    return torch.cat([*done, batches[-1]]).index_select(0, restored)
