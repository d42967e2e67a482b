"""What a method checks of its knobs before anything is trained."""

from longtail.errors import UsageError


def at_least(name: str, value: float, least: float) -> None:
    """Raise `UsageError` unless the knob's value reaches `least`."""
    if not value >= least:
        raise UsageError(f"{name} is {value}; it must be at least {least}.")


def above_zero(name: str, value: float) -> None:
    """Raise `UsageError` unless the knob's value is above 0."""
    if not value > 0:
        raise UsageError(f"{name} is {value}; it must be above 0.")


def fraction(name: str, value: float) -> None:
    """Raise `UsageError` unless the knob's value is a fraction of training, 0 to 1."""
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is {value}; it is a fraction of training, 0 to 1.")


def share(name: str, value: float) -> None:
    """Raise `UsageError` unless the knob's value leaves something to both sides of it."""
    if not 0 < value < 1:
        raise UsageError(f"{name} is {value}; it is a part of training, above 0 and below 1.")


def below_one(name: str, value: float) -> None:
    """Raise `UsageError` unless the knob's value lies in [0, 1)."""
    if not 0 <= value < 1:
        raise UsageError(f"{name} is {value}; it must be at least 0 and below 1.")
