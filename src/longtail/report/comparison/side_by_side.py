"""The same views of every row beside each other: calibration, confusion and the embedding map."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from longtail.report.comparison.compared import Compared
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.svg import inline
from longtail.report.page import Section, render
from longtail.report.rows import Row
from longtail.report.run_figures import calibration_of, confusion_of, embedding_map_of
from longtail.report.view import RunView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 4
"""Rows whose views are drawn, and up to which maps are: a map takes seconds."""
MAP_POINTS = 1500

_TITLES = {"calibration": "Calibration", "confusion": "Confusion", "map": "Embedding maps"}


def side_by_side(comparison: Compared) -> Section | None:
    """The views of each row's first run; None of a single row, or where nothing can be drawn."""
    if len(comparison.rows) < 2:
        return None
    with_maps = len(comparison.rows) <= SHOWN
    drawn = [_drawn(row, place, with_maps) for place, row in enumerate(comparison.rows[:SHOWN], 1)]
    found = {kind: [each[kind] for each in drawn if kind in each] for kind in _TITLES}
    views = {_TITLES[kind]: figures for kind, figures in found.items() if figures}
    if not views:
        return None
    html = render(
        "comparison/side_by_side.html.j2",
        views=views,
        hidden=len(comparison.rows) - len(drawn),
        mapped=len(found["map"]),
        points=MAP_POINTS,
    )
    return Section("side-by-side", "Side by side", html)


def _drawn(row: Row, place: int, with_maps: bool) -> dict[str, InlineFigure]:
    """The figures of a row by their kind, those that its first run has."""
    # Of a copy, so that no run's probabilities stay in memory: of ImageNet they are 400 MB.
    view = dataclasses.replace(row.first, map_points=MAP_POINTS)
    figures = {kind: draw(view) for kind, draw in _views(view, with_maps).items()}
    name = f"{row.label}, seed {view.record.seed}"
    return {
        kind: InlineFigure(inline(figure, f"{kind}-{place}", f"{_TITLES[kind]}: {name}"), name)
        for kind, figure in figures.items()
        if figure is not None
    }


def _views(view: RunView, with_maps: bool) -> Mapping[str, Callable[[RunView], "Figure | None"]]:
    keeps = view.predictions is not None and view.predictions.embeddings is not None
    maps = {"map": embedding_map_of} if with_maps and keeps else {}
    return {"calibration": calibration_of, "confusion": confusion_of, **maps}
