"""The verdict in three sentences: how good, where it fails, and against what."""

from collections.abc import Sequence

import numpy as np

from longtail.metrics import tail_classes
from longtail.prior import Group
from longtail.report.confusions import directions
from longtail.report.keys import KeyFigure
from longtail.report.view import RunView
from longtail.report.words import interval, listed, percent, plural

GROUP_WORDS: dict[Group, str] = {
    "many": "more than 100 training samples",
    "medium": "20 to 100 training samples",
    "few": "fewer than 20 training samples",
}
_WORST = 3


def sentences(view: RunView, figures: Sequence[KeyFigure]) -> tuple[str, str, str]:
    """The verdict on a run, as plain text; `figures` are its `key_figures`."""
    balanced = next(figure for figure in figures if figure.name == "balanced accuracy")
    last = _against(view, balanced) if balanced.against else _direction(view)
    return _how_good(view, balanced), _where_it_fails(view), last


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
            f"Classes with {GROUP_WORDS[last]} are at {percent(known[last])} %, those with "
            f"{GROUP_WORDS[first].removesuffix(' training samples')} at "
            f"{percent(known[first])} %; {lowest}."
        )
    rare = tail_classes(view.counts)
    if not rare:
        return f"{lowest[0].upper()}{lowest[1:]}."
    present = view.per_class[rare][~np.isnan(view.per_class[rare])]
    mean = float(present.mean()) if present.size else None
    return f"The {plural(len(rare), 'rarest class')} are at {percent(mean)} % on average; {lowest}."


def _direction(view: RunView) -> str:
    if np.ptp(view.counts) == 0:
        return "No class is rarer than another, so nothing can lean on the frequent ones."
    if view.predictions is None:
        return "Where its mistakes go cannot be said without its predictions."
    found = directions(view)
    if not found:
        return "It makes no mistake on the rarest classes."
    rarest = found[0]
    return (
        f"Of its mistakes on the {rarest.classes} {percent(rarest.larger / rarest.mistakes, 0)} % "
        f"name a class with more training samples, where chance would have "
        f"{percent(rarest.even, 0)} %."
    )


def _against(view: RunView, balanced: KeyFigure) -> str:
    found, baseline = balanced.against, view.baseline
    assert found is not None
    assert baseline is not None
    if found.low > 0 or found.high < 0:
        judged = f"{'better' if found.value > 0 else 'worse'} on these samples"
    else:
        judged = "no evidence of a difference on these samples"
    return (
        f"Against {baseline.record.method} with the same seed its balanced accuracy is "
        f"{100 * found.value:+.1f} points {interval(found.low, found.high)}: {judged}; which "
        "method is better takes at least three seeds to say."
    )
