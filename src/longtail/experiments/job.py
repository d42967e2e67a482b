"""A job of an experiment, and the run folder that its contents address."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from longtail.data.dataset import Dataset
from longtail.errors import LongtailError, UsageError
from longtail.launch import default_folder
from longtail.methods import METHODS
from longtail.methods.resolve import knobs_of
from longtail.record import numeric_hash
from longtail.record.canonical import to_json
from longtail.request import Request, command_of, load_data, plan_run, words_of
from longtail.training.folder import stored_configuration
from longtail.training.plan import Plan, configuration

# What decides a run's numbers and stands in its config.json from its first moment. Threads, device
# and compilation change rounding alone; versions are told apart by the records.
_CONTENTS = (
    "method",
    "recipe",
    "knobs",
    "settings",
    "backbone",
    "seed",
    "data_hash",
    "train_counts",
    "holdout",
    "teacher",
)


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of an experiment.

    Attributes:
        group: the table it belongs to; rows of one group may be compared.
        row: its row there, the same for every seed.
        request: what is trained.
    """

    group: str
    row: str
    request: Request


@dataclasses.dataclass(frozen=True)
class Task:
    """A job once data and machine are known: what an engine runs.

    Attributes:
        job: what was asked for.
        address: of its contents, see `address_of`.
        evaluated_on: hash of the labels and of the other splits, which an address leaves out.
        source: hash of the numeric sources that it was planned with, and is to be run by.
        folder: of the run; its name ends in a hash of these three, so that another code's run is
            never gone on with.
        words: after `longtail`, that train it.
    """

    job: Job
    address: str
    evaluated_on: str
    source: str
    folder: Path
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """The line that trains it, for a shell."""
        return command_of(list(self.words))


def address_of(configured: Mapping[str, Any]) -> str:
    """sha256 of what decides a run's numbers, out of a run's configuration (`config.json`).

    How often the live accuracy is taken counts only where a hold-out chooses the epoch by it. Knobs
    at their defaults are left out: a method that gains one, with the default that changes nothing,
    keeps the runs it has.
    """
    contents = {name: configured.get(name) for name in _CONTENTS}
    contents["knobs"] = _changed(configured["method"], configured["knobs"])
    contents["precision"] = configured["decisions"]["precision"]
    contents["eval_every"] = configured["eval_every"] if configured.get("holdout") else None
    return hashlib.sha256(to_json(contents)).hexdigest()


def _changed(method: str, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs that are not what the method has them at by itself."""
    own = knobs_of(METHODS[method]) if method in METHODS else {}
    defaults = {name: to_json(knob.default) for name, knob in own.items()}
    return {name: v for name, v in knobs.items() if to_json(v) != defaults.get(name)}


def plan_tasks(jobs: Iterable[Job], out: Path) -> Iterator[Task]:
    """Every job with its data read (once each) and its decisions made on this machine.

    Raises:
        UsageError, DataError: a job that cannot be run; the message names its row.
    """
    source, datasets = numeric_hash(), dict[tuple[object, ...], Dataset]()
    for job in jobs:
        try:
            yield _planned(job, out, source, datasets)
        except LongtailError as error:
            raise type(error)(f"{job.group}, {job.row}: {error}") from error


def _planned(job: Job, out: Path, source: str, datasets: dict[Any, Dataset]) -> Task:
    request = job.request
    if not isinstance(request.data, str):
        raise UsageError("an experiment needs data with a name or a path, not arrays.")
    key = (request.data, request.imbalance, request.holdout, request.image_size)
    if key not in datasets:
        datasets[key] = load_data(request)
    dataset = datasets[key]
    if dataset.test is None and dataset.holdout is None:
        raise UsageError(f"{dataset.name} has no test split; add a hold-out to compare on.")
    plan = plan_run(request, dataset)
    configured = configuration(plan, dataset, request.holdout)
    address, evaluated_on = address_of(configured), configured["labels_and_test"]
    short = hashlib.sha256(f"{address} {evaluated_on} {source}".encode()).hexdigest()[:12]
    name = default_folder(dataset, request.method, request.seed).name
    folder = out / f"{name}-{short}"
    plan = _as_begun(request, dataset, folder) or plan
    words = [*words_of(request, plan, folder), "--resume", "--no-report"]
    return Task(job, address, evaluated_on, source, folder, tuple(words))


def _as_begun(request: Request, dataset: Dataset, folder: Path) -> Plan | None:
    """The plan of a run that was begun, on this machine or another, as it was decided then.

    Threads, device and compilation are in no address, but a run ends with those it began with.
    """
    try:
        stored = stored_configuration(folder, resume=True)
        if stored is None:
            return None
        every = request.eval_every if request.holdout else stored["eval_every"]
        kept = dataclasses.replace(
            request, device="auto", threads=None, compile="auto", eval_every=every
        )
        return plan_run(kept, dataset, stored)
    except LongtailError:  # the run itself will say what is wrong with its folder
        return None
