"""The training loop, readable aloud."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from longtail.data.batches import Batch
from longtail.data.dataset import Dataset
from longtail.evaluation import autocast
from longtail.keyed import fold
from longtail.nn.model import AnyModel, build_model
from longtail.optim import build_optimiser, set_learning_rate
from longtail.training.epoch import end_of_epoch, start_of_epoch
from longtail.training.feed import feeder
from longtail.training.graph import Step, graphed
from longtail.training.memory import reused_memory
from longtail.training.meta import MetaState
from longtail.training.meta import initial_state as initial_meta_state
from longtail.training.plan import Plan
from longtail.training.progress import show_progress
from longtail.training.save import Saver
from longtail.training.stages import Phase, begin, check_names, enter, phase_at, phases
from longtail.training.state import TrainState
from longtail.training.step import scales_of, train_step
from longtail.training.stop import stop_on_signals


def fit(
    plan: Plan,
    dataset: Dataset,
    state: TrainState,
    *,
    teacher: AnyModel | None = None,
    folder: Path | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = False,
    watch: Callable[[dict[str, Any]], None] | None = None,
) -> TrainState:
    """Train from wherever `state` is to the end of the plan.

    Args:
        plan: what to train.
        dataset: what on.
        state: fresh from `initial_state`, or restored; changed in place.
        teacher: in evaluation mode, where terms read its logits.
        folder: of the run, for its log and checkpoints; None keeps neither.
        checkpoint_seconds: time between checkpoints; they change no number.
        progress: whether to show how it goes.
        watch: called with each epoch's line of the log; what it raises ends the training.

    Returns:
        The state, after the last step.

    Raises:
        NumericError: the loss is no longer finite; the last checkpoint is from before.
        Interrupted: a signal asked for the end; the state is saved.
    """
    settings = plan.resolved.settings
    per_epoch = steps_an_epoch(plan, dataset)
    steps = num_steps(plan, dataset)
    laid_out = phases(plan.resolved.recipe.stages, settings)
    make_batches = feeder(plan, dataset)

    with (
        reused_memory(),
        stop_on_signals() as stopped,
        show_progress(progress, plan, dataset, state.step, steps) as shown,
    ):
        saver = Saver(folder, checkpoint_seconds, stopped)
        entered: Phase | None = None
        for epoch in range(state.step // per_epoch, settings.epochs):
            phase = phase_at(laid_out, epoch)
            first = state.step % per_epoch
            if phase is not entered:
                if epoch == phase.first and first == 0:
                    begin(state, phase, _fresh_model(plan, dataset, phase))
                enter(state, phase)
                entered, take_step = phase, make_step(plan, state, phase, teacher)
            start_of_epoch(plan, dataset, state, phase, epoch, resumed=first > 0)
            began = time.monotonic()
            for batch in make_batches(state, phase, epoch, first):
                set_learning_rate(state.optimiser, phase.learning_rate(state.step, per_epoch))
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
            line = end_of_epoch(plan, dataset, phase, state, epoch, folder)
            shown.report(line)
            if saver.is_due() or epoch + 1 == settings.epochs:
                saver.save(state)
            if watch is not None:
                watch(line)
    return state


def initial_state(plan: Plan, dataset: Dataset) -> TrainState:
    """A fresh model and everything else at its start."""
    recipe, device = plan.resolved.recipe, plan.device
    # Laid out for the convolutions once, so that no step has to.
    model = new_model(plan, dataset, plan.seed).to(device).to(memory_format=torch.channels_last)
    check_names(recipe, model)
    most_terms = max(len(stage.terms) for stage in recipe.stages)
    ones = torch.ones(dataset.num_classes, device=device)
    power = max((stage.meta.power for stage in recipe.stages if stage.meta), default=0.0)
    return TrainState(
        model=model,
        optimiser=build_optimiser(model.named_parameters(), plan.resolved.settings, recipe.groups),
        loss_sums=torch.zeros(1 + most_terms, device=device),
        class_scale=ones,
        class_means=torch.zeros(dataset.num_classes, model.width, device=device),
        term_weights=torch.zeros(most_terms, device=device),
        feature_factors=ones.clone(),
        meta=MetaState(*(value.to(device) for value in initial_meta_state(dataset.counts, power))),
    )


def new_model(plan: Plan, dataset: Dataset, seed: int) -> AnyModel:
    """The plan's model with the initial weights of a seed."""
    return build_model(
        plan.backbone, dataset.input_shape, dataset.num_classes, plan.resolved.recipe.heads, seed
    )


def _fresh_model(plan: Plan, dataset: Dataset, phase: Phase) -> AnyModel | None:
    """Where a phase's `reset` parts come from: drawn for this phase and this seed alone."""
    if not phase.stage.reset:
        return None
    return new_model(plan, dataset, int(fold(plan.seed, "reset", phase.number)))


def make_step(plan: Plan, state: TrainState, phase: Phase, teacher: AnyModel | None = None) -> Step:
    """What takes a step of training on a batch; made anew for each phase."""
    terms, precision = phase.stage.terms, plan.decisions.precision
    nn.ModuleList(term.loss for term in terms).to(plan.device)
    forward = torch.compile(state.model) if plan.decisions.compile else state.model

    def step(batch: Batch) -> Tensor:
        further = {"class_scale": state.class_scale, "class_means": state.class_means}
        if teacher is not None:
            further["teacher_logits"] = taught(teacher, batch, precision)
        return train_step(
            forward,
            state.optimiser,
            terms,
            state.term_weights,
            batch,
            scales=scales_of(plan.resolved.recipe, state, batch),
            further=further,
            precision=precision,
        )

    return graphed(step, plan.device)


@torch.no_grad()
def taught(teacher: AnyModel, batch: Batch, precision: str) -> Tensor:
    """A teacher's logits [b, c] of a batch's first view, of all its experts if it has some.

    A router would make the host wait for the device, and teach what fewer experts say.
    """
    with autocast(batch.views.device, precision):
        return teacher.full_logits(batch.views[0])


def num_steps(plan: Plan, dataset: Dataset) -> int:
    """Steps of the whole run."""
    return plan.resolved.settings.epochs * steps_an_epoch(plan, dataset)


def steps_an_epoch(plan: Plan, dataset: Dataset) -> int:
    """Full batches in the training data; `make_plan` sees to it that there is one."""
    return len(dataset.train) // plan.resolved.settings.batch_size
