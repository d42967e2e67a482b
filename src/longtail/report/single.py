"""The page of one run."""

from longtail.errors import printable
from longtail.report.page import page
from longtail.report.sections import SECTIONS
from longtail.report.view import RunView
from longtail.report.words import plural


def report(view: RunView) -> str:
    """The whole page as HTML: every section that the run has something to show in."""
    record = view.record
    sections = [section for make in SECTIONS if (section := make(view)) is not None]
    subtitle = (
        f"{record.method} on {printable(record.data.name)}, "
        f"{plural(len(view.class_names), 'class')}, {record.backbone}, "
        f"{plural(record.settings['epochs'], 'epoch')}, seed {record.seed}"
    )
    return page(view.name, subtitle, sections, view.problems)
