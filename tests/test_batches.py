"""Batches: the same from wherever one starts, keyed by place in the source, normalised once."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.data import batches as batches_module
from longtail.data.batches import (
    Normalisation,
    epoch_batches,
    fetch_from,
    input_statistics,
    make_views,
    measure_normalisation,
    normalise,
    occurrences,
)
from longtail.data.dataset import Split, split_of
from longtail.data.samplers import instance
from longtail.data.views import view_for
from longtail.keyed import fold
from tiny import pictures, tiny_dataset, vectors

CPU = torch.device("cpu")
ROLES = ("strong", "contrastive", "contrastive")


# Twenty-two places, as many as `pictures` has: samples that come once, twice and often.
REPEATED = torch.tensor([3, 7, 3, 0, 3, 21, 4, 3, 0, 9, 3, 11, 3, 7, 5, 3, 21, 3, 2, 1, 0, 3])
OTHER = torch.tensor([8, 3, 3, 20, 8, 1, 0, 8, 3, 5, 6, 8, 10, 3, 8, 8, 2, 19, 8, 0, 8, 12])


def batches(
    split,
    kind="photo",
    *,
    first=0,
    batch_size=5,
    seed=0,
    epoch=0,
    order=None,
    contrast_order=None,
    device=CPU,
):
    statistics = measure_normalisation(split)
    if order is None:
        order = instance(torch.tensor(split.labels), seed, epoch, 0.0)
    return list(
        epoch_batches(
            split,
            fetch_from(split, device),
            order,
            first=first,
            batch_size=batch_size,
            kind=kind,
            roles=ROLES,
            statistics=statistics,
            seed=seed,
            epoch=epoch,
            device=device,
            contrast_order=contrast_order,
        )
    )


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        assert all(torch.equal(*tensors) for tensors in zip(one, other, strict=True))


@pytest.mark.parametrize("orders", [{}, {"order": REPEATED, "contrast_order": OTHER}])
@pytest.mark.parametrize(("kind", "make"), [("photo", pictures), ("vector", vectors)])
def test_an_epoch_from_any_batch_on_is_the_end_of_the_whole_epoch(kind, make, orders):
    split = make()
    whole = batches(split, kind, **orders)
    assert len(whole) == 22 // 5
    for first in range(len(whole) + 1):
        assert_same(batches(split, kind, first=first, **orders), whole[first:])


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_occurrences_count_the_places_before_that_hold_the_same(order):
    expected = [order[:place].count(position) for place, position in enumerate(order)]
    assert occurrences(torch.tensor(order)).tolist() == expected


@pytest.mark.parametrize(("kind", "make"), [("photo", pictures), ("vector", vectors)])
def test_a_sample_that_comes_again_is_seen_in_new_views(kind, make):
    split = make()
    order = torch.tensor([3, 7, 3, 0, 3, 3, 7, 3, 3, 3])
    views = torch.cat([batch.views for batch in batches(split, kind, order=order)], 1)
    for own in (views[:, order == position] for position in (3, 7)):
        for view in own:
            assert len({tuple(sample.flatten().tolist()) for sample in view}) == own.shape[1]
    batch_of_ten = batches(split, kind, order=order, batch_size=10)[0].views
    assert torch.allclose(batch_of_ten, views, rtol=0, atol=1e-6)


def test_a_sample_is_seen_first_in_the_views_that_it_has_where_none_is_repeated():
    split = pictures()
    for number, batch in enumerate(batches(split, order=REPEATED, seed=4, epoch=2)):
        rows = REPEATED[5 * number : 5 * number + 5]
        plain = make_views(
            fetch_from(split, CPU)(rows),
            torch.from_numpy(split.index)[rows],
            kind="photo",
            roles=ROLES,
            statistics=measure_normalisation(split),
            seed=4,
            epoch=2,
        )
        firsts = occurrences(REPEATED)[5 * number : 5 * number + 5] == 0
        assert torch.equal(batch.views[:, firsts], plain[:, firsts])


def test_two_orders_give_the_first_view_and_the_others_their_own_samples_and_labels():
    split = pictures()
    labels = torch.from_numpy(split.labels)
    firsts, others = batches(split, order=REPEATED), batches(split, order=OTHER)
    both = batches(split, order=REPEATED, contrast_order=OTHER)
    for number, (first, other, batch) in enumerate(zip(firsts, others, both, strict=True)):
        chosen = slice(5 * number, 5 * number + 5)
        assert torch.equal(batch.views[0], first.views[0])
        assert torch.equal(batch.views[1:], other.views[1:])
        assert batch.labels.tolist() == labels[REPEATED[chosen]].tolist()
        assert batch.contrast_labels.tolist() == labels[OTHER[chosen]].tolist()
        assert first.contrast_labels is first.labels


def test_a_batch_has_all_views_and_labels_in_the_order_of_the_visit():
    split = pictures()
    order = instance(torch.from_numpy(split.labels), 0, 0, 0.0)
    for number, batch in enumerate(batches(split)):
        rows = order[5 * number : 5 * number + 5]
        assert batch.views.shape == (3, 5, 3, 8, 8)
        assert batch.views.dtype == torch.float32
        assert batch.labels.tolist() == split.labels[rows].tolist()


@pytest.mark.parametrize(("kind", "make"), [("photo", pictures), ("vector", vectors)])
def test_views_are_keyed_by_place_in_the_source_not_by_place_in_the_batch(kind, make):
    split = make()
    chosen = np.array([20, 3, 11, 7])
    statistics = measure_normalisation(split)

    def views_of(positions):
        some = split.take(positions)
        return make_views(
            fetch_from(some, CPU)(torch.arange(len(positions))),
            torch.from_numpy(some.index),
            kind=kind,
            roles=ROLES,
            statistics=statistics,
            seed=4,
            epoch=2,
        )

    together = views_of(chosen)
    for place, position in enumerate(chosen):
        alone = views_of(np.array([position]))
        assert torch.allclose(together[:, place], alone[:, 0], rtol=0, atol=1e-6)
    assert torch.equal(views_of(chosen[::-1]).flip(1), together)


def test_a_batch_keys_its_views_by_the_index_of_the_split():
    split = pictures()
    part = split.take(np.arange(10, 15))
    alone = batches(part, order=torch.arange(5))[0].views
    renamed = Split(part.inputs, part.labels, np.arange(5))
    assert not torch.equal(alone, batches(renamed, order=torch.arange(5))[0].views)


def test_views_epochs_and_seeds_differ():
    split = pictures()
    same = torch.arange(22)
    base = batches(split, order=same)[0].views
    assert not torch.equal(base[1], base[2])
    assert not torch.equal(base, batches(split, order=same, epoch=1)[0].views)
    assert not torch.equal(base, batches(split, order=same, seed=1)[0].views)


def test_the_number_of_threads_changes_no_draw():
    split = pictures()
    before = torch.get_num_threads()
    one = batches(split)
    try:
        torch.set_num_threads(2)
        two = batches(split)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a.views, b.views) for a, b in zip(one, two, strict=True))


def test_pictures_are_normalised_after_the_view_and_vectors_before():
    keys = fold(0, "view", 0, torch.arange(4))
    arguments = {"roles": ("strong",), "seed": 0, "epoch": 0, "index": torch.arange(4)}

    split = pictures()
    raw = fetch_from(split, CPU)(torch.arange(4))
    statistics = measure_normalisation(split)
    made = make_views(raw, kind="photo", statistics=statistics, **arguments)
    viewed = view_for("photo", "strong")(raw, fold(keys, 0))
    assert torch.equal(made[0], normalise(viewed, statistics))

    split = vectors()
    raw = fetch_from(split, CPU)(torch.arange(4))
    statistics = measure_normalisation(split)
    made = make_views(raw, kind="vector", statistics=statistics, **arguments)
    assert torch.equal(
        made[0], view_for("vector", "strong")(normalise(raw, statistics), fold(keys, 0))
    )


def test_normalised_training_data_have_mean_zero_and_deviation_one():
    split = pictures()
    raw = fetch_from(split, CPU)(torch.arange(22))
    assert raw.dtype == torch.uint8
    assert raw.shape == (22, 3, 8, 8)
    done = normalise(raw, measure_normalisation(split)).double()
    assert done.mean((0, 2, 3)).abs().max() < 1e-5
    assert (done.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5

    split = vectors()
    done = normalise(torch.from_numpy(split.inputs), measure_normalisation(split)).double()
    assert done.mean(0).abs().max() < 1e-5
    assert (done.std(0, correction=0) - 1).abs().max() < 1e-5


def test_normalisation_by_hand():
    pixel = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    statistics = Normalisation((0.5, 0.4, 0.2), (0.25, 0.2, 1.0))
    assert normalise(pixel, statistics).flatten().tolist() == pytest.approx([2, -2, 0], abs=1e-6)
    row = torch.tensor([[3.0, 8.0]])
    assert normalise(row, Normalisation((1.0, 8.0), (2.0, 4.0))).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 1e6 / 3, -7.7])
def test_a_feature_that_never_changes_becomes_zero_and_not_noise(value):
    inputs = np.full((4999, 2), value, np.float32)
    inputs[:, 1] = np.arange(4999)
    split = Split(inputs, np.zeros(4999, np.int64), np.arange(4999))
    statistics = measure_normalisation(split)
    assert statistics.std[0] == 1.0
    done = normalise(torch.from_numpy(inputs), statistics)
    assert done[:, 0].abs().max() <= 1e-7 * max(1.0, abs(value))


def test_a_channel_that_never_changes_becomes_zero_and_not_noise():
    inputs = np.full((700, 8, 8, 3), 100, np.uint8)
    inputs[:350, ..., 1] = 0
    statistics = measure_normalisation(split_of(inputs, np.zeros(700, np.int64)))
    assert statistics.std[0] == statistics.std[2] == 1.0
    assert statistics.std[1] == pytest.approx(50 / 255)


def test_large_data_are_measured_on_samples_spread_over_all_of_them():
    inputs = np.zeros((20_000, 1), np.float32)
    inputs[10_000:] = 2.0  # a source sorted by class
    split = Split(inputs, np.zeros(20_000, np.int64), np.arange(20_000))
    statistics = measure_normalisation(split)
    assert statistics.mean[0] == pytest.approx(1.0, abs=1e-3)
    assert statistics.std[0] == pytest.approx(1.0, abs=1e-3)


def test_a_sources_own_constants_win_over_measured_ones():
    dataset = tiny_dataset()
    assert input_statistics(dataset) == measure_normalisation(dataset.train)
    fixed = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert input_statistics(dataclasses.replace(dataset, normalisation=fixed)) == fixed


def test_read_only_memory_maps_are_read_without_a_warning(tmp_path):
    split = pictures()
    np.save(tmp_path / "inputs.npy", split.inputs)
    np.save(tmp_path / "labels.npy", split.labels)
    mapped = Split(
        np.load(tmp_path / "inputs.npy", mmap_mode="r"),
        np.load(tmp_path / "labels.npy", mmap_mode="r"),
        split.index,
    )
    for one, other in zip(batches(mapped), batches(split), strict=True):
        assert torch.equal(one.views, other.views)


def test_what_does_not_fill_a_batch_is_left_out():
    assert len(batches(pictures(), batch_size=22)) == 1
    assert batches(pictures(), batch_size=23) == []


def test_a_feature_far_from_zero_is_standardised_exactly():
    values = torch.tensor([[1_000_000.0], [1_000_001.0]])
    statistics = Normalisation((1_000_000.5,), (0.5,))
    assert normalise(values, statistics).flatten().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("at_once", [2, 3, 4, 100])
def test_how_many_batches_are_made_at_once_changes_no_bit(monkeypatch, at_once):
    split = pictures()
    one_by_one = batches(split, order=REPEATED, contrast_order=OTHER)
    monkeypatch.setattr(batches_module, "_batches_at_once", lambda *_: at_once)
    for first in range(len(one_by_one) + 1):
        made = batches(split, first=first, order=REPEATED, contrast_order=OTHER)
        assert_same(made, one_by_one[first:])


def test_vectors_are_made_several_batches_at_once_as_well(monkeypatch):
    split = vectors()
    one_by_one = batches(split, "vector")
    monkeypatch.setattr(batches_module, "_batches_at_once", lambda *_: 3)
    for one, other in zip(one_by_one, batches(split, "vector"), strict=True):
        assert torch.allclose(one.views, other.views, rtol=0, atol=1e-6)
        assert torch.equal(one.labels, other.labels)


def test_the_parts_of_a_large_batch_change_no_bit(monkeypatch):
    split = pictures()
    whole = batches(split, batch_size=11)
    monkeypatch.setattr(batches_module, "_PART", 4)
    for one, other in zip(whole, batches(split, batch_size=11), strict=True):
        assert torch.equal(one.views, other.views)


@pytest.mark.parametrize(
    ("shape", "batch_size", "on_a_gpu"),
    [
        ((32, 32, 3), 256, 64),
        ((32, 32, 3), 20_000, 1),
        ((64, 64, 3), 256, 16),
        ((224, 224, 3), 256, 1),
        ((8, 8, 3), 256, 64),
        ((5,), 64, 256),
    ],
)
def test_a_gpu_makes_as_many_batches_at_once_as_fit(shape, batch_size, on_a_gpu):
    split = split_of(np.zeros((2, *shape), np.uint8), np.zeros(2, np.int64))
    at_once = batches_module._batches_at_once
    assert at_once(split, batch_size, torch.device("cuda")) == on_a_gpu
    assert at_once(split, batch_size, CPU) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize(("kind", "make"), [("photo", pictures), ("vector", vectors)])
def test_a_gpu_makes_the_same_views_however_many_at_once(monkeypatch, kind, make):
    split, device = make(), torch.device("cuda:0")
    together = batches(split, kind, device=device)
    monkeypatch.setattr(batches_module, "_batches_at_once", lambda *_: 1)
    for one, other in zip(batches(split, kind, device=device), together, strict=True):
        assert one.views.device == one.labels.device == device
        assert torch.equal(one.views, other.views)


def test_views_of_one_role_come_in_the_places_of_their_numbers():
    generator = torch.Generator().manual_seed(0)
    samples = torch.randint(0, 256, (5, 3, 8, 8), generator=generator, dtype=torch.uint8)
    roles = ("contrastive", "weak", "contrastive")
    statistics = Normalisation((0.5,) * 3, (0.25,) * 3)
    knobs = {"kind": "photo", "statistics": statistics, "seed": 1, "epoch": 2}
    made = make_views(samples, torch.arange(5), roles=roles, **knobs)
    keys = fold(1, "view", 2, torch.arange(5))
    for number, role in enumerate(roles):
        alone = view_for("photo", role)(samples, fold(keys, number))
        assert torch.equal(made[number], normalise(alone, statistics))
