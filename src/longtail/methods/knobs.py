"""What a method checks of its knobs before anything is trained."""

from longtail.errors import UsageError


def at_least(name: str, value: float, least: float) -> None:
    """Raise `UsageError` unless the knob's value reaches `least`."""
    if not value >= least:
        raise UsageError(f"{name} is {value}; it must be at least {least}.")
