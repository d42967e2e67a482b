"""Accuracy against class size, and what it gained or lost against the baseline."""

from collections.abc import Iterator

import numpy as np

from longtail.metrics import wilson_interval
from longtail.report.arrays import Floats
from longtail.report.class_words import class_words, difference_label
from longtail.report.figures.differences import differences
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.long_tail import INTERVALS_UP_TO
from longtail.report.figures.marks import mark_order
from longtail.report.figures.svg import inline
from longtail.report.figures.trend import trend
from longtail.report.page import Section, render
from longtail.report.run_figures import less_baseline, long_tail_of
from longtail.report.view import RunView
from longtail.report.words import interval, percent, plural, signed

_TIPS, _DIFFERENCE_TIPS = "long-tail-tips", "differences-tips"


def long_tail(view: RunView) -> Section:
    """The long-tail plot, and class by class the difference from the baseline if there is one."""
    figures, texts = [_accuracies(view)], {_TIPS: list(accuracy_tips(view))}
    found = less_baseline(view)
    if found is not None:
        figures.append(_differences(view, found))
        texts[_DIFFERENCE_TIPS] = list(difference_tips(view, found))
    html = render("sections/long_tail.html.j2", figures=figures)
    return Section("long-tail", "Accuracy by class size", html, texts)


def accuracy_tips(view: RunView) -> Iterator[str]:
    """A text for each mark of the long-tail plot, in its order."""
    totals = view.tested
    for c in mark_order(view.counts, view.per_class):
        share, around = view.per_class[c], ""
        if totals is not None:
            low, high = wilson_interval(np.rint(share * totals[c]), totals[c])
            around = f" {interval(float(low), float(high))} of {plural(totals[c], 'sample')}"
        yield f"{class_words(view, c)}\naccuracy {percent(share)} %{around}"


def difference_tips(view: RunView, found: Floats) -> Iterator[str]:
    """A text for each mark of the differences, in its order."""
    assert view.baseline is not None
    for c in mark_order(view.counts, found):
        yield (
            f"{class_words(view, c)}\n{signed(found[c])} points: {percent(view.per_class[c])} % "
            f"after {percent(view.baseline.per_class[c])} %"
        )


def _accuracies(view: RunView) -> InlineFigure:
    metrics = view.metrics
    means = [f"{group} {percent(getattr(metrics, group))} %" for group in view.present_groups]
    label = (
        f"Accuracy of {plural(len(view.counts), 'class')} against their training samples; the mean "
        f"of each group: {', '.join(means)}; of all {percent(metrics.balanced_accuracy)} %"
    )
    svg = inline(long_tail_of(view), "long-tail", label)
    return InlineFigure(svg, " ".join(_how_to_read(view)), _TIPS)


def _how_to_read(view: RunView) -> Iterator[str]:
    with_intervals = view.tested is not None and len(view.counts) <= INTERVALS_UP_TO
    lines = f", its line Wilson's 95 % interval over {view.split_name} samples"
    yield f"A mark is a class{lines if with_intervals else ''}."
    yield "The dashed line is balanced accuracy."
    if found := trend(view.counts, view.per_class):
        yield (
            f"The solid one is the mean of {found.window} classes next to each other in training "
            "samples; where it falls to the left, rare classes are recognised less often."
        )
    if not view.counts.all():
        yield "Classes without a training sample stand at 0."
    if view.metrics.absent_classes:
        absent = plural(view.metrics.absent_classes, "class")
        yield f"Without a {view.split_name} sample, and so without a mark: {absent}."


def _differences(view: RunView, found: Floats) -> InlineFigure:
    assert view.baseline is not None
    base = view.baseline.record.method
    label = difference_label(view.record.method, base, found)
    caption = (
        f"Above the line {view.record.method} recognises the class more often than {base} in "
        f"{view.baseline.name}, below it less often; the legend has each group's mean in points."
    )
    return InlineFigure(
        inline(differences(view.counts, found), "differences", label), caption, _DIFFERENCE_TIPS
    )
