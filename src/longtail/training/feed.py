"""The batches of a phase: from samplers that are known beforehand, or from one that learns."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from longtail.data.batches import Batch, epoch_batches, fetch_from
from longtail.data.dataset import Dataset
from longtail.data.samplers import Coverage, coverage, coverage_line, sampler
from longtail.evaluation import autocast
from longtail.keyed import fold
from longtail.nn.model import Model
from longtail.nn.outputs import scaled
from longtail.recipe import MetaSampling
from longtail.training.meta import adam_step, draw, meta_gradient
from longtail.training.plan import Plan
from longtail.training.stages import Phase, phases
from longtail.training.state import TrainState
from longtail.training.step import scales_of

Feed = Callable[[TrainState, Phase, int, int], Iterator[Batch]]
"""(state, phase, epoch, first batch) -> the rest of the epoch's batches."""


def feeder(plan: Plan, dataset: Dataset) -> Feed:
    """What makes the batches of any epoch; the training data are laid out once."""
    labels = torch.tensor(dataset.train.labels)
    batches = partial(
        epoch_batches,
        dataset.train,
        fetch_from(dataset.train, plan.device),
        batch_size=plan.resolved.settings.batch_size,
        kind=dataset.kind,
        roles=plan.resolved.recipe.views,
        statistics=plan.statistics,
        device=plan.device,
    )

    def feed(state: TrainState, phase: Phase, epoch: int, first: int) -> Iterator[Batch]:
        if phase.stage.meta is not None:
            return _learned(plan, labels, batches, state, phase, phase.stage.meta, epoch, first)
        order, contrast_order = orders_of(plan, labels, phase, epoch)
        return batches(
            order, contrast_order=contrast_order, first=first, seed=plan.seed, epoch=epoch
        )

    return feed


def orders_of(plan: Plan, labels: Tensor, phase: Phase, epoch: int) -> tuple[Tensor, Tensor | None]:
    """Positions that an epoch visits with the first view, and with the others where they differ."""
    progress, other = epoch / plan.resolved.settings.epochs, phase.stage.contrast_sampler
    order = sampler(phase.stage.sampler)(labels, plan.seed, epoch, progress)
    if other is None:
        return order, None
    # Another key, so that two samplers of one kind do not show the same pictures.
    own_seed = int(fold(plan.seed, "contrast"))
    return order, sampler(other)(labels, own_seed, epoch, progress)


def sampler_lines(plan: Plan, dataset: Dataset) -> Iterator[str]:
    """What each sampler but the plain one draws in its first epoch, in sentences."""
    recipe, labels = plan.resolved.recipe, torch.tensor(dataset.train.labels)
    for phase in phases(recipe.stages, plan.resolved.settings):
        stage = phase.stage
        names = (stage.sampler, stage.contrast_sampler)
        if stage.meta or names == ("instance", None):
            continue
        for name, order in zip(names, orders_of(plan, labels, phase, phase.first), strict=True):
            if name and order is not None:
                covered = _covered(plan, order, labels, dataset.num_classes)
                yield coverage_line(name, dataset.counts, covered)


def drawn_classes(
    plan: Plan, dataset: Dataset, state: TrainState, phase: Phase, epoch: int
) -> dict[str, Any]:
    """For the log: how often an epoch drew each class, and how many of its samples came at all.

    Of a meta sampler the scores of the classes, which its draws go by. Nothing for plain sampling,
    which draws everything once.
    """
    stage = phase.stage
    if stage.meta:
        return {"scores": state.meta.weights.sigmoid().tolist()}
    if (stage.sampler, stage.contrast_sampler) == ("instance", None):
        return {}
    labels = torch.tensor(dataset.train.labels)
    line: dict[str, Any] = {}
    for prefix, order in zip(("", "contrast_"), orders_of(plan, labels, phase, epoch), strict=True):
        if order is not None:
            covered = _covered(plan, order, labels, dataset.num_classes)
            line[f"{prefix}draws"] = covered.draws.tolist()
            line[f"{prefix}distinct"] = covered.distinct.tolist()
    return line


def _covered(plan: Plan, order: Tensor, labels: Tensor, num_classes: int) -> Coverage:
    """What is trained on of an order: what fills no batch is left out."""
    size = plan.resolved.settings.batch_size
    return coverage(order[: len(order) // size * size], labels, num_classes)


def _learned(
    plan: Plan,
    labels: Tensor,
    batches: Callable[..., Iterator[Batch]],
    state: TrainState,
    phase: Phase,
    meta: MetaSampling,
    epoch: int,
    first: int,
) -> Iterator[Batch]:
    """Batches of a meta sampler, each drawn with the weights that the one before has left."""
    size = plan.resolved.settings.batch_size
    per_epoch = len(labels) // size
    on_device = labels.to(plan.device)
    assert isinstance(state.model, Model)  # experts have no one classifier to look ahead with
    classifier = state.model.classifier
    balanced = sampler("class-balanced")(labels, int(fold(plan.seed, "meta")), epoch, 0.0)
    for step in range(epoch * per_epoch + first, (epoch + 1) * per_epoch):
        key = fold(plan.seed, "meta", step)

        # Every step is an epoch of one batch, so that a picture that comes again looks different.
        def one(rows: Tensor, purpose: str, key: Tensor = key) -> Batch:
            own_seed = int(fold(key, purpose))
            return next(batches(rows, contrast_order=None, first=0, seed=own_seed, epoch=0))

        drawn = draw(
            state.meta.weights, on_device, size, key.to(plan.device), temperature=meta.temperature
        )
        start = size * (step - epoch * per_epoch)
        batch = one(drawn.rows, "drawn")
        meta_batch = one(balanced[start : start + size], "balanced")
        gradient, _ = meta_gradient(
            state.meta.weights,
            drawn,
            classifier,
            momenta_of(state.optimiser, classifier),
            _features(plan, state, batch),
            _features(plan, state, meta_batch),
            meta_batch.labels,
            inner_loss=meta.loss,
            lr=phase.learning_rate(step, per_epoch),
            momentum=phase.settings.momentum,
            weight_decay=phase.settings.weight_decay,
            nesterov=phase.settings.nesterov,
        )
        state.meta = adam_step(state.meta, gradient, meta.lr)
        yield batch


@torch.no_grad()
def _features(plan: Plan, state: TrainState, batch: Batch) -> Tensor:
    """What the classifier will see of a batch's first view, [b, d]."""
    with autocast(plan.device, plan.decisions.precision):
        features = state.model.features(batch.views[0]).float()
    scales = scales_of(plan.resolved.recipe, state, batch)
    return features if scales is None else scaled(features, scales.first)


def momenta_of(optimiser: torch.optim.Optimizer, part: nn.Module) -> dict[str, Tensor]:
    """The momenta of a part's parameters, by their names in it; those that have one yet."""
    found = {
        name: optimiser.state[parameter].get("momentum_buffer")
        for name, parameter in part.named_parameters()
    }
    return {name: momentum for name, momentum in found.items() if momentum is not None}
