"""Several methods against a baseline at once, and what so many seeds let one say of them."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from longtail.metrics.paired import RANKED_FROM, Paired, holm, paired_difference, verdict
from longtail.metrics.power import seeds_needed, smallest_difference

_LEVEL = 0.05

BySeed = Mapping[int, float]


class Comparison(NamedTuple):
    """A method less another, one comparison of several.

    Attributes:
        paired: over the seeds they share, in the unit of the values; None where they share none.
        adjusted: its p-value by Holm over all comparisons that enough seeds test; None for the
            others, and where the seeds have no spread.
    """

    paired: Paired | None
    adjusted: float | None

    @property
    def words(self) -> str:
        """What it says, as `verdict`; "no shared seed: not ranked" without one."""
        if self.paired is None:
            return "no shared seed: not ranked"
        return verdict(self.paired, self.adjusted)


class Sensitivity(NamedTuple):
    """What comparisons could have found, in the unit of their values.

    Attributes:
        deviation: typical standard deviation of a difference from seed to seed.
        seeds: the fewest that any tested comparison has.
        least: the true difference that so many seeds find in four cases of five after Holm.
        confidence: at which Holm judges the first of them.
    """

    deviation: float
    seeds: int
    least: float
    confidence: float

    def seeds_for(self, difference: float) -> int:
        """About how many seeds find a true difference, above 0, as often, and are ranked.

        The deviation is taken for the true one, though few seeds may be off by several times; so
        the number has two digits.
        """
        found = seeds_needed(self.deviation, difference, confidence=self.confidence)
        return max(RANKED_FROM, int(float(f"{found:.2g}")))


def compare_all(pairs: Sequence[tuple[BySeed, BySeed]]) -> list[Comparison]:
    """Each method less its baseline, all of them corrected together.

    Args:
        pairs: values by seed of a method, and of what it is held against; empty for nothing.

    >>> base = {0: 0.50, 1: 0.51, 2: 0.52}
    >>> [found.words for found in compare_all([({0: 0.53, 1: 0.52}, base), ({7: 0.6}, base)])]
    ['2 seeds: not ranked', 'no shared seed: not ranked']
    """
    found = [
        paired_difference(*pair) if pair[0].keys() & pair[1].keys() else None for pair in pairs
    ]
    # What too few seeds say is ranked by nobody, and asks no more of the others.
    tested = [each.p if each and each.n >= RANKED_FROM else None for each in found]
    return [Comparison(*each) for each in zip(found, holm(tested), strict=True)]


def first_confidence(found: Sequence[Comparison]) -> float:
    """The confidence at which Holm judges the first of some comparisons: 1 - 0.05 / m."""
    return 1 - _LEVEL / max(1, sum(each.adjusted is not None for each in found))


def sensitivity(found: Sequence[Comparison]) -> Sensitivity | None:
    """What the seeds of `compare_all` could have shown; None where none was tested."""
    tested = [each.paired for each in found if each.paired and each.adjusted is not None]
    if not tested:
        return None
    deviation = math.sqrt(sum((pair.std or 0) ** 2 for pair in tested) / len(tested))
    seeds = min(pair.n for pair in tested)
    level = first_confidence(found)
    least = smallest_difference(deviation, seeds, confidence=level)
    return Sensitivity(deviation, seeds, least, level)
