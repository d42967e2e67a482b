"""The exponential long-tail cut: which training pictures of a balanced set are kept.

The class sizes are those of Cui et al. 2019 ("Class-Balanced Loss Based on Effective Number of
Samples", section 5.1); the subset is the one LDAM-DRW draws (Cao et al. 2019), which is what most
published CIFAR-LT numbers were measured on.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from longtail.data.dataset import Dataset
from longtail.data.hashing import pictures_hash
from longtail.errors import DataError, UsageError
from longtail.prior import Counts

Positions = npt.NDArray[np.int64]

# The benchmark's own seed. It is not the run's: every seed and method trains on the same pictures.
DRAW_SEED = 0


def long_tail_counts(max_count: int, num_classes: int, imbalance: float) -> Counts:
    """Class sizes falling exponentially from the first class to the last, int64 [num_classes].

    `n_c = int(max_count * imbalance ** (-c / (num_classes - 1)))`. The exponent is computed for
    each class as written and the product truncated: powers of one ratio, rounded before they are
    taken, lose a picture (19,572 instead of 19,573 on CIFAR-100 at 10) and with it the benchmark.

    >>> long_tail_counts(5000, 10, 100).tolist()
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]

    Raises:
        UsageError: the imbalance is not a number of at least 1.
        DataError: fewer than two classes.
    """
    if not (math.isfinite(imbalance) and imbalance >= 1):
        raise UsageError(
            f"--imbalance {imbalance:g}: the largest class over the smallest must be at least 1; "
            "type e.g. --imbalance 100."
        )
    if num_classes < 2:
        raise DataError(f"A long tail needs at least 2 classes; the data have {num_classes}.")
    exponents = (-label / (num_classes - 1) for label in range(num_classes))
    return np.array([int(max_count * imbalance**power) for power in exponents], np.int64)


def cut(dataset: Dataset, imbalance: float) -> Dataset:
    """Keep an exponential long tail of the training pictures; the first class is the largest.

    The result's train is ordered class by class, each class as drawn; `discarded` holds the rest
    in the same way. The draw depends on the labels alone, never on a run's seed.

    Args:
        dataset: balanced or not; the largest class sets the size of the first one, and a class
            with fewer pictures than the formula asks for keeps them all (a note says so).
        imbalance: largest class over smallest, at least 1.

    Raises:
        UsageError, DataError: as `long_tail_counts`.
    """
    wanted = long_tail_counts(int(dataset.counts.max(initial=0)), dataset.num_classes, imbalance)
    kept, rest = _draw(dataset.train.labels, wanted)
    train = dataset.train.take(kept)
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}-lt-if{imbalance:g}",
        train=train,
        discarded=dataset.train.take(rest),
        data_hash=pictures_hash(train.inputs),
        notes=(*dataset.notes, *_notes(dataset, wanted, imbalance)),
    )


def _draw(labels: npt.NDArray[np.int64], wanted: Counts) -> tuple[Positions, Positions]:
    """Positions kept and positions left, each class by class."""
    # One generator for all classes: every shuffle moves it on, so the classes' order matters, and
    # all of a class is shuffled even where nothing of it is thrown away.
    generator = np.random.RandomState(DRAW_SEED)
    kept, rest = [], []
    for label, count in enumerate(wanted):
        positions = np.flatnonzero(labels == label)
        generator.shuffle(positions)
        kept.append(positions[:count])
        rest.append(positions[count:])
    return np.concatenate(kept), np.concatenate(rest)


def _notes(dataset: Dataset, wanted: Counts, imbalance: float) -> list[str]:
    """The cut in words: sizes, and the classes that could not follow the formula."""
    total = int(np.minimum(wanted, dataset.counts).sum())
    notes = [
        f"Long-tail cut at imbalance {imbalance:g}: {total:,} of {len(dataset.train):,} training "
        "samples kept, the first class the largest."
    ]
    short = np.flatnonzero(dataset.counts < wanted)
    if short.size:
        notes.append(
            f"The cut wanted more than there is in {naming(short, dataset.class_names)}: "
            "those classes keep all they have."
        )
    empty = np.flatnonzero(wanted == 0)
    if empty.size:
        notes.append(
            f"The cut leaves no training sample in {naming(empty, dataset.class_names)}: "
            "the largest class is smaller than the imbalance."
        )
    return notes


def naming(labels: npt.ArrayLike, class_names: tuple[str, ...], shown: int = 5) -> str:
    """The first few classes by name, and how many more there are, for a sentence.

    >>> naming([0, 2], ("cat", "dog", "eel"))
    '2 classes (cat, eel)'
    """
    ids = np.asarray(labels)
    names = [class_names[label] for label in ids[:shown]] + ["..."] * (len(ids) > shown)
    return f"{len(ids)} class{'es' * (len(ids) != 1)} ({', '.join(names)})"
