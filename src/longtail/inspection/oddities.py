"""Samples that are worth a look before training: nothing here is wrong by itself."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from longtail.data.dataset import Dataset, Split
from longtail.inspection.summary import Sample, samples_of, splits_of
from longtail.inspection.thumbnails import grey_thumbnails

# Of 255 grey levels. In CIFAR-10 and CIFAR-100 fewer than 2 pictures in 1,000 lie beyond one.
LEAST_CONTRAST = 8
DARKEST, BRIGHTEST = 15, 245
# In robust standard deviations: quartiles, unlike a plain deviation, do not grow with an outlier.
FARTHEST = 12
_QUARTILES_APART = 1.349
# A picture that loses more than two thirds to its central square, or is enlarged more than twice.
LONGEST_SIDE = 3
LARGEST_SCALE = 2

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Odd:
    """A sample, why it is worth a look, and how far out it is (larger is odder)."""

    sample: Sample
    why: str
    degree: float


def odd_samples(dataset: Dataset) -> tuple[Odd, ...]:
    """Pictures of hardly any contrast or extreme brightness, or vectors far from train's.

    Returns:
        The oddest first; no sample twice.
    """
    splits = splits_of(dataset)
    if len(dataset.input_shape) == 3:
        found = [odd for name, split in splits.items() for odd in _odd_pictures(name, split)]
    else:
        spread = _spread(np.asarray(dataset.train.inputs, np.float64))
        found = [odd for name, split in splits.items() for odd in _odd_rows(name, split, *spread)]
    return tuple(sorted(found, key=lambda odd: -odd.degree))


def constant_columns(dataset: Dataset) -> tuple[int, ...]:
    """Columns of the vectors that have one value in all of train; none for pictures."""
    if len(dataset.input_shape) != 1:
        return ()
    rows = np.asarray(dataset.train.inputs)
    return tuple(np.flatnonzero((rows == rows[0]).all(axis=0)).tolist())


def odd_sizes(sizes: Mapping[str, tuple[int, int]], side: int) -> list[tuple[str, str]]:
    """Files whose shape or size costs much when they become squares of `side` pixels.

    Args:
        sizes: file -> width and height in pixels.
        side: of the squares.

    Returns:
        File and reason, in the order of the files.
    """
    return [(name, why) for name, size in sizes.items() if (why := _odd_size(*size, side))]


def _odd_size(width: int, height: int, side: int) -> str:
    shorter, longer = sorted((width, height))
    if longer > LONGEST_SIDE * shorter:
        kept = 100 * shorter / longer
        return f"{width} x {height} pixels: the central square keeps {kept:.0f} % of it"
    if LARGEST_SCALE * shorter < side:
        return f"{width} x {height} pixels, enlarged to {side} x {side}"
    return ""


def _odd_pictures(name: str, split: Split) -> Iterator[Odd]:
    for sample, picture in zip(samples_of(name, split), grey_thumbnails(split.inputs), strict=True):
        level, deviation = float(picture.mean()), float(picture.std())
        if deviation < LEAST_CONTRAST:
            why = f"hardly any contrast: deviation {deviation:.1f} of 255 grey levels"
            yield Odd(sample, why, 1 - deviation / LEAST_CONTRAST)
        elif level < DARKEST:
            yield Odd(sample, f"nearly black: mean {level:.0f} of 255", 1 - level / DARKEST)
        elif level > BRIGHTEST:
            degree = (level - BRIGHTEST) / (255 - BRIGHTEST)
            yield Odd(sample, f"nearly white: mean {level:.0f} of 255", degree)


def _spread(rows: Floats) -> tuple[Floats, Floats]:
    """Median and robust deviation of each column; infinite where the middle half is one value."""
    low, median, high = np.quantile(rows, (0.25, 0.5, 0.75), axis=0)
    deviation = (high - low) / _QUARTILES_APART
    return median, np.where(deviation > 0, deviation, np.inf)


def _odd_rows(name: str, split: Split, median: Floats, deviation: Floats) -> Iterator[Odd]:
    away = np.abs(np.asarray(split.inputs, np.float64) - median) / deviation
    column = away.argmax(axis=1)
    far = away[np.arange(len(away)), column]
    for sample, worst, value in zip(samples_of(name, split), column, far, strict=True):
        if value > FARTHEST:
            why = f"column {worst} is {value:,.0f} robust deviations from train's median"
            yield Odd(sample, why, float(value))
