"""What of the training data an epoch's order gets to see."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.prior import Counts, as_counts


class Coverage(NamedTuple):
    """How often an epoch draws each class.

    Attributes:
        draws: int64 [c], places of the order that the class has.
        distinct: int64 [c], samples of the class that come at least once.
    """

    draws: Tensor
    distinct: Tensor


def coverage(order: Tensor, labels: Tensor, num_classes: int) -> Coverage:
    """Count what an order draws.

    Args:
        order: int64 positions in `labels`, repeated or not.
        labels: int64 [n], class ids in [0, num_classes).
        num_classes: c.
    """
    draws, distinct = (
        torch.bincount(labels[positions], minlength=num_classes)
        for positions in (order, torch.unique(order))
    )
    return Coverage(draws, distinct)


def coverage_line(name: str, counts: npt.ArrayLike, covered: Coverage) -> str:
    """One epoch in a sentence: draws a class, and how much of the largest and smallest it sees.

    Classes without a training sample are not spoken of; of equally large ones, the first is.

    Args:
        name: of the sampler.
        counts: training samples a class, int64 [c].
        covered: of an epoch.

    Raises:
        DataError: as `as_counts`.

    >>> some = Coverage(torch.tensor([5, 4, 0]), torch.tensor([4, 2, 0]))
    >>> coverage_line("class-balanced", [7, 2, 0], some)
    'Sampler class-balanced: an epoch draws 4 to 5 samples of each class, 57 % of the 7 of the \
largest (1.2 times each) and all 2 of the smallest (2.0 times each).'
    """
    sizes = as_counts(counts)
    draws = covered.draws.cpu().numpy()
    least, most = draws[sizes > 0].min(), draws[sizes > 0].max()
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    largest, smallest = int(sizes.argmax()), int(np.where(sizes > 0, sizes, sizes.max()).argmin())
    return (
        f"Sampler {name}: an epoch draws {each} samples of each class, "
        f"{_part(largest, sizes, covered)} of the largest{_times(largest, covered)} and "
        f"{_part(smallest, sizes, covered)} of the smallest{_times(smallest, covered)}."
    )


def _part(label: int, sizes: Counts, covered: Coverage) -> str:
    """How many of a class's samples are seen, never rounded up to all of them."""
    seen, size = int(covered.distinct[label]), int(sizes[label])
    if seen in (0, size):
        return f"{'all' if seen else 'none of the'} {size:,}"
    return f"{100 * seen // size or 'under 1'} % of the {size:,}"


def _times(label: int, covered: Coverage) -> str:
    seen = int(covered.distinct[label])
    return f" ({int(covered.draws[label]) / seen:.1f} times each)" if seen else ""
