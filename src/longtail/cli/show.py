"""Numbers as lines of text, the same in every verb."""

from longtail.errors import printable
from longtail.record import Record, SplitMetrics


def percent(fraction: float | None) -> str:
    """One decimal, a dash for what does not exist.

    >>> percent(0.4567), percent(None)
    ('45.7', '–')
    """
    return "–" if fraction is None else f"{100 * fraction:.1f}"


def metrics_lines(name: str, metrics: SplitMetrics) -> list[str]:
    """A split's metrics, in per cent."""
    zero = f", {_classes(metrics.zero_classes)} at 0 %" if metrics.zero_classes else ""
    absent = (
        f"\n  {_classes(metrics.absent_classes)} without a sample here, left out of the means"
        if metrics.absent_classes
        else ""
    )
    return [
        f"{printable(name)}: balanced accuracy {percent(metrics.balanced_accuracy)} %, "
        f"harmonic mean {percent(metrics.harmonic_mean_accuracy)} %{zero}",
        f"  many {percent(metrics.many)}  medium {percent(metrics.medium)}  "
        f"few {percent(metrics.few)}  all pictures {percent(metrics.accuracy)}{absent}",
    ]


def choices_lines(record: Record) -> list[str]:
    """What a run chose for itself, and how many experts its router asks."""
    lines = [f"{name} {value:g}, chosen on the hold-out" for name, value in record.choices.items()]
    if record.experts_asked is not None:
        lines.append(f"{record.experts_asked:.2f} experts asked a sample")
    return lines


def _classes(number: int) -> str:
    return f"{number} class" if number == 1 else f"{number} classes"
