"""A study: its trials handed to as many processes as share it, none lost and none twice."""

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from longtail.errors import NumericError, UsageError
from longtail.experiments.tune.sampling import sampler_of
from longtail.experiments.tune.storage import keep_alive, open_storage, quiet, shown
from longtail.record.canonical import to_json

if TYPE_CHECKING:
    import optuna

FINGERPRINT = "longtail"
NOTE = "note"
_POLL_SECONDS = 2.0

Report = Callable[[int, float], bool]
"""Called with an epoch and its value; whether the trial is not worth going on with."""
Evaluate = Callable[[dict[str, float], Report], float]
"""Trains with some knobs and returns what is to be large, or raises `GivenUp`."""


class GivenUp(Exception):
    """A trial ends before its last epoch."""


@dataclasses.dataclass(frozen=True)
class Search:
    """What is searched, and how it is shared.

    Attributes:
        name: of the study in its storage.
        where: journal file, or URL of a database.
        folder: of the runs of its trials.
        fingerprint: what must be equal for trials to be compared.
        source: hash of the code that decides numbers; another code's run is never gone on with.
        distributions: Optuna's, by knob.
        address: from knobs to what tells one trial's run from another's, whatever the study.
        first: knobs of the first trial, or None.
        seed: of what is tried.
        judged_from: epoch before which no trial is given up; None gives up none.
        accept_source: goes on with a study that other code began.
    """

    name: str
    where: str
    folder: Path
    fingerprint: Mapping[str, Any]
    source: str
    distributions: Mapping[str, Any]
    address: Callable[[Mapping[str, float]], str]
    first: Mapping[str, float] | None = None
    seed: int = 0
    judged_from: int | None = None
    accept_source: bool = False

    def folder_of(self, knobs: Mapping[str, float]) -> Path:
        """Where a trial with some knobs is trained, by whichever process."""
        contents = f"{self.address(knobs)} {self.source}"
        return self.folder / hashlib.sha256(contents.encode()).hexdigest()[:12]

    @property
    def is_shared(self) -> bool:
        """Whether other machines may work on it, whose locks are not seen here."""
        return "://" in self.where

    @property
    def locks(self) -> Path:
        """Where processes tell each other what they hold: beside what they share."""
        if self.is_shared:
            return self.folder
        journal = Path(self.where).resolve()
        return journal.with_name(f"{journal.name}.locks")


def open_study(search: Search) -> "optuna.Study":
    """The study, begun or gone on with.

    Raises:
        UsageError: the storage is a folder, or has another study of this name.
        DataError: the storage does not answer.
    """
    import optuna

    if not search.is_shared and Path(search.where).is_dir():
        file = Path(search.where) / "study.journal"
        raise UsageError(f"--storage {search.where} is a folder; name a file, such as {file}.")
    with quiet(), _claim(search):
        study = optuna.create_study(
            storage=open_storage(search.where, stale=_wait_again),
            study_name=search.name,
            direction="maximize",
            sampler=sampler_of(search.seed),
            pruner=_pruner(search.judged_from),
            load_if_exists=True,
        )
        stored = study.user_attrs.get(FINGERPRINT)
        if stored is None:
            if search.first is not None:
                study.enqueue_trial(dict(search.first), skip_if_exists=True)
            study.set_user_attr(FINGERPRINT, _identity(search))
    if stored is not None:
        _refuse_another(search, stored)
    return study


def _claim(search: Search) -> filelock.BaseFileLock:
    """Held while a process takes a trial, so that no other takes it for dead."""
    search.locks.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(search.locks / ".claim.lock")


def _pruner(judged_from: int | None) -> "optuna.pruners.BasePruner":
    """Half of the trials end early, at the median of the others at the same epoch.

    Brackets of budgets (Hyperband) would need more trials than a method of few knobs deserves.
    """
    import optuna

    if judged_from is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=judged_from)


