"""The training loop, readable aloud."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from longtail.data.batches import Batch, epoch_batches, fetch_from
from longtail.data.dataset import Dataset
from longtail.data.samplers import sampler
from longtail.nn.model import build_model
from longtail.optim import build_optimiser, learning_rate, set_learning_rate
from longtail.recipe import Stage, Term
from longtail.training.compression import choose_weak_classes
from longtail.training.epoch import end_of_epoch
from longtail.training.graph import Step, graphed
from longtail.training.memory import reused_memory
from longtail.training.plan import Plan
from longtail.training.progress import show_progress
from longtail.training.save import Saver
from longtail.training.state import TrainState
from longtail.training.step import train_step
from longtail.training.stop import stop_on_signals


def fit(
    plan: Plan,
    dataset: Dataset,
    state: TrainState,
    *,
    folder: Path | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = False,
) -> TrainState:
    """Train from wherever `state` is to the end of the plan.

    Args:
        plan: what to train.
        dataset: what on.
        state: fresh from `initial_state`, or restored; changed in place.
        folder: of the run, for its log and checkpoints; None keeps neither.
        checkpoint_seconds: time between checkpoints; they change no number.
        progress: whether to show how it goes.

    Returns:
        The state, after the last step.

    Raises:
        NumericError: the loss is no longer finite; the last checkpoint is from before.
        Interrupted: a signal asked for the end; the state is saved.
    """
    recipe, settings = plan.resolved.recipe, plan.resolved.settings
    per_epoch = steps_an_epoch(plan, dataset)
    steps = num_steps(plan, dataset)
    fetch = fetch_from(dataset.train, plan.device)
    labels = torch.tensor(dataset.train.labels)

    state.model.train()
    with (
        reused_memory(),
        stop_on_signals() as stopped,
        show_progress(progress, plan, dataset, state.step, steps) as shown,
    ):
        saver = Saver(folder, checkpoint_seconds, stopped)
        entered: Stage | None = None
        for epoch in range(state.step // per_epoch, settings.epochs):
            stage = stage_at(recipe.stages, epoch / settings.epochs)
            if stage is not entered:
                entered, take_step = stage, make_step(plan, state, stage.terms)
            first = state.step % per_epoch
            if first == 0:
                state.loss_sums.zero_()
                choose_weak_classes(plan, dataset, state, epoch)
            batches = epoch_batches(
                dataset.train,
                fetch,
                sampler(stage.sampler)(labels, plan.seed, epoch, epoch / settings.epochs),
                first=first,
                batch_size=settings.batch_size,
                kind=dataset.kind,
                roles=recipe.views,
                statistics=plan.statistics,
                seed=plan.seed,
                epoch=epoch,
                device=plan.device,
            )
            began = time.monotonic()
            for batch in batches:
                set_learning_rate(state.optimiser, learning_rate(settings, state.step, steps))
                losses = take_step(batch)
                state.loss_sums[: len(losses)].add_(losses)
                state.step += 1
                state.seconds, began = state.seconds + time.monotonic() - began, time.monotonic()
                shown.advance(state.images_per_second(settings.batch_size))
                # The last step of an epoch is saved below, after the epoch's line is in the log.
                if state.step % per_epoch and saver.is_due():
                    saver.save(state)

            if plan.device.type != "cpu":
                torch.accelerator.synchronize()  # steps that are only queued take time as well
            state.seconds += time.monotonic() - began
            shown.report(end_of_epoch(plan, dataset, stage, state, epoch, folder))
            if saver.is_due() or epoch + 1 == settings.epochs:
                saver.save(state)
    return state


def initial_state(plan: Plan, dataset: Dataset) -> TrainState:
    """A fresh model and everything else at its start."""
    recipe = plan.resolved.recipe
    model = build_model(
        plan.backbone,
        dataset.input_shape,
        dataset.num_classes,
        recipe.heads,
        plan.seed,
    )
    # Laid out for the convolutions once, so that no step has to.
    model = model.to(plan.device).to(memory_format=torch.channels_last)
    most_terms = max(len(stage.terms) for stage in recipe.stages)
    return TrainState(
        model=model,
        optimiser=build_optimiser(model.parameters(), plan.resolved.settings),
        loss_sums=torch.zeros(1 + most_terms, device=plan.device),
        class_scale=torch.ones(dataset.num_classes, device=plan.device),
    )


def make_step(plan: Plan, state: TrainState, terms: Sequence[Term]) -> Step:
    """What takes a step of training on a batch with these terms; made anew for each stage."""
    compression = plan.resolved.recipe.compression
    nn.ModuleList(term.loss for term in terms).to(plan.device)
    forward = torch.compile(state.model) if plan.decisions.compile else state.model

    def step(batch: Batch) -> Tensor:
        return train_step(
            forward,
            state.optimiser,
            terms,
            batch,
            state.class_scale,
            scale_features=compression is not None and compression.side == "before-head",
            precision=plan.decisions.precision,
        )

    return graphed(step, plan.device)


def stage_at(stages: Sequence[Stage], progress: float) -> Stage:
    """The stage that a run is in after `progress` of its epochs, in [0, 1)."""
    begun = 0.0
    for stage in stages:
        begun += stage.share
        # A share such as 0.8 is not exact in binary; an epoch is never that short.
        if progress < begun - 1e-9:
            return stage
    return stages[-1]


def num_steps(plan: Plan, dataset: Dataset) -> int:
    """Steps of the whole run."""
    return plan.resolved.settings.epochs * steps_an_epoch(plan, dataset)


def steps_an_epoch(plan: Plan, dataset: Dataset) -> int:
    """Full batches in the training data; `make_plan` sees to it that there is one."""
    return len(dataset.train) // plan.resolved.settings.batch_size
