"""How often each sampler draws each class: the formulas, float64 [c] adding up to 1.

`counts` is as in `longtail.prior`, `progress` is how much of the run is done, in [0, 1]. A class
without a training sample cannot be drawn: its share is 0, and "every class" means the others.
"""

from collections.abc import Callable

import numpy as np

from longtail.prior import Counts, Floats

Shares = Callable[[Counts, float], Floats]
"""(counts int64 [c], progress) -> float64 [c]."""


def proportional(counts: Counts, progress: float) -> Floats:
    """Each class as often as it is: p_c = n_c / N."""
    return _normalised(counts.astype(np.float64), counts)


def uniform(counts: Counts, progress: float) -> Floats:
    """Every class equally often: p_c = 1 / C."""
    return _normalised(np.ones(len(counts)), counts)


def square_root(counts: Counts, progress: float) -> Floats:
    """Halfway on a logarithmic scale: p_c in proportion to n_c ** 0.5 (Kang et al. 2020, eq. 1)."""
    return _normalised(np.sqrt(counts), counts)


def progressive(counts: Counts, progress: float) -> Floats:
    """From proportional to uniform in a straight line over the run (Kang et al. 2020, eq. 2)."""
    return (1 - progress) * proportional(counts, progress) + progress * uniform(counts, progress)


def effective_number(counts: Counts, progress: float, *, beta: float = 0.9999) -> Floats:
    """A sample's weight is one over its class's effective number, (1 - b) / (1 - b ** n_c).

    So p_c is in proportion to n_c / (1 - b ** n_c): proportional at b = 0, uniform towards b = 1.
    The weight is Cui et al.'s (2019, eq. 3); Cao et al. (2019) draw with it ("Resample").
    """
    return _normalised(counts / (1 - beta ** np.maximum(counts, 1)), counts)


def _normalised(weights: Floats, counts: Counts) -> Floats:
    present = np.where(counts > 0, weights, 0.0)
    return np.asarray(present / present.sum(), np.float64)
