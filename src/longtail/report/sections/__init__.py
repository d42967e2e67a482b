"""What a run's report is made of: one file a section, one line each here.

A section is a function from a run to a `Section`, or to None where the run has nothing to show.
"""

from collections.abc import Callable

from longtail.errors import printable
from longtail.report.page import Section, page
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
from longtail.report.words import plural

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


def report(view: RunView) -> str:
    """The whole page as HTML: every section that the run has something to show in."""
    record = view.record
    sections = [section for make in SECTIONS if (section := make(view)) is not None]
    subtitle = (
        f"{record.method} on {record.data.name}, {plural(len(view.class_names), 'class')}, "
        f"{record.backbone}, {record.settings.get('epochs')} epochs, seed {record.seed}"
    )
    return page(view.name, printable(subtitle), sections, view.problems)
