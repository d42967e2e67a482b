"""The embedding map of a report: what is mapped, where it lies, and the numbers beside it."""

import base64
import dataclasses
import json

import numpy as np
import pytest

from longtail.metrics import geometry_of, tsne_map
from longtail.prior import GROUPS, group_of
from longtail.record import predictions_of, read_predictions
from longtail.report.embedding import geometry, map_of, no_map, vectors_of
from longtail.report.figures.embedding_map import embedding_map as draw
from longtail.report.page import page
from longtail.report.sections.embedding_map import embedding_map, hues, quantised, readings
from longtail.report.view import open_run
from report_runs import HOSTILE, make_run

COUNTS = (9, 500, 27, 240, 3, 130, 60, 12, 300, 81)
"""In no order, so that a class's rank is not its id."""


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    made = make_run(folder, 10, per_class=8, names=HOSTILE, counts=COUNTS, prototypes=True)
    return open_run(made)


@pytest.fixture(scope="module")
def section(view):
    return embedding_map(view)


def rewritten(folder, **changes):
    """The run with other arrays in its predictions."""
    path = folder / "predictions-test.npz"
    dataclasses.replace(read_predictions(path), **changes).write(path)
    return open_run(folder)


def dequantised(text):
    return np.frombuffer(base64.b64decode(text), "<u2").reshape(-1, 2).astype(float)


# What is mapped, and where it lies


def test_samples_and_prototypes_go_through_one_t_sne(view):
    predictions = view.predictions
    together = tsne_map(np.concatenate([predictions.embeddings, predictions.prototypes]))
    np.testing.assert_array_equal(view.map.places, together[:80])
    np.testing.assert_array_equal(view.map.prototype_places, together[80:])
    assert view.map.points.tolist() == list(range(80))
    assert view.map.prototypes.tolist() == list(range(10))


def test_the_same_run_gives_the_same_map(view):
    again = map_of(open_run(view.folder))
    np.testing.assert_array_equal(again.places, view.map.places)
    np.testing.assert_array_equal(again.prototype_places, view.map.prototype_places)


def test_a_map_has_at_most_as_many_samples_as_asked_for(view):
    fewer = open_run(view.folder, map_points=30)
    assert len(fewer.map.points) == 30
    assert len(fewer.map.prototypes) == 10
    section = embedding_map(fewer)
    assert "30 of 80 test samples" in section.html
    assert len(section.data["map-data"]["labels"]) == 30
    assert geometry(fewer)[0].points == 80


def test_a_prototype_without_direction_is_left_out(tmp_path):
    run = make_run(tmp_path / "run", 4, prototypes=True)
    prototypes = read_predictions(run / "predictions-test.npz").prototypes.copy()
    prototypes[2] = 0
    found = rewritten(run, prototypes=prototypes).map
    assert found.prototypes.tolist() == [0, 1, 3]
    assert np.isfinite(found.prototype_places).all()


def test_without_embeddings_the_logits_are_mapped_and_the_page_says_so(tmp_path):
    view = open_run(make_run(tmp_path / "run", 6, method="ce", embeddings=False))
    assert vectors_of(view) is view.predictions.logits
    assert view.map.of == "logits"
    expected = geometry_of(view.predictions.logits, view.predictions.labels, view.counts)
    assert geometry(view) == (expected, 1)
    html = " ".join(embedding_map(view).html.split())
    assert "keeps no embedding: the map is of its logits" in html
    assert "on the directions of the logits" in html


def test_prototypes_are_not_put_among_logits(tmp_path):
    view = open_run(make_run(tmp_path / "run", 4, embeddings=False, prototypes=True))
    assert not len(view.map.prototypes)


def test_where_only_the_largest_logits_are_kept_the_page_says_why_there_is_no_map(view):
    logits = np.random.default_rng(0).normal(size=(8, 1200)).astype(np.float32)
    kept = predictions_of(np.arange(8), np.arange(8), logits)
    assert kept.logit_classes is not None
    partial = dataclasses.replace(view, predictions=kept)
    assert partial.map is None
    assert "only the largest logits" in embedding_map(partial).html


def test_a_collapsed_model_has_no_map(tmp_path):
    run = make_run(tmp_path / "run", 4)
    embeddings = read_predictions(run / "predictions-test.npz").embeddings.copy()
    embeddings[3:5] = 0
    view = rewritten(run, embeddings=embeddings)
    assert no_map(view).startswith("2 embeddings of 80 without direction")
    assert "collapsed" in embedding_map(view).html


def test_three_samples_have_no_map(tmp_path):
    view = open_run(make_run(tmp_path / "run", 3, per_class=1))
    assert view.map is None
    assert "Fewer than 4" in embedding_map(view).html


