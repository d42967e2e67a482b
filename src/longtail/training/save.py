"""When to save a run, and leaving it after a signal."""

import time
from collections.abc import Callable
from pathlib import Path

from longtail.errors import Interrupted
from longtail.training.checkpoint import save_checkpoint
from longtail.training.state import TrainState, to_json, to_tensors


class Saver:
    """Saves a run's state every so many seconds, and once more when it is told to stop.

    Args:
        folder: of the run; None saves nothing.
        every_seconds: between two checkpoints.
        stopped: whether a signal has asked for the end.
    """

    def __init__(
        self, folder: Path | None, every_seconds: float, stopped: Callable[[], bool]
    ) -> None:
        self.folder = folder
        self.every_seconds = every_seconds
        self.stopped = stopped
        self.saved_at = time.monotonic()

    def is_due(self) -> bool:
        """Whether this is the moment for a checkpoint."""
        return self.stopped() or time.monotonic() - self.saved_at >= self.every_seconds

    def save(self, state: TrainState) -> None:
        """Write a checkpoint.

        Raises:
            Interrupted: afterwards, if a signal has asked for the end.
            CheckpointError: it could not be written.
        """
        # A state that has diverged must not replace a good one; the epoch's end will report it.
        intact = self.folder is not None and state.is_finite()
        if self.folder is not None and intact:
            save_checkpoint(
                self.folder / "checkpoints", state.step, to_tensors(state), to_json(state)
            )
        self.saved_at = time.monotonic()
        if self.stopped():
            kept = f"saved in {self.folder}" if intact else "not saved"
            resume = " The same command with --resume goes on from the last step that is saved."
            raise Interrupted(
                f"Stopped after step {state.step}, which is {kept}.{resume if self.folder else ''}"
            )
