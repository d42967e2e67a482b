"""What a run's report is made of: one file a section, one line each here.

A section is a function from a run to a `Section`, or to None where the run has nothing to show.
"""

from collections.abc import Callable

from longtail.report.page import Section
from longtail.report.sections.measured import measured
from longtail.report.sections.verdict import verdict
from longtail.report.view import RunView

SECTIONS: tuple[Callable[[RunView], Section | None], ...] = (verdict, measured)
