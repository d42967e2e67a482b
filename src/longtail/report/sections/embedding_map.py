"""The embedding map and the numbers that back it."""

import base64
import dataclasses
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from longtail.metrics import Geometry
from longtail.metrics.embedding import perplexity_of
from longtail.metrics.geometry import NEIGHBOURS
from longtail.prior import GROUPS
from longtail.report.arrays import Floats, Ints
from longtail.report.embedding import EmbeddingMap, geometry, no_map
from longtail.report.figures.embedding_map import bare_map
from longtail.report.figures.style import shortened
from longtail.report.page import Section, render
from longtail.report.pictures import data_uri, sprite
from longtail.report.view import RunView
from longtail.report.words import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED_UP_TO = 20
"""Classes: beyond, a colour each cannot be told apart and the legend does not list them."""
_COLUMNS = 60
_LETTERS = 32
_STILL_DPI = 100
_TITLE = "Embedding map"


@dataclasses.dataclass(frozen=True)
class Reading:
    """A number about the embeddings, and how to read it."""

    name: str
    value: str
    how: str


def embedding_map(view: RunView) -> Section | None:
    """The map with its numbers, or why there is none; None without predictions."""
    if view.predictions is None:
        return None
    mapped, measured = view.map, geometry(view)
    if mapped is None or measured is None:
        return Section("map", _TITLE, render("sections/nothing.html.j2", why=no_map(view)))
    numbers, step = measured
    labels = view.predictions.labels[mapped.points]
    html = render(
        "sections/embedding_map.html.j2",
        view=view,
        mapped=mapped,
        names=[shortened(name, _LETTERS) for name in view.class_names],
        hues=hues(view.order),
        named=len(view.class_names) <= NAMED_UP_TO,
        sheet=sprite(view.predictions.thumbnails, "map", mapped.points, _COLUMNS),
        still=_still(bare_map(mapped, labels, view.counts)),
        readings=list(readings(numbers)),
        numbers=numbers,
        step=step,
        perplexity=perplexity_of(len(mapped.points) + len(mapped.prototypes)),
    )
    return Section("map", _TITLE, html, {"map-data": _data(view, mapped)})


def readings(numbers: Geometry) -> Iterator[Reading]:
    """Every number that is defined, in the order in which they are read."""
    yield from _scatter(numbers)
    yield from _angles(numbers)
    yield from _purity(numbers)


def hues(order: Ints) -> list[int]:
    """A hue in degrees for each class id: even steps up to 20 classes, golden angles beyond."""
    step = 360 / len(order) if len(order) <= NAMED_UP_TO else 137.508
    found = np.zeros(len(order))
    found[order] = np.arange(len(order)) * step % 360
    return [int(hue) for hue in np.rint(found)]


def quantised(places: Floats) -> str:
    """Places [k, 2] in a square of 0 to 65,535, as base64 of little-endian pairs.

    Both axes have one scale; the shorter one lies in the middle.
    """
    low, high = places.min(axis=0), places.max(axis=0)
    span = max(float((high - low).max()), np.finfo(np.float32).tiny)
    square = (places - (low + high) / 2) / span + 0.5
    return base64.b64encode(np.rint(65_535 * square).astype("<u2").tobytes()).decode()


def _data(view: RunView, mapped: EmbeddingMap) -> dict[str, Any]:
    assert view.predictions is not None
    labels = view.predictions.labels[mapped.points]
    predicted = view.predictions.predicted[mapped.points]
    rank = np.argsort(view.order)
    return {
        "names": view.class_names,
        "groups": [GROUPS.index(group) for group in view.groups],
        "ranks": rank.tolist(),
        "hues": hues(view.order),
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "permille": _permille(view.probabilities, mapped.points, predicted),
        "prototypes": mapped.prototypes.tolist(),
        "places": quantised(
            np.concatenate([mapped.places, mapped.prototype_places]).astype(np.float64)
        ),
    }


def _permille(probabilities: Floats | None, points: Ints, predicted: Ints) -> list[int] | None:
    """Probabilities of the predictions in thousandths; None where they are not known."""
    if probabilities is None:
        return None
    return [int(p) for p in np.rint(1000 * probabilities[points, predicted])]


def _still(figure: "Figure") -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_STILL_DPI, transparent=True)
    return data_uri(file.getvalue(), "png")


def _scatter(numbers: Geometry) -> Iterator[Reading]:
    if numbers.alignment is not None:
        how = (
            "Mean squared distance between two samples of one class: 0 where all lie in one "
            "place, 2 where they are no nearer than at random. Lower is tighter."
        )
        yield Reading("Alignment", f"{numbers.alignment:.3f}", how)
    if numbers.uniformity is not None:
        how = (
            "0 where all samples lie in one place, towards -4 where they fill the sphere evenly. "
            "A good alignment means little where this is near 0."
        )
        yield Reading("Uniformity", f"{numbers.uniformity:.2f}", how)
    if numbers.ratio is not None:
        how = (
            "Scatter of the samples about their class's mean over that of the class means: below "
            "1 the classes lie further apart than they are wide."
        )
        yield Reading("Within / between", f"{numbers.ratio:.2f}", how)


def _angles(numbers: Geometry) -> Iterator[Reading]:
    if numbers.mean_angle is None:
        return
    value = f"{numbers.mean_angle:.1f}°"
    around = f"On average; the two nearest are {numbers.smallest_angle:.1f}° apart"
    if numbers.simplex_angle is not None:
        how = (
            f"{around}. A regular simplex, to which balanced data lead, has "
            f"{numbers.simplex_angle:.1f}° everywhere: here a pair is off by "
            f"{numbers.simplex_mean:.1f}° on average and {numbers.simplex_max:.1f}° at most."
        )
    else:
        how = (
            f"{around}, with a standard deviation of {numbers.angle_spread:.1f}°; the smaller, the "
            f"more evenly the means lie ({numbers.classes} classes have no regular simplex in "
            f"{numbers.width} dimensions)."
        )
    yield Reading("Angle between class means", value, how)


def _purity(numbers: Geometry) -> Iterator[Reading]:
    if numbers.purity is None:
        return
    how = (
        f"Share of a sample's {NEIGHBOURS} nearest others that are of its class, mean over "
        f"classes: 100 % where each class keeps to itself, {percent(1 / numbers.classes)} % by "
        f"chance where all are of one size.{_by_group(numbers)}"
    )
    yield Reading("Purity", f"{percent(numbers.purity)} %", how)


def _by_group(numbers: Geometry) -> str:
    groups = {"many": numbers.many, "medium": numbers.medium, "few": numbers.few}
    known = [f"{group} {percent(value)} %" for group, value in groups.items() if value is not None]
    if len(known) > 1:
        return f" By group: {', '.join(known)}."
    return "" if numbers.tail is None else f" The rarest classes: {percent(numbers.tail)} %."