def _refuse_another(search: Search, stored: Mapping[str, Any]) -> None:
    stored, now = _flat(stored), _flat(_identity(search))
    names = {name for name in {**stored, **now} if stored.get(name) != now.get(name)}
    if search.accept_source:
        names -= {"source"}
    if names:
        differences = "; ".join(
            f"{name}: {_brief(stored.get(name))} then, {_brief(now.get(name))} now"
            for name in sorted(names)
        )
        raise UsageError(
            f"{shown(search.where)} has a study {search.name} of something else ({differences}). "
            "Type what it was begun with, or --out FOLDER or --study NAME for a new one."
        )


def _identity(search: Search) -> dict[str, Any]:
    """As JSON gives it back."""
    values: dict[str, Any] = json.loads(to_json({**search.fingerprint, "source": search.source}))
    return values


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Groups of values side by side, so that the one which differs can be named."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = value if isinstance(value, dict) else {}
        flat |= {f"{name}.{key}": part for key, part in inner.items()} or {name: value}
    return flat


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def work(
    study: "optuna.Study",
    search: Search,
    trials: int,
    evaluate: Evaluate,
    tell: Callable[[str], None] = print,
) -> None:
    """Run trials until the study has so many, others' included.

    Args:
        study: from `open_study`.
        search: the same.
        trials: in all.
        evaluate: trains one.
        tell: called with a line for people.

    Raises:
        LongtailError: what ends the work; the trial at hand is left to whoever comes next.
    """
    begun = waiting = False
    while True:
        with _claimed(study, search, trials) as trial:
            if trial is not None:
                if not begun:
                    tell(f"Trial {trial.number} begins  {words_of(trial.params)}")
                _run(study, trial, evaluate, tell)
                begun, waiting = True, False
                continue
        running = [t for t in study.get_trials(deepcopy=False) if t.state.name == "RUNNING"]
        if not running:
            return
        if not waiting:
            those = "1 trial" if len(running) == 1 else f"{len(running)} trials"
            tell(f"Waiting for {those} of other processes; Ctrl-C does not stop them.")
        waiting = True
        time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _claimed(study: "optuna.Study", search: Search, trials: int) -> Iterator["optuna.Trial | None"]:
    """The next trial, held while it runs; None where none is left to begin."""
    with contextlib.ExitStack() as held:
        with _claim(search):
            _take_up_the_dead(study, search)
            trial = _next(study, search, trials)
            if trial is not None and not search.is_shared:
                held.enter_context(_lock_of(search, trial.number))
        if trial is None:
            yield None
            return
        try:
            with keep_alive(study._storage, trial), _folder_lock(search, trial.params):
                yield trial
        except BaseException:
            # Whatever it was, the trial is not to blame; a storage that is gone cannot be told.
            with contextlib.suppress(Exception):
                _hand_on(study, study.get_trials(deepcopy=False)[trial.number])
            raise


def _lock_of(search: Search, number: int) -> filelock.BaseFileLock:
    """Held by the process that runs a trial of a journal, wherever its own folder is."""
    study = hashlib.sha256(search.name.encode()).hexdigest()[:12]
    return filelock.FileLock(search.locks / f"{study}-{number}.lock")


def _folder_lock(search: Search, knobs: Mapping[str, float]) -> filelock.BaseFileLock:
    """Waits while another trial with the very same knobs runs, whose result will be this one's."""
    folder = search.folder_of(knobs)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(folder.with_name(f".{folder.name}.lock"))


def _next(study: "optuna.Study", search: Search, trials: int) -> "optuna.Trial | None":
    """A trial left by another process, or a new one while the study has fewer than `trials`."""
    with quiet():
        known = study.get_trials(deepcopy=False)
        if _begun(known) >= trials and not any(t.state.name == "WAITING" for t in known):
            return None
        trial = study.ask(dict(search.distributions))
        before = [t for t in study.get_trials(deepcopy=False) if t.number < trial.number]
        if _begun(before) + sum(t.state.name == "WAITING" for t in before) >= trials:
            study.tell(trial, state=_state("FAIL"))  # another process asked at the same moment
            return None
        return trial


