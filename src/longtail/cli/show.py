"""Numbers as lines of text, the same in every verb."""

from longtail.errors import printable
from longtail.record import Record, SplitMetrics
from longtail.report.words import percent, plural


def metrics_lines(name: str, metrics: SplitMetrics) -> list[str]:
    """A split's metrics, in per cent."""
    zero = f", {plural(metrics.zero_classes, 'class')} at 0 %" if metrics.zero_classes else ""
    absent = f"\n  {plural(metrics.absent_classes, 'class')} without a sample here, left out"
    absent = f"{absent} of the means" if metrics.absent_classes else ""
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
