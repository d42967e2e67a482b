"""The embedding map of a run: what is mapped, where it lies, and the numbers behind the picture."""

import dataclasses
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from longtail.metrics import Geometry, choose_points, geometry_of, tsne_map
from longtail.metrics.embedding import FEWEST, not_mappable
from longtail.metrics.geometry import unit_rows
from longtail.report.arrays import Ints
from longtail.report.view import RunView
from longtail.report.words import ONLY_LARGEST, plural

Vectors = npt.NDArray[np.floating[Any]]
GEOMETRY_UP_TO = 20_000
"""Samples: the numbers compare all pairs, 5 s of one core for 10,000 in 128 dimensions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddingMap:
    """Where t-SNE puts samples and prototypes, all of them in one run of it.

    Attributes:
        of: what is mapped: the embeddings, or the logits of a method that keeps none.
        points: int64 [k], positions in the predictions, rising.
        places: float32 [k, 2].
        prototypes: int64 [p], their classes.
        prototype_places: float32 [p, 2].
    """

    of: Literal["embeddings", "logits"]
    points: Ints
    places: npt.NDArray[np.float32]
    prototypes: Ints
    prototype_places: npt.NDArray[np.float32]


def map_of(view: RunView) -> EmbeddingMap | None:
    """The map of at most `view.map_points` samples; the same run gives the same one.

    None where `no_map` says why.
    """
    vectors = vectors_of(view)
    if vectors is None or view.predictions is None or no_map(view):
        return None
    points = choose_points(view.predictions.labels, view.counts, view.map_points)
    classes, prototypes = _prototypes(view)
    places = tsne_map(np.concatenate([vectors[points], prototypes]))
    return EmbeddingMap(
        of="logits" if view.predictions.embeddings is None else "embeddings",
        points=points,
        places=places[: len(points)],
        prototypes=classes,
        prototype_places=places[len(points) :],
    )


def no_map(view: RunView) -> str:
    """Why there is no map, as a sentence, or nothing."""
    vectors = vectors_of(view)
    if view.predictions is None:
        return "Without predictions there is nothing to map."
    if vectors is None:
        return f"This method keeps no embedding. {ONLY_LARGEST}: there is nothing to map."
    if min(len(vectors), view.map_points) < FEWEST:
        return f"Fewer than {FEWEST} samples make no map."
    lost = len(vectors) - int(_have_direction(vectors).sum())
    if lost:
        return (
            f"{plural(lost, 'embedding')} of {len(vectors):,} without direction (of length 0, or "
            "not finite): the model has collapsed or diverged, and a map would show nothing of it."
        )
    drawn = choose_points(view.predictions.labels, view.counts, view.map_points)
    return not_mappable(unit_rows(vectors[drawn]))


def vectors_of(view: RunView) -> Vectors | None:
    """What is mapped [n, d]: the embeddings, else the logits where all of them are kept."""
    predictions = view.predictions
    if predictions is None:
        return None
    if predictions.embeddings is not None:
        return predictions.embeddings
    return predictions.logits if predictions.logit_classes is None else None


def geometry(view: RunView) -> tuple[Geometry, int] | None:
    """The numbers of what is mapped, and of which samples: every k-th, k = 1 up to 20,000.

    None where `no_map` says why.
    """
    vectors = vectors_of(view)
    if vectors is None or view.predictions is None or no_map(view):
        return None
    step = -(-len(vectors) // GEOMETRY_UP_TO)
    return geometry_of(vectors[::step], view.predictions.labels[::step], view.counts), step


def _prototypes(view: RunView) -> tuple[Ints, Vectors]:
    """Classes [p] and prototypes [p, d]; of a map of logits none, as they lie elsewhere."""
    vectors = vectors_of(view)
    assert vectors is not None
    assert view.predictions is not None
    kept = view.predictions.prototypes
    if kept is None or view.predictions.embeddings is None:
        return np.zeros(0, np.int64), vectors[:0]
    classes = np.flatnonzero(_have_direction(kept))
    return classes, kept[classes]


def _have_direction(vectors: Vectors) -> npt.NDArray[np.bool_]:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return np.asarray(np.isfinite(lengths) & (lengths > 0))
