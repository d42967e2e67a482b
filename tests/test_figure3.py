"""Figure 3: the maps, their numbers, and what is said where there are none."""

import dataclasses
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from longtail.errors import DataError
from longtail.experiments.paper.cells import FIGURE3
from longtail.experiments.paper.figure3 import (
    NUMBERS,
    Panel,
    draw_maps,
    map_of,
    measured,
    number_lines,
)
from longtail.metrics.geometry import Geometry, geometry_of
from longtail.record import predictions_of


def panel(title="RCL, seed 0", *, classes=3, embeddings=True, seed=0):
    draw = np.random.RandomState(seed)
    labels = np.repeat(np.arange(classes), 20)
    rows = draw.randn(len(labels), 6) + 4 * np.eye(classes, 6)[labels]
    names = tuple(f"class {c}" for c in range(classes))
    counts = tuple(range(10 * classes, 0, -10))
    record = SimpleNamespace(
        method="rcl", data=SimpleNamespace(train_counts=counts, class_names=names)
    )
    predictions = predictions_of(
        np.arange(len(labels)),
        labels,
        np.zeros((len(labels), classes)),
        embeddings=rows if embeddings else None,
    )
    return Panel(title, record, predictions)


def test_the_numbers_are_of_all_embeddings_and_the_map_of_the_chosen():
    drawn = map_of(panel(), limit=30)
    assert drawn.points.shape == (30, 2)
    assert np.bincount(drawn.labels).sum() == 30
    (found,) = measured([panel()])
    assert found.points == 60
    own = panel().predictions
    assert found == geometry_of(own.embeddings.astype(float), own.labels, (30, 20, 10))


@pytest.mark.parametrize("classes", [3, 12])
def test_a_picture_has_a_panel_a_run_and_is_the_same_twice(classes):
    maps = [map_of(panel(seed=s, classes=classes)) for s in (0, 1)]
    width, height = Image.open(io.BytesIO(draw_maps(maps, "png"))).size
    assert width > 1.5 * height
    text = draw_maps(maps).decode()
    assert text == draw_maps(maps).decode()
    assert text.count("<image") >= 2  # points are pixels within it, so that a page loads quickly


def test_numbers_are_means_over_seeds_with_their_spread():
    found = measured([panel(seed=0), panel(seed=1)])
    head, _, row, _, note = number_lines([("RCL", found)])
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    values = [g.alignment for g in found]
    assert cells["alignment"] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    purity = 100 * np.array([g.purity for g in found])
    assert cells["purity %"] == f"{purity.mean():.1f} ± {purity.std(ddof=1):.1f}"
    assert "10 nearest neighbours" in note
    assert set(NUMBERS.values()) <= {field.name for field in dataclasses.fields(Geometry)}


def test_a_run_without_embeddings_is_said_to_have_none():
    with pytest.raises(DataError, match=r"RCL, seed 0 .* no embeddings"):
        map_of(panel(embeddings=False))


def test_the_figure_has_a_contrastive_row_of_each_kind():
    assert {cell.method for cell in FIGURE3.cells} == {"scl", "bcl", "rcl"}
