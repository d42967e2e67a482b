"""What a run's report is made of: one file a section, one line each here.

A section is a function from a run to a `Section`, or to None where the run has nothing to show.
"""

from collections.abc import Callable

from longtail.report.page import Section
from longtail.report.sections import (
    calibration,
    classes,
    confusion,
    data,
    embedding_map,
    long_tail,
    measured,
    mistakes,
    prior_shift,
    training,
    verdict,
)
from longtail.report.view import RunView

SECTIONS: tuple[Callable[[RunView], Section | None], ...] = (
    verdict.verdict,
    data.data,
    long_tail.long_tail,
    classes.classes,
    confusion.confusion,
    mistakes.mistakes,
    embedding_map.embedding_map,
    calibration.calibration,
    prior_shift.prior_shift,
    training.training,
    measured.measured,
)
