"""What a run's report is made of: one file a section, one line each here.

A section is a function from a run to a `Section`, or to None where the run has nothing to show.
"""

from collections.abc import Callable

from longtail.report.page import Section
from longtail.report.sections.calibration import calibration
from longtail.report.sections.classes import classes
from longtail.report.sections.confusion import confusion
from longtail.report.sections.data import data
from longtail.report.sections.embedding_map import embedding_map
from longtail.report.sections.long_tail import long_tail
from longtail.report.sections.measured import measured
from longtail.report.sections.mistakes import mistakes
from longtail.report.sections.prior_shift import prior_shift
from longtail.report.sections.training import training
from longtail.report.sections.verdict import verdict
from longtail.report.view import RunView

SECTIONS: tuple[Callable[[RunView], Section | None], ...] = (
    verdict,
    data,
    long_tail,
    classes,
    confusion,
    mistakes,
    embedding_map,
    calibration,
    prior_shift,
    training,
    measured,
)
