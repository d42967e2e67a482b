"""Errors a person can act on: what is wrong, where, why, and what to type.

Every error that bad input can cause derives from `LongtailError`; the command line prints its
message without a traceback and leaves with its `exit_code`.
"""

import difflib
from collections.abc import Iterable


class LongtailError(Exception):
    """Base of every error caused by input, data or the file system rather than by a bug."""

    exit_code = 1


class UsageError(LongtailError, ValueError):
    """A name, option or knob that does not exist or does not fit."""

    exit_code = 2


class DataError(LongtailError, ValueError):
    """Data that cannot be read, or that no classifier can be trained on."""

    exit_code = 3


class CheckpointError(LongtailError, RuntimeError):
    """A run folder or checkpoint that is missing, corrupt or of another configuration."""

    exit_code = 4


class FolderInUse(CheckpointError):
    """A run folder that another process is writing."""

    exit_code = 6


class NumericError(LongtailError, ArithmeticError):
    """A loss that stopped being a finite number."""

    exit_code = 5


class Interrupted(LongtailError):
    """Training was stopped from outside and saved; the same command with --resume goes on."""

    exit_code = 75


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known names as a sentence, then all of them.

    >>> did_you_mean("rlc", ["rcl", "bcl", "ce"])
    "Did you mean 'rcl'? Known: bcl, ce, rcl."
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{hint}Known: {', '.join(names)}."


def printable(text: str) -> str:
    r"""A name without the control characters that a terminal would obey, each shown as "?".

    >>> printable("d\x1b[31mog, [red]cat[/red]")
    'd?[31mog, [red]cat[/red]'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)
