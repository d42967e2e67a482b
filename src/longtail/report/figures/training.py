"""Training as it was logged: the loss and its terms, and the live accuracy, over epochs."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from longtail.prior import GROUPS
from longtail.report.figures.style import (
    GROUP_COLOUR,
    GROUP_MARKER,
    INK,
    LINE,
    in_style,
    line_style,
    new_figure,
    put_legend,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Lines = Sequence[Mapping[str, Any]]


class Curve(NamedTuple):
    """A line of a figure: epochs from 1, and what was logged after each."""

    label: str
    epochs: list[int]
    values: list[float]
    look: dict[str, Any]


@in_style
def losses(logs: Mapping[str, Lines]) -> "Figure":
    """The loss over epochs: of one run with its terms, of several the total alone.

    Args:
        logs: by label, the lines of `log.jsonl`; at least one line in all.
    """
    figure, axes = new_figure(xlabel="epoch", ylabel="loss, mean of the epoch")
    curves = _of_each(logs, _loss)
    if len(logs) == 1:
        (lines,) = logs.values()
        _draw_stages(axes, lines)
        curves = [*_terms(lines), _loss("loss", lines, {"color": INK})]
    put_legend(figure, _drawn(axes, curves, marked_up_to=1))
    return figure


@in_style
def live_accuracy(logs: Mapping[str, Lines]) -> "Figure":
    """Accuracy as it was measured during training: of one run by group, of several balanced.

    Args:
        logs: by label, the lines of `log.jsonl`, of which at least one has an accuracy.
    """
    figure, axes = new_figure(xlabel="epoch", ylabel="accuracy, %")
    curves = _of_each(logs, _balanced)
    if len(logs) == 1:
        (lines,) = logs.values()
        _draw_stages(axes, lines)
        curves = [*_by_group(lines), _balanced("balanced", lines, {"color": INK, "marker": "D"})]
    put_legend(figure, _drawn(axes, curves, marked_up_to=40))
    axes.set_ylim(bottom=0)
    return figure


def _of_each(
    logs: Mapping[str, Lines], curve: Callable[[str, Lines, dict[str, Any]], Curve]
) -> list[Curve]:
    return [
        curve(label, lines, line_style(number))
        for number, (label, lines) in enumerate(logs.items())
    ]


def _loss(label: str, lines: Lines, look: dict[str, Any]) -> Curve:
    return _logged(label, [(line["epoch"], line["loss"]) for line in lines], look)


def _balanced(label: str, lines: Lines, look: dict[str, Any]) -> Curve:
    return _measured(label, lines, "balanced_accuracy", look)


def _terms(lines: Lines) -> list[Curve]:
    """The terms of the loss; none where there is one alone, which is the loss."""
    names = list(dict.fromkeys(name for line in lines for name in line["terms"]))
    if len(names) < 2:
        return []
    return [
        _logged(name, [(line["epoch"], line["terms"].get(name)) for line in lines], look)
        for name, look in zip(names, map(line_style, range(len(names))), strict=True)
    ]


def _by_group(lines: Lines) -> list[Curve]:
    """The groups that were measured; none where there is one alone, which is all classes."""
    looks = {g: {"color": GROUP_COLOUR[g], "marker": GROUP_MARKER[g]} for g in GROUPS}
    curves = [_measured(group, lines, group, look) for group, look in looks.items()]
    measured = [curve for curve in curves if curve.epochs]
    return measured if len(measured) > 1 else []


def _measured(label: str, lines: Lines, name: str, look: dict[str, Any]) -> Curve:
    found = [(line["epoch"], line.get("accuracy", {}).get(name)) for line in lines]
    shares = [(epoch, None if share is None else 100 * share) for epoch, share in found]
    return _logged(label, shares, look)


def _logged(label: str, logged: Sequence[tuple[int, float | None]], look: dict[str, Any]) -> Curve:
    """A curve through what there is."""
    there = [(epoch, value) for epoch, value in logged if value is not None]
    return Curve(label, [epoch for epoch, _ in there], [value for _, value in there], look)


def _drawn(axes: "Axes", curves: Sequence[Curve], marked_up_to: int) -> list[tuple[str, "Artist"]]:
    """Draw curves; those of so few points have marks, so that one alone can be seen."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    entries: list[tuple[str, Artist]] = []
    for curve in curves:
        marker = curve.look.get("marker", "o") if len(curve.epochs) <= marked_up_to else ""
        look = {"markersize": 3.5} | curve.look | {"marker": marker}
        (line,) = axes.plot(curve.epochs, curve.values, **look)
        entries.append((curve.label, line))
    return entries


def _draw_stages(axes: "Axes", lines: Lines) -> None:
    """A line where a stage of training begins that is not the first."""
    for before, line in itertools.pairwise(lines):
        if line.get("stage") != before.get("stage"):
            axes.axvline(before["epoch"] + 0.5, color=LINE, linewidth=1.2)
