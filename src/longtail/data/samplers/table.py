"""Shares and coverage of every sampler: `python -m longtail.data.samplers.table 5000 10 100`.

The numbers are the largest class's size, the number of classes and the imbalance of an exponential
long tail; the table is Markdown. No data are read: orders depend on labels alone.
"""

import sys

import numpy as np
import torch
from torch import Tensor

from longtail.data.cut import long_tail_counts
from longtail.data.samplers import SAMPLERS, class_shares, coverage, sampler
from longtail.errors import UsageError
from longtail.prior import Counts

PROGRESS = 0.5  # of the run, which the progressive sampler looks at
EPOCHS = 10  # averaged over

HEADER = """\
| sampler | share of the largest class | of the smallest | the largest class is seen to | \
a sample of the smallest comes | all samples are seen to |
|---|---|---|---|---|---|"""


def table(counts: Counts) -> str:
    """A row a sampler, for one long tail."""
    labels = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
    return "\n".join([HEADER, *(_row(name, counts, labels) for name in SAMPLERS)])


def _row(name: str, counts: Counts, labels: Tensor) -> str:
    shares = class_shares(name, counts, PROGRESS)
    covered = [
        coverage(sampler(name)(labels, 0, epoch, PROGRESS), labels, len(counts))
        for epoch in range(EPOCHS)
    ]
    draws = np.mean([one.draws.numpy() for one in covered], 0)
    distinct = np.mean([one.distinct.numpy() for one in covered], 0)
    large, small = counts.argmax(), counts.argmin()
    cells = (
        name,
        f"{shares[large]:.1%}",
        f"{shares[small]:.2%}",
        f"{distinct[large] / counts[large]:.0%}",
        f"{draws[small] / counts[small]:.1f} times",
        f"{distinct.sum() / counts.sum():.0%}",
    )
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> None:
    """Print the table of the long tail that the arguments describe."""
    try:
        largest, num_classes, imbalance = int(arguments[0]), int(arguments[1]), float(arguments[2])
    except (ValueError, IndexError):
        raise UsageError(
            "Give the largest class's size, the number of classes and the imbalance: "
            "python -m longtail.data.samplers.table 5000 10 100"
        ) from None
    counts = long_tail_counts(largest, num_classes, imbalance)
    print(
        f"{counts.sum():,} samples, {counts[0]:,} in the largest class, {counts[-1]:,} in the last."
    )
    print(table(counts))


if __name__ == "__main__":
    main(sys.argv[1:])
