"""Accuracy where the test data are long-tailed too: as the training data are, or the other way."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from longtail.metrics import accuracy_under, shifted_priors
from longtail.report.arrays import Floats, Ints
from longtail.report.figures.style import LINE, in_style, line_style, new_figure, put_legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@in_style
def under_test_priors(counts: Ints, runs: Mapping[str, Floats]) -> "Figure":
    """One line a run, from test data like the training data over balanced to reversed ones.

    Args:
        counts: int64 [c], training samples a class, at least two classes.
        runs: class accuracies by label, float64 [c]; every class has one. At least one run.

    Raises:
        DataError: a class without an accuracy, or a single class.
    """
    priors = shifted_priors(counts)
    figure, axes = new_figure(
        xlabel="like training  ←  imbalance of the test data  →  reversed", ylabel="accuracy, %"
    )
    places = range(len(priors))
    axes.axvline(len(priors) // 2, color=LINE, linewidth=1.2)
    entries, reached = [], []
    for number, (label, per_class) in enumerate(runs.items()):
        values = [100 * accuracy_under(prior.prior, per_class) for prior in priors]
        (line,) = axes.plot(places, values, **line_style(number))
        entries.append((label, line))
        reached += values
    axes.set_xticks(places, [f"{prior.ratio:g}" for prior in priors])
    axes.set_ylim(max(0, _tens(min(reached) - 3)), min(103, _tens(max(reached) + 13)))
    put_legend(figure, entries)
    return figure


def _tens(value: float) -> int:
    """The multiple of ten below."""
    return int(value // 10) * 10
