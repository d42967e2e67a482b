"""Stopping in good order: a signal ends training after the step at hand, with a checkpoint."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Within the block, Ctrl-C or SIGTERM only make the yielded function return True.

    The second one acts as usual. Outside the main thread signals cannot be caught, and nothing is.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    # What a shell has had ignored (Ctrl-C for a job in the background) stays ignored; None is a
    # handler that Python did not install and could not put back.
    previous = {s: h for s, h in handlers.items() if h not in (signal.SIG_IGN, None)}

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, previous[signal.Signals(number)])

    for number in previous:
        signal.signal(number, note)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
