"""The paper's Figure 3: t-SNE maps of test embeddings, with the numbers that such pictures hide."""

import dataclasses
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from longtail.errors import DataError
from longtail.metrics.embedding import POINTS, choose_points, tsne_map
from longtail.metrics.geometry import Geometry, geometry_of, tail_classes
from longtail.prior import GROUPS, groups
from longtail.record import Predictions, Record

# Okabe and Ito's colours, told apart by colour-blind readers; what is rare is larger and on top.
_SMALL, _LARGE = 4.0, 9.0
_GROUP_STYLE = {
    "many": ("#56B4E9", _SMALL),
    "medium": ("#B8B8B8", _SMALL),
    "few": ("#D55E00", _LARGE),
}
_TAIL_COLOURS = ("#009E73", "#0072B2", "#D55E00")
_NAMED = 10
"""Up to so many classes the rare ones have a colour each."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """One run of the figure.

    Attributes:
        title: its row and its seed.
        record, predictions: of the run, on test.
    """

    title: str
    record: Record
    predictions: Predictions


@dataclasses.dataclass(frozen=True)
class Map:
    """A panel's points.

    Attributes:
        panel: what it is of.
        points: float32 [n, 2], where the map puts the chosen test samples.
        labels: int64 [n], their classes.
    """

    panel: Panel
    points: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


def map_of(panel: Panel, *, limit: int = POINTS, seed: int = 0) -> Map:
    """A run's map, of at most `limit` test samples.

    Raises:
        DataError: its predictions have no embeddings.
    """
    labels, counts = panel.predictions.labels, panel.record.data.train_counts
    chosen = choose_points(labels, counts, limit=limit, seed=seed)
    return Map(panel, tsne_map(embeddings_of(panel)[chosen], seed=seed), labels[chosen])


def measured(panels: Sequence[Panel]) -> list[Geometry]:
    """The geometry of all test embeddings of each run.

    Raises:
        DataError: a method has no embeddings.
    """
    return [
        geometry_of(embeddings_of(p), p.predictions.labels, p.record.data.train_counts)
        for p in panels
    ]


def embeddings_of(panel: Panel) -> npt.NDArray[np.float64]:
    """The test embeddings of a run, float64 [n, d].

    Raises:
        DataError: its predictions have none.
    """
    embeddings = panel.predictions.embeddings
    if embeddings is None:
        raise DataError(
            f"{panel.title} ({panel.record.method}) has no embeddings to map. Contrastive methods "
            "have some, such as scl, bcl and rcl; what is kept beside a page has not, so pass the "
            "folder of the runs themselves."
        )
    return embeddings.astype(np.float64)


def draw_maps(maps: Sequence[Map], form: str = "svg") -> bytes:
    """The maps side by side, as a picture of a form that matplotlib knows (svg, png, pdf).

    Up to ten classes, the rare ones have a colour each; more are coloured by group.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        1, len(maps), figsize=(4.2 * len(maps), 4.9), layout="constrained", squeeze=False
    )
    for axis, drawn in zip(axes[0], maps, strict=True):
        _draw_one(axis, drawn)
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=min(5, len(names)),
        frameon=False,
        markerscale=3,
        fontsize=9,
    )
    buffer = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "figure3"}):
        figure.savefig(buffer, format=form, dpi=150, metadata=metadata)
    plt.close(figure)
    return buffer.getvalue()


def _draw_one(axis: Any, drawn: Map) -> None:
    """One panel: frequent classes first, so that the rare ones lie on top."""
    for name, colour, size, classes in _coloured(drawn.panel.record):
        points = drawn.points[np.isin(drawn.labels, classes)]
        axis.scatter(*points.T, s=size, color=colour, linewidths=0, label=name, rasterized=True)
    axis.set_title(drawn.panel.title, fontsize=11)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_aspect("equal", "datalim")
    axis.spines[:].set_color("#bbbbbb")


def _coloured(record: Record) -> Iterator[tuple[str, str, float, Sequence[int]]]:
    """Legend entries, the rare classes last: a name, a colour, a size, class ids."""
    counts, names = record.data.train_counts, record.data.class_names
    if len(counts) > _NAMED:
        for group in GROUPS:
            members = groups(counts)[group]
            if members:
                yield f"{group} ({len(members)} classes)", *_GROUP_STYLE[group], members
        return
    tail = tail_classes(counts)
    others = [c for c in range(len(counts)) if c not in tail]
    yield f"the {len(others)} larger classes", *_GROUP_STYLE["medium"], others
    rarest_last = sorted(tail, key=lambda c: -counts[c])
    for c, colour in zip(rarest_last, itertools.cycle(_TAIL_COLOURS)):
        yield f"{names[c]} ({counts[c]:,} in training)", colour, _LARGE, [c]


NUMBERS = {
    "alignment": "alignment",
    "uniformity": "uniformity",
    "within": "within",
    "between": "between",
    "within / between": "ratio",
    "smallest angle": "smallest_angle",
    "mean angle": "mean_angle",
    "spread of angles": "angle_spread",
    "simplex angle": "simplex_angle",
    "off it, mean": "simplex_mean",
    "off it, most": "simplex_max",
    "purity %": "purity",
    "many": "many",
    "medium": "medium",
    "few": "few",
    "tail": "tail",
}
_PERCENT = ("purity", "many", "medium", "few", "tail")


def number_lines(rows: Sequence[tuple[str, Sequence[Geometry]]]) -> Iterator[str]:
    """Markdown: the numbers of each row's runs, mean ± standard deviation over seeds."""
    yield f"| row | n | {' | '.join(NUMBERS)} |"
    yield f"| --- |{' ---: |' * (1 + len(NUMBERS))}"
    for title, found in rows:
        cells = [_shown(found, field) for field in NUMBERS.values()]
        yield f"| {title} | {len(found)} | {' | '.join(cells)} |"
    yield ""
    yield (
        "Of the projections of all test samples, scaled to length 1; angles in degrees. Alignment: "
        "mean squared distance within a class (lower is tighter); uniformity: log mean exp(-2 d²) "
        "over pairs (lower is more even); within: mean squared distance to the class mean; "
        "between: of the class means to their centre; angles between class means, beside that of a "
        "regular simplex where the space has room for one; purity: how many of the 10 nearest "
        "neighbours are of the point's class, by group of training count; tail: the few group, or "
        "the three smallest classes where there is none."
    )


def _shown(found: Sequence[Geometry], field: str) -> str:
    values = [value for value in (getattr(g, field) for g in found) if value is not None]
    if not values:
        return "–"
    scaled = np.array(values) * (100 if field in _PERCENT else 1)
    digits = 1 if field in _PERCENT or "angle" in field or "simplex" in field else 3
    spread = f" ± {scaled.std(ddof=1):.{digits}f}" if len(scaled) > 1 else ""
    return f"{scaled.mean():.{digits}f}{spread}"
