"""The hold-out: labelled pictures kept from training, so that nothing is chosen on test.

Which pictures are held out follows from their place in their source alone, so seeds and methods
share the hold-out of one dataset. Adding pictures to a folder moves those places and draws anew.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
import torch

from longtail.data.cut import naming
from longtail.data.dataset import Dataset, Split, class_counts, joined
from longtail.errors import DataError, UsageError
from longtail.keyed import fold
from longtail.prior import Counts

Mask = npt.NDArray[np.bool_]

# A fixed key and not the run's seed: a hold-out that moved with the seed would mix the spread of
# the methods with the spread of what they are chosen on.
DRAW_KEY = 0
_DISCARDED = "discarded:"


def keyed_draw(split: Split, amounts: Counts, purpose: str) -> Mask:
    """Choose `amounts[c]` samples of each class c, bool [n], true where chosen.

    A sample's luck is a hash of its index, the same for any order or selection of the others.

    Args:
        split: where to choose from.
        amounts: int64 [c], at most the samples the class has.
        purpose: names the draw; draws of different purposes are independent.
    """
    luck = fold(DRAW_KEY, purpose, torch.from_numpy(np.asarray(split.index, np.int64))).numpy()
    order = np.lexsort((split.index, luck, split.labels))
    ordered = split.labels[order]
    # Place within its class: position in the class-sorted order less where the class starts.
    starts = np.searchsorted(ordered, np.arange(len(amounts)))
    chosen = np.zeros(len(split), np.bool_)
    chosen[order] = np.arange(len(split)) - starts[ordered] < amounts[ordered]
    return chosen


def stratified_amounts(counts: Counts, fraction: float) -> Counts:
    """`fraction` of each class, at least 1 and leaving at least 1; a class of one gives none.

    >>> stratified_amounts(np.array([100, 3, 2, 1, 0]), 0.1).tolist()
    [10, 1, 1, 0, 0]
    """
    rounded = np.maximum(np.rint(counts * fraction), 1).astype(np.int64)
    return np.asarray(np.minimum(rounded, np.maximum(counts - 1, 0)), np.int64)


def hold_out(dataset: Dataset, spec: str) -> Dataset:
    """Set `holdout` aside, so that thresholds, epochs and knobs have something to be chosen on.

    Args:
        dataset: without a hold-out yet.
        spec: "0.1": that stratified part of train. "discarded:20": twenty samples a class of what
            the cut threw away; a class that discarded fewer gives the rest from train.

    Returns:
        The dataset with `holdout`; train loses what it gave, in unchanged order, and keeps at least
        one sample a class. `data_hash` stays that of the cut.

    Raises:
        UsageError: a spec of another form, or a dataset that has a hold-out already.
        DataError: "discarded" where nothing was cut.
    """
    if dataset.holdout is not None:
        raise UsageError("The data bring a hold-out of their own; leave --holdout out.")
    if spec.startswith(_DISCARDED):
        return _from_discarded(dataset, _per_class(spec))
    return _from_train(dataset, _fraction(spec))


def _fraction(spec: str) -> float:
    try:
        fraction = float(spec)
    except ValueError:
        raise _bad_spec(spec) from None
    if not 0 < fraction < 1:
        raise _bad_spec(spec)
    return fraction


def _per_class(spec: str) -> int:
    number = spec.removeprefix(_DISCARDED)
    if not (number.isascii() and number.isdigit() and int(number) > 0):
        raise _bad_spec(spec)
    return int(number)


def _bad_spec(spec: str) -> UsageError:
    return UsageError(
        f"--holdout {spec!r} is neither a part of train nor a number of discarded pictures a "
        "class; type --holdout 0.1 or --holdout discarded:20."
    )


def _from_train(dataset: Dataset, fraction: float) -> Dataset:
    amounts = stratified_amounts(dataset.counts, fraction)
    chosen = keyed_draw(dataset.train, amounts, "holdout")
    notes = [
        f"Hold-out {fraction:g}: {amounts.sum():,} of {len(dataset.train):,} training samples kept "
        "aside, class by class, the same for every seed."
    ]
    alone = np.flatnonzero(dataset.counts == 1)
    if alone.size:
        notes.append(
            f"The hold-out has nothing of {naming(alone, dataset.class_names)}: "
            "a single sample stays in train."
        )
    return _replaced(dataset, chosen, _part(dataset.train, chosen), notes)


def _from_discarded(dataset: Dataset, per_class: int) -> Dataset:
    if dataset.discarded is None:
        raise DataError(
            f"--holdout discarded:{per_class} needs what a cut threw away, and {dataset.name} was "
            "not cut here; add --imbalance 100, or type --holdout 0.1."
        )
    thrown_away = class_counts(dataset.discarded.labels, dataset.num_classes)
    given = np.minimum(thrown_away, per_class)
    taken = np.minimum(per_class - given, np.maximum(dataset.counts - 1, 0))
    free = _part(dataset.discarded, keyed_draw(dataset.discarded, given, "holdout"))
    chosen = keyed_draw(dataset.train, taken, "holdout")
    notes = [f"Hold-out: {per_class} samples a class of what the cut threw away."]
    notes += _shortfall(dataset, taken, given + taken < per_class)
    return _replaced(dataset, chosen, joined(free, _part(dataset.train, chosen)), notes)


def _shortfall(dataset: Dataset, taken: Counts, incomplete: Mask) -> list[str]:
    """Sentences on the classes whose discarded pictures were too few."""
    notes, givers, lacking = [], np.flatnonzero(taken), np.flatnonzero(incomplete)
    if givers.size:
        notes.append(
            f"The cut threw away too little of {naming(givers, dataset.class_names)}: "
            f"{taken.sum():,} training samples went to the hold-out instead."
        )
    if lacking.size:
        notes.append(
            f"The hold-out is incomplete in {naming(lacking, dataset.class_names)}: "
            "one sample a class stays in train."
        )
    return notes


def _replaced(dataset: Dataset, chosen: Mask, holdout: Split, notes: list[str]) -> Dataset:
    return dataclasses.replace(
        dataset,
        train=_part(dataset.train, ~chosen),
        holdout=holdout,
        notes=(*dataset.notes, *notes),
    )


def _part(split: Split, chosen: Mask) -> Split:
    return split.take(np.flatnonzero(chosen))
