"""What a search found, in memory, in words and as plain JSON."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from longtail.record import hardware, running_code, versions, write_atomically
from longtail.record.canonical import to_json

if TYPE_CHECKING:
    import optuna

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Trial:
    """One choice of knobs.

    Attributes:
        number: in the study.
        state: "complete"; "pruned" ended early; "running" and "waiting" are not done.
        knobs: as drawn.
        value: balanced accuracy on the hold-out, in [0, 1]; None unless complete.
        curve: the live one, by epoch.
        note: why it has no value, where the knobs are to blame.
    """

    number: int
    state: Literal["complete", "pruned", "running", "waiting"]
    knobs: dict[str, float]
    value: float | None
    curve: dict[int, float]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A search and what it found.

    Attributes:
        study: its name.
        method, data: what was tuned, on what.
        holdout: what it was chosen on; None for a hold-out that the data bring.
        objective: "last" or "selected" epoch.
        settings: what was equal for all trials.
        trials: by number.
        folder: with tune.json and the trials' runs.
        command: that trains with the best knobs; None where no trial is complete.
    """

    study: str
    method: str
    data: str
    holdout: str | None
    objective: Literal["last", "selected"]
    settings: dict[str, Any]
    trials: tuple[Trial, ...]
    folder: Path
    command: str | None = None

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest value, the first of equals."""
        return next(iter(self.ranking), None)

    @property
    def ranking(self) -> list[Trial]:
        """Complete trials, the best first."""
        complete = [trial for trial in self.trials if trial.value is not None]
        return sorted(complete, key=lambda trial: (-(trial.value or 0), trial.number))


def trials_of(study: "optuna.Study") -> tuple[Trial, ...]:
    """The trials of a study; those that were taken up again are there once."""
    return tuple(
        Trial(
            number=trial.number,
            state=trial.state.name.lower(),  # type: ignore[arg-type]
            knobs=dict(trial.params),
            value=trial.value if trial.state.name == "COMPLETE" else None,
            curve=dict(trial.intermediate_values),
            note=trial.user_attrs.get("note", ""),
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name != "FAIL"
    )


def write(tuned: Tuned) -> Path:
    """Write tune.json into the folder: every trial, the code and the machine."""
    code = running_code()
    contents = {
        "study": tuned.study,
        "method": tuned.method,
        "data": tuned.data,
        "holdout": tuned.holdout,
        "objective": tuned.objective,
        "settings": tuned.settings,
        "best": tuned.best.number if tuned.best else None,
        "command": tuned.command,
        "trials": [
            {**dataclasses.asdict(trial), "curve": [list(point) for point in trial.curve.items()]}
            for trial in tuned.trials
        ],
        **code._asdict(),
        "versions": versions(("longtail", "optuna", "torch", "numpy")),
        "hardware": hardware(),
    }
    path = tuned.folder / "tune.json"
    write_atomically(path, to_json(contents))
    return path


def lines(tuned: Tuned, first: Mapping[str, float] | None) -> Iterator[str]:
    """The best trials as a table, what they are worth, and what to type."""
    ended = [trial for trial in tuned.trials if trial.state in ("complete", "pruned")]
    yield f"{len(ended)} trials, {len(ended) - len(tuned.ranking)} of them given up early."
    if not tuned.ranking:
        yield "No trial came to its end, so nothing is chosen; widen or shift the ranges."
        return
    shown = tuned.ranking[:_SHOWN]
    names = list(shown[0].knobs)
    yield f"{'trial':>6}  {'hold-out %':>10}  " + "  ".join(f"{name:>12}" for name in names)
    for trial in shown:
        knobs = "  ".join(f"{trial.knobs[name]:>12.4g}" for name in names)
        mark = "  (defaults)" if first is not None and trial.knobs == dict(first) else ""
        yield f"{trial.number:>6}  {100 * (trial.value or 0):>10.1f}  {knobs}{mark}"
    yield f"The best of {len(ended)} on one hold-out looks better than it is; test it:"
    yield f"  {tuned.command}"
