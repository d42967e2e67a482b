"""Numbers as text, the same wherever a run is shown."""

from longtail.errors import printable


def percent(fraction: float | None, digits: int = 1) -> str:
    """Per cent without the sign, a dash for what does not exist.

    >>> percent(0.4567), percent(None), percent(float("nan"))
    ('45.7', '–', '–')
    """
    missing = fraction is None or fraction != fraction
    return "–" if missing or fraction is None else f"{100 * fraction:.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """Two fractions as an interval in per cent, nothing where one is missing.

    >>> interval(0.4, 0.523), interval(None, 0.2)
    ('[40.0, 52.3]', '')
    """
    if low is None or high is None:
        return ""
    return f"[{percent(low, digits)}, {percent(high, digits)}]"


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
