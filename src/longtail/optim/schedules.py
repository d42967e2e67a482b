"""Learning-rate schedules: pure functions of progress in [0, 1], multiplying the base rate."""

import math
from collections.abc import Sequence


def warmup(progress: float, length: float) -> float:
    """Rises linearly to 1 over the first `length` of training; 1 at once where that is 0."""
    return 1.0 if length <= 0 else min(1.0, progress / length)


def step(progress: float, milestones: Sequence[float], decay: float) -> float:
    """Multiplied by `decay` at each milestone.

    >>> [round(step(p, (0.8, 0.9), 0.1), 3) for p in (0.0, 0.8, 0.9)]
    [1.0, 0.1, 0.01]
    """
    return decay ** sum(progress >= milestone for milestone in milestones)


def cosine(progress: float) -> float:
    """Half a cosine from 1 at the start to 0 at the end.

    >>> [round(cosine(p), 3) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]
    """
    return 0.5 * (1.0 + math.cos(math.pi * progress))
