"""Tuning in one call: from data and a method to the knobs that do best on a hold-out."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from longtail.data.dataset import Dataset, class_counts
from longtail.errors import Interrupted, UsageError
from longtail.experiments.job import address_of
from longtail.experiments.tune.result import Trial, Tuned, lines, trials_of, write
from longtail.experiments.tune.storage import answering, import_optuna
from longtail.experiments.tune.study import GivenUp, Report, Search, open_study, work
from longtail.launch import train
from longtail.methods.search import as_typed, is_whole, search_space
from longtail.recipe import DataInfo, Range
from longtail.record import numeric_hash, read_lines
from longtail.request import Request, command_of, load_data, plan_run
from longtail.training.plan import Plan, configuration

Objective = Literal["last", "selected"]

_PER_CLASS = 20
_LARGEST_SHARE = 0.25  # of a class's training samples that a hold-out may take
_NOT_COMPARED = ("decisions", "versions")  # these change rounding alone


def tune(
    request: Request,
    *,
    trials: int = 20,
    search: Sequence[str] = (),
    objective: Objective | Literal["auto"] = "auto",
    prune: bool = True,
    storage: str | Path | None = None,
    study: str | None = None,
    out: str | Path | None = None,
    accept_source: bool = False,
    tell: Callable[[str], None] = print,
) -> Tuned:
    """Search a method's knobs on a hold-out; the test split is dropped before anything is trained.

    The same call goes on with a study until it has `trials`; several at a time share them.

    Args:
        request: what is tuned, on what; its knobs are set for every trial, its seed is that of
            every trial and of what is tried, and its hold-out is decided by the data if left out.
        trials: in all; the first has the method's defaults where they lie in the ranges.
        search: KNOB, KNOB=LOW:HIGH or KNOB=LOW:HIGH:log; all that the method declares when empty.
        objective: balanced accuracy on the hold-out at the "last" epoch, or at the one that the
            hold-out "selected"; "auto" is what the run that is tuned for reports. Without a
            hold-out that is its last epoch, and the maximum over epochs rewards curves that jump;
            where the data bring a hold-out, or the method cannot do without, it is the selected.
        prune: gives up trials below the median of the others, from half of training on.
        storage: journal file, or URL of a PostgreSQL database that many machines share;
            `out`/study.journal when left out.
        study: its name in the storage; DATA-METHOD when left out.
        out: folder; runs/tune-DATA-METHOD when left out.
        accept_source: goes on with a study that other numeric sources began.
        tell: called with lines for people.

    Raises:
        UsageError: an unknown name or option, nothing to search, a study of something else, or
            Optuna is not installed.
        DataError: data that cannot be read, or a storage that does not answer.
        Interrupted: a signal asked for the end; the same call goes on.
    """
    import_optuna()
    if trials < 1:
        raise UsageError(f"--trials {trials}: it must be at least 1.")
    if objective not in ("auto", "last", "selected"):
        raise UsageError(f"Unknown objective {objective!r}; it is 'auto', 'last' or 'selected'.")
    each, held = held_out(request)
    ranges = search_space(
        request.method,
        DataInfo(held.counts),
        knobs=request.knobs,
        recipe=request.recipe,
        words=search,
    )
    plan = plan_run(each, held)
    valued = _reported(plan, each.holdout) if objective == "auto" else objective
    name = f"{held.name}-{request.method}"
    folder = Path(out) if out is not None else Path("runs") / f"tune-{name}"
    asked = Search(
        name=study or name,
        where=str(storage) if storage is not None else str(folder / "study.journal"),
        folder=folder / "trials",
        fingerprint=_fingerprint(plan, held, each.holdout, valued, ranges),
        source=numeric_hash(),
        distributions={knob: _distribution(request.method, knob, r) for knob, r in ranges.items()},
        address=_addressed(configuration(plan, held, each.holdout)),
        first=_defaults(plan, ranges),
        seed=request.seed,
        judged_from=_judged_from(_plans_at_ends(each, held, ranges)) if prune else None,
        accept_source=accept_source,
    )
    for line in (*held.notes, holdout_line(held), _objective_line(valued), _search_line(ranges)):
        tell(line)
    ended = _searched(asked, trials, each, valued, tell)
    tuned = Tuned(
        study=asked.name,
        method=request.method,
        data=held.name,
        holdout=each.holdout,
        objective=valued,
        settings=dict(asked.fingerprint),
        trials=ended,
        folder=folder,
    )
    tuned = _with_command(tuned, request, each, held)
    for line in (*lines(tuned, asked.first), f"Kept in {write(tuned)}"):
        tell(line)
    return tuned


def _with_command(tuned: Tuned, request: Request, each: Request, held: Dataset) -> Tuned:
    """With what trains with the best knobs, where some trial came to its end."""
    if tuned.best is None:
        return tuned
    best = with_knobs(request, tuned.best.knobs)
    plan = plan_run(with_knobs(each, tuned.best.knobs), held)
    command = train_command(best, plan, tuned.holdout, tuned.objective)
    return dataclasses.replace(tuned, command=command)


def _searched(
    asked: Search,
    trials: int,
    request: Request,
    objective: Objective,
    tell: Callable[[str], None],
) -> tuple[Trial, ...]:
    """The trials of the study once there are enough."""

    def evaluate(drawn: dict[str, float], report: Report) -> float:
        return train_trial(with_knobs(request, drawn), asked.folder_of(drawn), objective, report)

    with answering(asked.where):
        study = open_study(asked)
        try:
            work(study, asked, trials, evaluate, tell)
        except Interrupted as error:
            raise Interrupted("Stopped; the same command goes on with this trial.") from error
        return trials_of(study)


def with_knobs(request: Request, drawn: Mapping[str, float]) -> Request:
    """A request with knobs as a trial has drawn them."""
    typed = {name: as_typed(request.method, name, value) for name, value in drawn.items()}
    return dataclasses.replace(request, knobs={**request.knobs, **typed})


def held_out(request: Request) -> tuple[Request, Dataset]:
    """What each trial is trained as: on data that have a hold-out and no test split any more.

    Raises:
        UsageError, DataError: as `load_data`.
    """
    whole = load_data(dataclasses.replace(request, holdout=None))
    dataset = dataclasses.replace(whole, test=None)
    holdout = request.holdout or default_holdout(dataset)
    each = dataclasses.replace(request, data=dataset, imbalance=None, holdout=holdout)
    return each, load_data(each)


def default_holdout(dataset: Dataset) -> str | None:
    """What the data allow: their own hold-out, twenty discarded samples a class, or 0.1.

    Twenty of what the cut threw away weigh every class alike, where a tenth of train has but one
    sample of a rare class; they cost train little, unless it must make up for what was not cut.
    """
    if dataset.holdout is not None:
        return None
    if dataset.discarded is None:
        return "0.1"
    thrown_away = class_counts(dataset.discarded.labels, dataset.num_classes)
    missing = np.maximum(_PER_CLASS - thrown_away, 0)
    enough = bool((missing <= _LARGEST_SHARE * dataset.counts).all())
    return f"discarded:{_PER_CLASS}" if enough else "0.1"


def holdout_line(dataset: Dataset) -> str:
    """How far a hold-out's balanced accuracy can be off by the luck of its samples."""
    assert dataset.holdout is not None
    counts = class_counts(dataset.holdout.labels, dataset.num_classes)
    present = counts[counts > 0]
    error = 0.5 * np.sqrt((1 / present).sum()) / len(present)
    return (
        f"Chosen on {len(dataset.holdout):,} samples, {present.min()} to {present.max()} a class: "
        f"balanced accuracy has a standard error of up to {100 * error:.1f} points there. "
        "The test split is left out."
    )