def _begun(known: "list[optuna.trial.FrozenTrial]") -> int:
    return sum(trial.state.name in ("COMPLETE", "PRUNED", "RUNNING") for trial in known)


def _state(name: str) -> "optuna.trial.TrialState":
    from optuna.trial import TrialState

    return TrialState[name]


def _take_up_the_dead(study: "optuna.Study", search: Search) -> None:
    """Let trials whose process was killed wait for another: on this machine their lock is free."""
    if search.is_shared:
        from optuna.storages import fail_stale_trials

        with quiet():
            fail_stale_trials(study)
        return
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name == "RUNNING" and _is_dead(search, trial):
            _hand_on(study, trial)


def _is_dead(search: Search, trial: "optuna.trial.FrozenTrial") -> bool:
    try:
        with _lock_of(search, trial.number).acquire(timeout=0):
            return True
    except filelock.Timeout:
        return False


def _hand_on(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
    """Let a running trial be taken up by whoever comes next."""
    from optuna.exceptions import UpdateFinishedTrialError

    if trial.state.name != "RUNNING":
        return
    with contextlib.suppress(UpdateFinishedTrialError):  # another process was quicker
        study._storage.set_trial_state_values(trial._trial_id, _state("FAIL"))
        _wait_again(study, trial)


def _wait_again(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
    """A waiting trial with the knobs and the curve of one that failed; its run is gone on with."""
    from optuna.trial import create_trial

    study.add_trial(
        create_trial(
            state=_state("WAITING"),
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values=trial.intermediate_values,
            system_attrs=trial.system_attrs,
        )
    )


def _run(
    study: "optuna.Study",
    trial: "optuna.Trial",
    evaluate: Evaluate,
    tell: Callable[[str], None],
) -> None:
    """Train a trial, tell the study what came of it, and people."""
    from optuna.exceptions import UpdateFinishedTrialError

    try:
        outcome = _ended(study, trial, evaluate)
    except UpdateFinishedTrialError:
        outcome = "dropped: another process took this one for dead and took the trial up"
    tell(f"trial {trial.number}  {words_of(trial.params)}  {outcome}")


def _ended(study: "optuna.Study", trial: "optuna.Trial", evaluate: Evaluate) -> str:
    """Train a trial, keep its value, and say what came of it."""
    known = dict(study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def report(epoch: int, value: float) -> bool:
        if epoch not in known:
            trial.report(value, epoch)
            known[epoch] = value
        return trial.should_prune()

    try:
        value = evaluate(dict(trial.params), report)
    except GivenUp:
        _keep(study, trial, None)
        return f"given up after epoch {max(known)} at {100 * known[max(known)]:.1f} %"
    except (NumericError, UsageError) as error:
        # The knobs' fault: worse than any other trial to the sampler.
        trial.set_user_attr(NOTE, str(error))
        _keep(study, trial, None)
        return str(error)
    _keep(study, trial, value)
    return f"{100 * value:.1f} %"


def _keep(study: "optuna.Study", trial: "optuna.Trial", value: float | None) -> None:
    """Keep a trial's value; None is pruned.

    Raises:
        UpdateFinishedTrialError: another process has ended it, as no heartbeat came from this one.
    """
    from optuna.exceptions import UpdateFinishedTrialError

    try:
        study.tell(trial, value, state=_state("PRUNED") if value is None else None)
    except ValueError as error:
        if study.get_trials(deepcopy=False)[trial.number].state.is_finished():
            raise UpdateFinishedTrialError(str(error)) from error
        raise


def words_of(knobs: Mapping[str, float]) -> str:
    """Knobs to look at, with four digits."""
    return "  ".join(f"{name} {value:.4g}" for name, value in knobs.items())
