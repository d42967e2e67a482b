"""Classes and their differences in words, for marks that are pointed at and figures not seen."""

import numpy as np

from longtail.report.arrays import Floats
from longtail.report.view import RunView
from longtail.report.words import plural, signed


def class_words(view: RunView, label: int) -> str:
    """A class in two lines: its name, and its training samples with its group."""
    samples = plural(int(view.counts[label]), "training sample")
    return f"{view.class_names[label]}\n{samples}, {view.groups[label]}"


def difference_label(name: str, base: str, difference: Floats) -> str:
    """What a figure of class differences shows, in a sentence.

    Args:
        name: of the run or row.
        base: of the one that it is held against.
        difference: float64 [c], the first less the second in [-1, 1]; NaN where either does not
            exist. At least one is known.
    """
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    return (
        f"Class accuracies of {name} less those of {base}: {plural(better, 'class')} higher, "
        f"{worse:,} lower, {signed(float(np.nanmean(difference)))} points on average"
    )
