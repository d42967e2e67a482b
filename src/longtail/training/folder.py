"""The run folder: its configuration, refusing to overwrite, and going on where it stopped."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

from longtail.errors import CheckpointError, FolderInUse, UsageError
from longtail.record import Decisions, read_bytes, write_atomically
from longtail.training.checkpoint import load_checkpoint
from longtail.training.decisions import Switch, decide
from longtail.training.log import truncate
from longtail.training.state import TrainState, restore

_CONFIGURATION = "config.json"
_LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder, made if missing, against a second process.

    A folder made here and left without a file of a run is removed again; nothing else ever is.

    Raises:
        FolderInUse: another process holds it.
        CheckpointError: it cannot be written.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / _LOCK)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise FolderInUse(
            f"{folder} is being written by another process. Wait for it to end, or use --out "
            "FOLDER for a run of its own."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be written ({error.strerror or error}). Use --out FOLDER."
        ) from error
    try:
        yield
    finally:
        if made and {path.name for path in folder.iterdir()} <= {_LOCK}:
            (folder / _LOCK).unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
        lock.release()


def stored_configuration(folder: Path, resume: bool) -> dict[str, Any] | None:
    """The configuration of the run to go on with; None where a new one begins.

    Raises:
        UsageError: the folder exists and `resume` is off.
        CheckpointError: it exists, but is no run.
    """
    if not folder.exists() or (folder.is_dir() and not _visible(folder)):
        return None
    if not resume:
        raise UsageError(
            f"{folder} exists already, and nothing in it is overwritten. Add --resume to go on "
            "with it, or --out FOLDER for a new run."
        )
    if not (folder / _CONFIGURATION).exists():
        raise CheckpointError(
            f"{folder} is no run of longtail (it has no {_CONFIGURATION}), so there is nothing to "
            "resume. Use --out FOLDER for a new run."
        )
    content = read_bytes(folder / _CONFIGURATION)
    try:
        stored: dict[str, Any] = json.loads(content)
        Decisions(**stored["decisions"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / _CONFIGURATION}: not the configuration of a run ({error}). "
            "Use --out FOLDER for a new run."
        ) from error
    return stored


def decisions_for(
    stored: dict[str, Any] | None,
    device: str,
    precision: str,
    threads: int | None,
    compile_model: Switch,
    *,
    pixels: float,
) -> Decisions:
    """What is asked for; on resuming, what was decided before wherever nothing is asked."""
    if stored is None:
        return decide(device, precision, threads, compile_model, pixels=pixels)
    before = Decisions(**stored["decisions"])
    return decide(
        before.device if device == "auto" else device,
        before.precision if precision == "auto" else precision,
        threads or before.threads,
        ("on" if before.compile else "off") if compile_model == "auto" else compile_model,
    )


def open_folder(
    folder: Path, stored: dict[str, Any] | None, configured: dict[str, Any], state: TrainState
) -> list[str]:
    """Begin a run's folder, or put its newest checkpoint into `state`.

    Args:
        folder: of the run.
        stored: its configuration; None creates it.
        configured: of the run at hand.
        state: fresh; restored in place.

    Returns:
        Sentences about what was found.

    Raises:
        CheckpointError: another configuration, or no intact checkpoint.
    """
    if stored is None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / _CONFIGURATION, json.dumps(configured, indent=1).encode())
        return []
    _compare(folder, stored, configured)
    checkpoint = load_checkpoint(folder / "checkpoints")
    if checkpoint is not None:
        try:
            restore(state, checkpoint.tensors, checkpoint.state)
        except (RuntimeError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{folder}: its checkpoint does not fit this model ({str(error).splitlines()[0]}). "
                "It may be of another version of longtail; use --out FOLDER for a new run."
            ) from error
    truncate(folder / "log.jsonl", state.step)
    notes = [*(checkpoint.notes if checkpoint else []), f"Resuming {folder} at step {state.step}."]
    if stored.get("versions") != configured["versions"]:
        notes.append(
            f"It began under {_listed(stored.get('versions'))} and goes on under "
            f"{_listed(configured['versions'])}: it need not end bit for bit as it would have."
        )
    return notes


def _listed(versions: Any) -> str:
    names = versions if isinstance(versions, dict) else {}
    return ", ".join(f"{name} {version}" for name, version in names.items()) or "other versions"


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, but for the draft that a kill in the first moment may have left."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def as_values(configured: dict[str, Any]) -> dict[str, Any]:
    """A configuration as JSON gives it back, tuples as lists."""
    values: dict[str, Any] = json.loads(json.dumps(configured))
    return values


def _compare(folder: Path, stored: dict[str, Any], configured: dict[str, Any]) -> None:
    now = as_values(configured)
    names = [n for n in now if n != "versions" and stored.get(n) != now[n]]
    if names:
        differences = "; ".join(_difference(name, stored.get(name), now[name]) for name in names)
        raise CheckpointError(
            f"{folder} is a run of another configuration ({differences}). Type what it was "
            "started with, or --out FOLDER for a new run."
        )


def _difference(name: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        return "; ".join(_difference(f"{name}.{k}", before.get(k), now.get(k)) for k in keys)
    return f"{name}: {_shown(before)} then, {_shown(now)} now"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
