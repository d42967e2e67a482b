"""The verdict in three sentences: how good, where it fails, and against what."""

from collections.abc import Sequence

import numpy as np

from longtail.errors import printable
from longtail.metrics import RANKED_FROM, tail_classes
from longtail.report.baseline import unlike
from longtail.report.confusion import directions
from longtail.report.groups import GROUP_RANGES
from longtail.report.key_figures import KeyFigure
from longtail.report.view import RunView
from longtail.report.words import interval, listed, percent, plural, signed

_WORST = 3


def sentences(view: RunView, figures: Sequence[KeyFigure]) -> tuple[str, str, str]:
    """The verdict on a run, as plain text; `figures` are its `key_figures`."""
    balanced = next(figure for figure in figures if figure.name == "balanced accuracy")
    last = _against(view, balanced) if balanced.against else _direction(view)
    said = (_how_good(view, balanced), _where_it_fails(view), last)
    return printable(said[0]), printable(said[1]), printable(said[2])


def _how_good(view: RunView, balanced: KeyFigure) -> str:
    zero = view.metrics.zero_classes
    missed = f", and {plural(zero, 'class')} never" if zero else ""
    around = balanced.interval
    limits = (
        f" (95 % interval {interval(around.low, around.high)}, {view.split_name} samples redrawn)"
        if around
        else ""
    )
    return (
        f"{view.record.method} recognises {percent(balanced.value)} % of an average class{limits}"
        f"{missed}; the harmonic mean over classes is "
        f"{percent(view.metrics.harmonic_mean_accuracy)} %."
    )


def _where_it_fails(view: RunView) -> str:
    means = {group: getattr(view.metrics, group) for group in view.present_groups}
    known = {group: mean for group, mean in means.items() if mean is not None}
    worst = np.argsort(view.per_class, kind="stable")[:_WORST]  # NaN comes last
    names = [
        f"{view.class_names[c]} ({percent(view.per_class[c], 0)} %)"
        for c in worst
        if not np.isnan(view.per_class[c])
    ]
    lowest = f"the lowest are {listed(names)}"
    if np.ptp(view.counts) == 0:
        return f"Every class has {view.counts[0]:,} training samples; {lowest}."
    if len(known) > 1:
        first, last = next(iter(known)), list(known)[-1]
        return (
            f"Classes with {GROUP_RANGES[last]} training samples are at {percent(known[last])} "
            f"%, those with {GROUP_RANGES[first]} at {percent(known[first])} %; {lowest}."
        )
    rare = tail_classes(view.counts)
    if not rare:
        return f"{lowest[0].upper()}{lowest[1:]}."
    present = view.per_class[rare][~np.isnan(view.per_class[rare])]
    if not present.size:
        return f"{lowest[0].upper()}{lowest[1:]}."
    mean = percent(float(present.mean()))
    return f"The {plural(len(rare), 'rarest class')} are at {mean} % on average; {lowest}."


def _direction(view: RunView) -> str:
    if np.ptp(view.counts) == 0:
        return "No class is rarer than another, so nothing can lean on the frequent ones."
    if view.predictions is None:
        return "Where its mistakes go cannot be said without its predictions."
    found, rare = directions(view), tail_classes(view.counts)
    if view.tested is not None and not view.tested[rare].any():
        return f"The rarest classes have no {view.split_name} sample: nothing is known about them."
    if not found:
        return "It makes no mistake on the rarest classes."
    rarest = found[0]
    upward = percent(rarest.to_larger / rarest.mistakes, 0)
    return (
        f"Of its mistakes on the {rarest.classes} {upward} % "
        f"name a class with more training samples, where chance would have "
        f"{percent(rarest.expected, 0)} %."
    )


def _against(view: RunView, balanced: KeyFigure) -> str:
    found, baseline = balanced.against, view.baseline
    assert found is not None
    assert baseline is not None
    differing = unlike(view.record, baseline.record)
    other = f"; differs in {listed(differing)} as well" if differing else ", the same seed"
    if found.low > 0 or found.high < 0:
        judged = f"{'better' if found.value > 0 else 'worse'} on these samples"
    else:
        judged = "no evidence of a difference on these samples"
    return (
        f"Against {baseline.record.method} ({baseline.name}{other}) its balanced accuracy is "
        f"{signed(found.value, found.low, found.high)} points: {judged}; which method is better "
        f"takes at least {RANKED_FROM} seeds to say."
    )
