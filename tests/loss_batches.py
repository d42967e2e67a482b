"""Small batches for the losses, and their values and gradients."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from longtail.losses import contrastive as contrastive_module
from longtail.losses import streaming
from longtail.losses.catalogue import Loss, LossEntry
from longtail.losses.kernels import KERNELS
from references import contrastive, logit

WAYS = ("plain", "streamed", "streamed in small blocks")
"""Ways to compute a loss on features, each to be held to the same tests."""

REFERENCES = {
    "ce": lambda b, tau: logit.cross_entropy(b.outputs, b.labels),
    "balanced-softmax": lambda b, tau: logit.balanced_softmax(b.outputs, b.labels, b.counts),
    "logit-adjustment": lambda b, tau: logit.logit_adjustment(b.outputs, b.labels, b.counts),
    "scl": lambda b, tau: contrastive.scl(b.outputs, b.labels, tau),
    "bcl": lambda b, tau: contrastive.bcl(b.outputs, b.labels, b.prototypes, tau),
    "rcl": lambda b, tau: contrastive.rcl(b.outputs, b.labels, b.counts, tau),
    "bcl-rcl": lambda b, tau: contrastive.bcl_rcl(b.outputs, b.labels, b.prototypes, b.counts, tau),
}


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a loss of the catalogue is called with: logits or features, as its entry says."""

    outputs: Tensor
    labels: Tensor
    prototypes: Tensor | None
    counts: list[int]

    @property
    def class_counts(self) -> Tensor:
        return torch.tensor(self.counts)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The differentiable ones."""
        return (self.outputs,) if self.prototypes is None else (self.outputs, self.prototypes)

    def replace(self, **changes: Any) -> "Batch":
        return dataclasses.replace(self, **changes)

    def to(self, dtype: torch.dtype) -> "Batch":
        centres = None if self.prototypes is None else self.prototypes.to(dtype)
        return self.replace(outputs=self.outputs.to(dtype), prototypes=centres)


def batch(
    entry: LossEntry,
    labels: list[int],
    counts: list[int],
    *,
    dim: int = 3,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Batch:
    """Standard normal logits, features and prototypes for these labels and counts."""
    generator = torch.Generator().manual_seed(seed)
    width = len(counts) if entry.kind == "logits" else dim
    drawn = torch.randn(len(labels) + len(counts), width, generator=generator, dtype=dtype)
    centres = drawn[len(labels) :] if entry.prototypes else None
    return Batch(drawn[: len(labels)], torch.tensor(labels), centres, counts)


def call(loss: Loss, batch: Batch) -> Tensor:
    """The loss of a batch, with prototypes where it has them."""
    return loss(batch.outputs, batch.labels, *batch.inputs[1:])


def with_grads(batch: Batch) -> Batch:
    """The same batch as fresh leaves that collect gradients."""
    leaves = [x.detach().clone().requires_grad_() for x in batch.inputs]
    centres = None if batch.prototypes is None else leaves[1]
    return batch.replace(outputs=leaves[0], prototypes=centres)


def value_and_grads(loss: Loss, batch: Batch) -> list[Tensor]:
    """The value, then the gradient of each differentiable input."""
    leaves = with_grads(batch)
    value = call(loss, leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves.inputs)]


def temperature_of(entry: LossEntry, temperature: float) -> dict[str, float]:
    """The knob where the loss has one."""
    return {"temperature": temperature} if entry.kind == "features" else {}


@contextmanager
def computed(way: str) -> Iterator[None]:
    """Losses on features are computed this way, whatever their size."""
    kernel = KERNELS[way.split()[0]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contrastive_module, "choose_kernel", lambda name, contrast: kernel)
        if "small" in way:
            # Ragged blocks of the usual batches; the first products are kept, later ones are not.
            patch.setattr(streaming, "BLOCK_ROWS", 3)
            patch.setattr(streaming, "KEPT_PRODUCTS", 18)
            patch.setattr(streaming, "BLOCK_SCORES", 8)
            patch.setattr(streaming, "BLOCK_COLUMNS", 3)
        yield