def _objective_line(objective: Objective) -> str:
    epoch = "the last epoch" if objective == "last" else "the epoch that it selects"
    return f"A trial's value is the balanced accuracy on the hold-out at {epoch}."


def _search_line(ranges: Mapping[str, Range]) -> str:
    parts = (f"{n} {r.low:g}:{r.high:g}{':log' if r.log else ''}" for n, r in ranges.items())
    return f"Searched: {', '.join(parts)}."


def _fingerprint(
    plan: Plan,
    dataset: Dataset,
    holdout: str | None,
    objective: Objective,
    ranges: Mapping[str, Range],
) -> dict[str, Any]:
    """All that must be equal for two trials to be compared."""
    configured = configuration(plan, dataset, holdout)
    for group in ("knobs", "settings"):
        kept = {name: value for name, value in configured[group].items() if name not in ranges}
        configured[group] = kept
    return {
        **{name: value for name, value in configured.items() if name not in _NOT_COMPARED},
        "precision": plan.decisions.precision,
        "objective": objective,
        "search": {name: dataclasses.astuple(values) for name, values in ranges.items()},
    }


def _addressed(configured: Mapping[str, Any]) -> Callable[[Mapping[str, float]], str]:
    """From a trial's knobs to what decides its run's numbers.

    Neither the ranges nor the objective do, so that a study of others trains nothing again.
    """

    def address(drawn: Mapping[str, float]) -> str:
        method = configured["method"]
        typed = {name: as_typed(method, name, value) for name, value in drawn.items()}
        groups = {
            group: {name: typed.get(name, value) for name, value in configured[group].items()}
            for group in ("knobs", "settings")
        }
        return f"{address_of({**configured, **groups})} {configured['labels_and_test']}"

    return address


