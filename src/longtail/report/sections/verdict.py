"""The verdict: what a reader should know after three sentences, and the numbers behind it."""

from longtail.metrics.calibration import BINS
from longtail.report.groups import GROUP_RANGES
from longtail.report.key_figures import calibration_error, key_figures
from longtail.report.page import Section, render
from longtail.report.sentences import sentences
from longtail.report.view import RunView


def verdict(view: RunView) -> Section:
    """Three sentences and the key figures, with intervals, against the baseline if there is one."""
    figures = key_figures(view)
    html = render(
        "sections/verdict.html.j2",
        view=view,
        sentences=sentences(view, figures),
        figures=figures,
        ranges=GROUP_RANGES,
        bins=BINS,
        calibration_error=calibration_error(view),
    )
    return Section("verdict", "Verdict", html)
