"""Differences between rows and a baseline, and what so many seeds let them say; plain numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from longtail.metrics.paired import (
    RANKED_FROM,
    Paired,
    holm,
    paired_difference,
    smallest_difference,
    verdict,
)

_LEVEL = 0.05


class Judged(NamedTuple):
    """A row less the baseline.

    Attributes:
        paired: over the seeds they share, in the unit of the values; None where they share none.
        adjusted: its p-value by Holm over all rows that enough seeds test; None for the others.
    """

    paired: Paired | None
    adjusted: float | None

    @property
    def words(self) -> str:
        """What it says, as `longtail.metrics.verdict`; "no shared seed: not ranked" without one."""
        if self.paired is None:
            return "no shared seed: not ranked"
        return verdict(self.paired, self.adjusted)


class Sensitivity(NamedTuple):
    """What a comparison could have found, in the unit of its values.

    Attributes:
        deviation: typical standard deviation of a difference from seed to seed.
        seeds: the fewest that any judged row shares with the baseline.
        least: the true difference that so many seeds find in four cases of five after Holm.
    """

    deviation: float
    seeds: int
    least: float


def judged(rows: Sequence[Mapping[int, float]], base: Mapping[int, float]) -> list[Judged]:
    """Every row against the baseline.

    Args:
        rows: values of a metric by seed.
        base: those of the baseline.
    """
    pairs = [paired_difference(row, base) if row.keys() & base.keys() else None for row in rows]
    # What too few seeds say is ranked by nobody, and asks no more of the others.
    adjusted = holm([pair.p if pair and pair.n >= RANKED_FROM else None for pair in pairs])
    return [Judged(*each) for each in zip(pairs, adjusted, strict=True)]


def sensitivity(found: Sequence[Judged]) -> Sensitivity | None:
    """What the seeds of `judged` rows could have shown; None where they vary too little to say."""
    ranked = [each.paired for each in found if each.paired and each.paired.n >= RANKED_FROM]
    variances = [pair.std**2 for pair in ranked if pair.std]
    if not variances:
        return None
    deviation = math.sqrt(sum(variances) / len(variances))
    seeds = min(pair.n for pair in ranked)
    # Holm judges the first of m comparisons at a level of 0.05 / m.
    least = smallest_difference(deviation, seeds, confidence=1 - _LEVEL / len(ranked))
    return Sensitivity(deviation, seeds, least)
