"""Train classifiers that also work on rare classes.

`longtail.train(...)` trains, `longtail.load(path)` opens a finished run; losses for other loops
are in `longtail.losses`. Nothing heavy is imported before it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longtail.launch import train
    from longtail.run import Run, load

__all__ = ["Run", "__version__", "load", "train"]

__version__ = "0.1.0"


def __dir__() -> list[str]:
    """The public names, imported yet or not."""
    return __all__


def __getattr__(name: str) -> Any:
    """Import torch and what stands on it only when one of these names is first used."""
    if name in ("Run", "load", "train"):
        from longtail import launch

        return getattr(launch, name)
    raise AttributeError(f"module 'longtail' has no attribute {name!r}")
