"""Bad input: each is refused with the error of its kind, in words that name what is wrong."""

import inspect

import pytest
import torch

from longtail.errors import DataError, UsageError
from longtail.losses import (
    ContrastiveLoss,
    RebalancedContrastiveLoss,
    contrastive_loss,
    cross_entropy,
    logit_adjusted_loss,
    posthoc_logit_adjustment,
)
from longtail.losses.catalogue import LOSSES
from loss_batches import Batch, batch, call

Y = torch.tensor([0, 1, 1])
Z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
COUNTS = torch.tensor([5, 3])


def inputs(entry) -> tuple[torch.Tensor, ...]:
    return batch(entry, Y.tolist(), COUNTS.tolist(), dim=4).inputs


def takes_counts(entry) -> bool:
    """Whether the function itself does, rather than weights or owners made of them."""
    known = inspect.signature(entry.function).parameters
    return entry.counts != "nothing" and "class_counts" in known


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1]), r"labels.*\(2,\)"),
        (torch.tensor([0, 1, 2]), r"labels reach from 0 to 2"),
        (torch.tensor([0, 1, -1]), r"labels reach from -1 to 1"),
        (torch.tensor([0.0, 1.0, 1.0]), r"labels have type torch.float32"),
        (torch.tensor([0, 1, 1], dtype=torch.uint8), r"labels have type torch.uint8"),
    ],
)
def test_labels_that_do_not_fit_are_refused(name, labels, message):
    entry = LOSSES[name]
    with pytest.raises(DataError, match=message):
        call(entry.bind(COUNTS), Batch(inputs(entry), labels, []))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("change", ["one axis", "an axis more", "no row"])
def test_outputs_of_another_shape_are_refused(name, change):
    entry = LOSSES[name]
    first, *further = inputs(entry)
    changed = {
        "one axis": first.flatten()[:3],
        "an axis more": first[..., None],
        "no row": first[:0],
    }
    first = changed[change]
    with pytest.raises(DataError, match="expected"):
        call(entry.bind(COUNTS), Batch((first, *further), Y[: len(first)], []))


@pytest.mark.parametrize(
    ("name", "place"), [(n, i) for n, e in LOSSES.items() for i in range(1, len(e.reads))]
)
def test_further_outputs_of_another_shape_are_refused_by_name(name, place):
    entry = LOSSES[name]
    given = list(inputs(entry))
    given[place] = given[place][..., None]
    with pytest.raises(DataError, match=rf"{entry.reads[place]} (have|has) shape"):
        call(entry.bind(COUNTS), Batch(tuple(given), Y, []))


@pytest.mark.parametrize("name", [n for n, e in LOSSES.items() if takes_counts(e)])
@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (torch.tensor([0.6, 0.4]), r"class_counts.*not rates"),
        (torch.tensor([5, -3]), r"class_counts reach down to -3"),
    ],
    ids=["rates", "negative"],
)
def test_counts_that_are_no_counts_are_refused(name, counts, message):
    entry = LOSSES[name]
    with pytest.raises(DataError, match=message):
        call(entry.bind(counts), Batch(inputs(entry), Y, []))


@pytest.mark.parametrize(
    "name", [n for n, e in LOSSES.items() if e.counts != "nothing" or n == "bcl"]
)
@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([0.6, 0.4], "class_counts.*not rates"),
        ([5, -3], "class_counts must be whole numbers of at least 0"),
        ([5, float("nan")], "class_counts must be whole"),
        ([0, 0], "class_counts are all 0"),
        ([], "class_counts has shape"),
        ([[5, 3]], "class_counts has shape"),
    ],
    ids=str,
)
def test_a_module_refuses_counts_that_are_no_counts(name, counts, message):
    with pytest.raises(DataError, match=message):
        LOSSES[name].module(counts)


@pytest.mark.parametrize("counts", [[5], [5, 3, 1], [[5, 3]]], ids=str)
def test_counts_of_another_length_are_refused(counts):
    for refuse in (
        lambda n: logit_adjusted_loss(Z[:, :2], Y, n),
        lambda n: posthoc_logit_adjustment(Z[:, :2], n),
        lambda n: contrastive_loss(Z, Y, class_counts=n, num_classes=2),
    ):
        with pytest.raises(DataError, match="class_counts has shape"):
            refuse(torch.tensor(counts))


@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(UsageError, match="temperature is"):
        contrastive_loss(Z, Y, temperature=temperature)
    with pytest.raises(UsageError, match="temperature is"):
        RebalancedContrastiveLoss([5, 3], temperature=temperature)(Z, Y)


@pytest.mark.parametrize("shape", [(2, 3), (2, 5), (4,)], ids=str)
def test_prototypes_of_another_width_are_refused(shape):
    with pytest.raises(DataError, match="prototypes have shape"):
        contrastive_loss(Z, Y, torch.ones(shape))


@pytest.mark.parametrize("rows", [1, 3])
def test_another_number_of_prototypes_than_classes_is_refused(rows):
    with pytest.raises(DataError, match=f"{rows} prototypes for 2 classes"):
        contrastive_loss(Z, Y, torch.ones(rows, 4), class_counts=COUNTS)


def test_a_label_beyond_the_prototypes_is_refused():
    with pytest.raises(DataError, match="labels reach from 0 to 1"):
        contrastive_loss(Z, Y, torch.ones(1, 4))


def test_an_unknown_side_of_the_scale_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"scale_on is 'anchor'.*'both', 'anchors' or 'keys'"):
        contrastive_loss(Z, Y, class_scale=torch.ones(2), scale_on="anchor")


def test_a_scale_of_another_length_is_named_as_such():
    with pytest.raises(DataError, match=r"class_scale has shape \(3,\)"):
        contrastive_loss(Z, Y, class_counts=COUNTS, class_scale=torch.ones(3))


def test_rebalancing_without_counts_is_refused():
    with pytest.raises(UsageError, match="rebalance needs class_counts"):
        ContrastiveLoss(rebalance=True)


def test_both_kinds_of_error_are_value_errors():
    with pytest.raises(ValueError, match="expected logits"):
        cross_entropy(Z[0], Y)
    with pytest.raises(ValueError, match="temperature"):
        contrastive_loss(Z, Y, temperature=0)
