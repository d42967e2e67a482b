"""Numbers as text, the same wherever a run is shown."""

from longtail.errors import printable
from longtail.record.predictions import ALL_LOGITS_UP_TO

ONLY_LARGEST = f"Above {ALL_LOGITS_UP_TO:,} classes only the largest logits of each sample are kept"
"""Why numbers that take the probabilities of all classes are missing; a sentence's beginning."""


def class_label(name: str) -> str:
    """A class's name as it is shown: printable, and never nothing.

    >>> class_label("cat"), class_label("")
    ('cat', '(no name)')
    """
    return printable(name) or "(no name)"


def percent(fraction: float | None, digits: int = 1) -> str:
    """Per cent without the sign, a dash for what does not exist.

    >>> percent(0.4567), percent(None), percent(float("nan"))
    ('45.7', '–', '–')
    """
    missing = fraction is None or fraction != fraction
    return "–" if missing or fraction is None else f"{100 * fraction:.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """Two fractions as an interval in per cent, a dash where one is missing.

    >>> interval(0.4, 0.523), interval(None, 0.2), interval(float("nan"), 0.2)
    ('[40.0, 52.3]', '–', '–')
    """
    ends = percent(low, digits), percent(high, digits)
    return "–" if "–" in ends else f"[{ends[0]}, {ends[1]}]"


def signed(difference: float | None, low: float | None = None, high: float | None = None) -> str:
    """A difference of fractions in points, and its interval where there is one.

    >>> signed(0.0123), signed(-0.02, -0.034, 0), signed(None)
    ('+1.2', '-2.0 [-3.4, 0.0]', '–')
    """
    missing = difference is None or difference != difference
    text = "–" if missing or difference is None else f"{100 * difference:+.1f}"
    around = interval(low, high)
    return text if around == "–" else f"{text} {around}"


def plural(number: int, noun: str) -> str:
    """A number and its noun.

    >>> plural(1, "class"), plural(1200, "class"), plural(2, "sample")
    ('1 class', '1,200 classes', '2 samples')
    """
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def listed(names: list[str], most: int = 3) -> str:
    """Names as a phrase.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
    ('a and b', 'a, b, c and 2 more')
    """
    shown = [printable(name) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
