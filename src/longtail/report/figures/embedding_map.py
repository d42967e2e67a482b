"""The embedding map: samples by group, prototypes as stars, the rarest classes on top."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from longtail.prior import GROUPS, Group, group_of
from longtail.report.arrays import Ints
from longtail.report.figures.style import (
    GROUP_COLOUR,
    GROUP_MARKER,
    INK,
    PAPER,
    in_style,
    new_figure,
    put_legend,
)
from longtail.report.words import plural

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from longtail.report.embedding import EmbeddingMap

_SIZE = (4.8, 4.8)


@in_style
def embedding_map(mapped: "EmbeddingMap", labels: Ints, counts: Ints) -> "Figure":
    """One mark a sample, with a legend.

    Args:
        mapped: as `map_of` gives it.
        labels: int64 [k], class ids of its points.
        counts: int64 [c], training samples a class; they decide the groups.
    """
    figure, axes = _empty()
    put_legend(figure, _draw(axes, mapped, labels, counts))
    return figure


@in_style
def bare_map(mapped: "EmbeddingMap", labels: Ints, counts: Ints) -> "Figure":
    """The same marks alone, for where the page says the rest; arguments as `embedding_map`."""
    figure, axes = _empty()
    _draw(axes, mapped, labels, counts)
    return figure


def _empty() -> tuple["Figure", "Axes"]:
    figure, axes = new_figure(_SIZE, aspect="equal")
    axes.set_axis_off()
    return figure, axes


def _draw(
    axes: "Axes", mapped: "EmbeddingMap", labels: Ints, counts: Ints
) -> list[tuple[str, "Artist"]]:
    """Draw the marks, many first; the legend's entries."""
    groups = np.array([group_of(count) for count in counts.tolist()])
    area = 60 / len(labels) ** 0.3
    entries: list[tuple[str, Artist]] = []
    for group in GROUPS:
        members = mapped.places[groups[labels] == group]
        if len(members):
            marks = _draw_samples(axes, group, members, area)
            entries.append((f"{group}, {plural(len(members), 'sample')}", marks))
    if len(mapped.prototypes):
        _draw_prototypes(axes, mapped, [GROUP_COLOUR[group] for group in groups[mapped.prototypes]])
        entries.append(("prototypes", axes.scatter([], [], s=70, c=INK, marker="*")))
    return entries


def _draw_samples(
    axes: "Axes", group: Group, places: npt.NDArray[np.float32], area: float
) -> "Artist":
    return axes.scatter(
        places[:, 0],
        places[:, 1],
        s=area,
        color=GROUP_COLOUR[group],
        marker=GROUP_MARKER[group],
        alpha=0.7,
        linewidths=0,
    )


def _draw_prototypes(axes: "Axes", mapped: "EmbeddingMap", colours: list[str]) -> None:
    axes.scatter(
        mapped.prototype_places[:, 0],
        mapped.prototype_places[:, 1],
        s=110,
        c=colours,
        marker="*",
        edgecolors=PAPER,
        linewidths=0.8,
        zorder=4,
    )
