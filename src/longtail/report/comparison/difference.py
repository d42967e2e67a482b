"""How far each row's balanced accuracy lies from the baseline's, and what that may be called."""

from typing import NamedTuple

from longtail.metrics import PictureInterval, picture_difference
from longtail.report.comparison.compared import Compared, Pair, pairs_of
from longtail.report.judged import Judged, judged
from longtail.report.rows import Row
from longtail.report.view import same_samples
from longtail.report.words import interval

JUDGED_BY = "balanced_accuracy"
# A redraw of a thousand classes fills a million cells: fewer redraws there, so that it stays short.
_CLASSES, _REDRAWS, _FEWER_REDRAWS = 500, 2000, 500


class Pictures(NamedTuple):
    """One run less another on the same test samples, with the interval for other such samples."""

    pair: Pair
    found: PictureInterval


class Difference(NamedTuple):
    """A row less the baseline in balanced accuracy, fractions.

    Attributes:
        row: the row.
        judged: over the seeds they share.
        pictures: where they share one seed or none, and both runs' predictions are of the same
            samples: what is left to say.
    """

    row: Row
    judged: Judged
    pictures: Pictures | None

    @property
    def words(self) -> str:
        """The difference and what it says, in sentences without their end."""
        paired = self.judged.paired
        if paired is not None and paired.n > 1:
            around = interval(paired.low, paired.high)
            return (
                f"{100 * paired.mean:+.1f} points {around}".rstrip()
                + f" over {paired.n} shared seeds: {self.judged.words}"
            )
        if self.pictures is None:
            value = "" if paired is None else f"{100 * paired.mean:+.1f} points; "
            return f"{value}{self.judged.words}"
        pair, found = self.pictures
        return (
            f"{100 * found.value:+.1f} points with {pair.seeds}, and within "
            f"{interval(found.low, found.high)} had other test samples been drawn. This says "
            f"nothing about other seeds ({self.judged.words})"
        )


def differences(comparison: Compared) -> list[Difference]:
    """Every row that can be held against the baseline; Holm's correction is over all of them."""
    base = comparison.base
    found = judged([row.values(JUDGED_BY) for row in comparison.others], base.values(JUDGED_BY))
    return [
        Difference(
            row, each, _pictures(row, base) if not each.paired or each.paired.n < 2 else None
        )
        for row, each in zip(comparison.others, found, strict=True)
    ]


def _pictures(row: Row, base: Row) -> Pictures | None:
    pair = pairs_of(row, base)[0]
    if not same_samples(*pair):
        return None
    ours, theirs = pair.view.predictions, pair.base.predictions
    assert ours is not None
    assert theirs is not None
    classes = len(pair.view.class_names)
    found = picture_difference(
        ours.labels,
        ours.predicted,
        theirs.predicted,
        classes,
        samples=_REDRAWS if classes <= _CLASSES else _FEWER_REDRAWS,
    )
    return Pictures(pair, found)