def _distribution(method: str, name: str, values: Range) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    if is_whole(method, name):
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _defaults(plan: Plan, ranges: Mapping[str, Range]) -> dict[str, float] | None:
    """What would be trained without a search; None where that lies outside of it."""
    known = dataclasses.asdict(plan.resolved.settings) | plan.resolved.knobs
    values = {
        name: known[name]
        for name, searched in ranges.items()
        if isinstance(known.get(name), int | float) and searched.low <= known[name] <= searched.high
    }
    return values if values.keys() == ranges.keys() else None


def _plans_at_ends(each: Request, held: Dataset, ranges: Mapping[str, Range]) -> list[Plan]:
    """The plan, and those with each searched knob at either end of its range."""
    ends = [{name: end} for name, r in ranges.items() for end in (r.low, r.high)]
    return [plan_run(with_knobs(each, knobs), held) for knobs in ({}, *ends)]


def _judged_from(plans: Iterable[Plan]) -> int | None:
    """The epoch from which live accuracies say how a trial will end; None where none does.

    One for all trials, though what starts late may start at a searched time: the latest of plans.
    """
    epochs = [_shows_from(plan) for plan in plans]
    return None if None in epochs else max(epoch for epoch in epochs if epoch is not None)


def _shows_from(plan: Plan) -> int | None:
    """The epoch from which one plan's live accuracies say how it will end.

    Not before half of training, nor before the last stage, weak classes or class factors have
    come; and never where the classifier is only computed once training is over.
    """
    recipe, epochs = plan.resolved.recipe, plan.resolved.settings.epochs
    if recipe.refit is not None:
        return None
    starts = [0.5, 1 - recipe.stages[-1].share]
    starts += [recipe.compression.start] if recipe.compression else []
    starts += [recipe.feature_factors.start] if recipe.feature_factors else []
    return round(max(starts) * epochs) + 1


def _needs_holdout(plan: Plan) -> bool:
    """Whether training has one whatever is searched: for weak classes, or as its teacher had it."""
    recipe = plan.resolved.recipe
    return bool(recipe.compression or recipe.teacher)


def _reported(plan: Plan, holdout: str | None) -> Objective:
    """The epoch that a run reports, which has a hold-out or none once it is no trial any more."""
    return "selected" if holdout is None or _needs_holdout(plan) else "last"


def train_trial(request: Request, folder: Path, objective: Objective, report: Report) -> float:
    """Train one choice of knobs, or go on with it, and return its value on the hold-out.

    Raises:
        GivenUp: the study has seen enough.
    """

    def watch(line: dict[str, Any]) -> None:
        if "accuracy" in line and report(line["epoch"], _balanced(line)):
            raise GivenUp

    options = {f.name: getattr(request, f.name) for f in dataclasses.fields(request)}
    run = train(**options, out=folder, resume=True, progress=False, watch=watch)
    # A process that was killed may have logged an epoch and not reported it.
    logged = [line for line in read_lines(folder / "log.jsonl") if "accuracy" in line]
    for line in logged:
        report(line["epoch"], _balanced(line))
    assert run.record.metrics.holdout is not None
    # A classifier that is computed after training has no live accuracy, and no epoch was selected.
    if objective == "selected" or run.resolved.recipe.refit is not None:
        return run.record.metrics.holdout.balanced_accuracy
    return _balanced(logged[-1])


def _balanced(line: dict[str, Any]) -> float:
    return float(line["accuracy"]["balanced_accuracy"])


def train_command(request: Request, plan: Plan, holdout: str | None, objective: Objective) -> str:
    """What trains with chosen knobs on all of train, unless a hold-out is needed.

    Args:
        request: with the chosen knobs.
        plan: of a trial with them.
        holdout: of the trials.
        objective: of the trials.
    """
    refit, data = plan.resolved.recipe.refit, request.data
    chooses = bool(refit.chooses) if refit else objective == "selected"
    flags = {
        "--method": request.method,
        "--recipe": request.recipe if request.recipe != "common" else None,
        "--backbone": plan.backbone,
        "--epochs": plan.resolved.settings.epochs,
        "--batch-size": plan.resolved.settings.batch_size,
        "--seed": request.seed,
        "--imbalance": request.imbalance,
        "--holdout": holdout if chooses or _needs_holdout(plan) else None,
        "--image-size": request.image_size,
        "--device": request.device if request.device != "auto" else None,
        "--precision": plan.decisions.precision,
    }
    words = ["train", data if isinstance(data, str) else data.name]
    for flag, value in flags.items():
        words += [flag, str(value)] if value is not None else []
    for item in request.knobs.items():
        words += ["--set", "=".join(map(str, item))]
    return command_of(words)