def test_nothing_is_shown_without_predictions(tmp_path):
    run = make_run(tmp_path / "run", 4)
    (run / "predictions-test.npz").unlink()
    view = open_run(run)
    assert view.map is None
    assert geometry(view) is None
    assert embedding_map(view) is None


def test_without_thumbnails_the_map_has_words_alone(tmp_path):
    section = embedding_map(open_run(make_run(tmp_path / "run", 4, thumbnails=False)))
    assert "sprite" not in section.html
    assert len(section.data["map-data"]["labels"]) == 80


# What the script reads


def test_the_data_are_those_of_the_drawn_samples(view, section):
    data = section.data["map-data"]
    predictions, points = view.predictions, view.map.points
    assert data["labels"] == predictions.labels[points].tolist()
    assert data["predicted"] == predictions.predicted[points].tolist()
    largest = view.probabilities[points, predictions.predicted[points]]
    np.testing.assert_allclose(np.array(data["permille"]) / 1000, largest, atol=0.0005)
    assert [data["ranks"][c] for c in view.order] == list(range(10))
    assert [GROUPS[g] for g in data["groups"]] == [group_of(n) for n in view.counts.tolist()]
    assert len(dequantised(data["places"])) == len(points) + len(data["prototypes"])


def test_quantised_places_keep_their_shape():
    places = np.random.default_rng(2).normal(size=(50, 2)) * [30, 10] + [500, -3]
    found = dequantised(quantised(places))
    span = np.ptp(places, axis=0).max()
    scale = 65_535 / span
    np.testing.assert_allclose(np.ptp(found, axis=0), np.ptp(places, axis=0) * scale, atol=1.5)
    for one, other in ((0, 1), (7, 30)):
        true = np.linalg.norm(places[one] - places[other]) * scale
        assert np.linalg.norm(found[one] - found[other]) == pytest.approx(true, abs=2)
    assert dequantised(quantised(np.ones((3, 2)))).tolist() == [[32768, 32768]] * 3


def test_hostile_names_are_text_everywhere(section):
    text = page("x", "x", [section])
    assert "<img src=x" not in text
    assert text.count("<script>") == 1
    block = text.split('id="map-data">')[1].split("</script>")[0]
    assert "<" not in block
    assert json.loads(block)["names"][0] == HOSTILE[0]


@pytest.mark.parametrize("classes", [2, 10, 20])
def test_few_classes_have_hues_far_apart(classes):
    order = np.random.default_rng(classes).permutation(classes)
    found = hues(order)
    assert sorted(found) == [round(360 / classes * k) for k in range(classes)]
    assert found[order[0]] == 0


# The numbers beside it


def test_the_numbers_are_of_all_samples_and_each_can_be_read(view, section):
    numbers, step = geometry(view)
    predictions = view.predictions
    assert numbers == geometry_of(predictions.embeddings, predictions.labels, view.counts)
    assert step == 1
    found = {reading.name: reading for reading in readings(numbers)}
    assert found["Alignment"].value == f"{numbers.alignment:.3f}"
    assert found["Uniformity"].value == f"{numbers.uniformity:.2f}"
    assert found["Within / between"].value == f"{numbers.ratio:.2f}"
    assert "96.4° everywhere" in found["Angle between class means"].how
    assert f"few {100 * numbers.few:.1f} %" in found["Purity"].how
    for reading in found.values():
        assert reading.how.endswith(".")
        assert f"{reading.name}: {reading.value}" in section.html


def test_more_classes_than_a_simplex_has_corners_have_their_spread(tmp_path):
    view = open_run(make_run(tmp_path / "run", 20, per_class=4, thumbnails=False))
    found = {reading.name: reading for reading in readings(geometry(view)[0])}
    how = found["Angle between class means"].how
    assert "standard deviation" in how
    assert "20 classes have no regular simplex in 16 dimensions" in how


def test_one_class_has_only_the_numbers_that_exist(tmp_path):
    view = open_run(make_run(tmp_path / "run", 4))
    one = geometry_of(view.predictions.embeddings[:9], np.zeros(9, int), [5])
    assert [reading.name for reading in readings(one)] == ["Alignment", "Uniformity", "Purity"]


# The figure for papers


def test_the_figure_has_a_mark_for_each_sample_and_a_star_for_each_prototype(view):
    figure = draw(view.map, view.predictions.labels, view.counts)
    drawn = [len(marks.get_offsets()) for marks in figure.axes[0].collections]
    groups = np.array([group_of(n) for n in view.counts.tolist()])[view.predictions.labels]
    assert drawn[:3] == [int((groups == group).sum()) for group in GROUPS]
    assert drawn[3] == 10
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[-1] == "prototypes"
