"""One step of training: outputs, the weighted sum of the terms, the update."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from longtail.data.batches import Batch
from longtail.evaluation import autocast
from longtail.nn.outputs import Outputs, Scales
from longtail.recipe import Recipe, Term
from longtail.training.state import TrainState


def train_step(
    model: Callable[[Tensor, Scales | None], Outputs],
    optimiser: torch.optim.Optimizer,
    terms: Sequence[Term],
    weights: Tensor,
    batch: Batch,
    *,
    scales: Scales | None,
    further: Mapping[str, Tensor],
    precision: str,
) -> Tensor:
    """Update the model once; nothing in here makes the host wait for the device.

    Args:
        model: in training mode, compiled or not.
        optimiser: of its parameters, at the rate of this step.
        terms: of the current stage.
        weights: float [terms], theirs at this point of training.
        batch: views and labels.
        scales: factors on the features, or None.
        further: what terms may read beside the model's outputs, by name.
        precision: "bf16" or "fp32".

    Returns:
        float32 [1 + terms]: the total loss, then each weighted term, detached.
    """
    optimiser.zero_grad(set_to_none=True)
    with autocast(batch.views.device, precision):
        outputs = model(batch.views, scales)
    available = {**outputs._asdict(), **further}
    values = [
        weight * _value(term, available, batch)
        for term, weight in zip(terms, weights[: len(terms)], strict=True)
    ]
    total = torch.stack(values).sum()
    total.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return torch.stack([total, *values]).detach()


def _value(term: Term, available: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """A term's loss on the outputs it reads; the labels are repeated for every view in the rows."""
    rows, *further = (available[name] for name in term.reads)
    own = batch.contrast_labels if term.reads[0] == "embeddings" else batch.labels
    loss: Tensor = term.loss(rows, own.repeat(len(rows) // len(own)), *further)
    return loss


def scales_of(recipe: Recipe, state: TrainState, batch: Batch) -> Scales | None:
    """Factors on the features of a batch: FCC's on all views, RCL's on the contrastive ones."""
    compressed = recipe.compression is not None and recipe.compression.side == "before-head"
    if not compressed and recipe.feature_factors is None:
        return None
    others = state.feature_factors[batch.contrast_labels]
    if compressed:
        others = others * state.class_scale[batch.contrast_labels]
    return Scales(state.feature_factors[batch.labels], others)
