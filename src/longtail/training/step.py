"""One step of training: outputs, the weighted sum of the terms, the update."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from longtail.data.batches import Batch
from longtail.evaluation import autocast
from longtail.nn.outputs import Outputs
from longtail.recipe import Term


def train_step(
    model: Callable[[Tensor, Tensor | None], Outputs],
    optimiser: torch.optim.Optimizer,
    terms: Sequence[Term],
    batch: Batch,
    class_scale: Tensor,
    *,
    scale_features: bool,
    precision: str,
) -> Tensor:
    """Update the model once; nothing in here makes the host wait for the device.

    Args:
        model: in training mode, compiled or not.
        optimiser: of its parameters, at the rate of this step.
        terms: of the current stage.
        batch: views and labels.
        class_scale: float32 [c], compression factors.
        scale_features: whether they act on the features before the projection head.
        precision: "bf16" or "fp32".

    Returns:
        float32 [1 + terms]: the total loss, then each weighted term, detached.
    """
    optimiser.zero_grad(set_to_none=True)
    feature_scale = class_scale[batch.labels] if scale_features else None
    with autocast(batch.views.device, precision):
        outputs = model(batch.views, feature_scale)
    values = [term.weight * _value(term, outputs, batch.labels, class_scale) for term in terms]
    total = torch.stack(values).sum()
    total.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return torch.stack([total, *values]).detach()


def _value(term: Term, outputs: Outputs, labels: Tensor, class_scale: Tensor) -> Tensor:
    """A term's loss on the outputs it reads; the labels are repeated for every view in the rows."""
    available = {**outputs._asdict(), "class_scale": class_scale}
    rows, *further = (available[name] for name in term.reads)
    loss: Tensor = term.loss(rows, labels.repeat(len(rows) // len(labels)), *further)
    return loss
