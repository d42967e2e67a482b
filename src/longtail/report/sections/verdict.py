"""The verdict: what a reader should know after three sentences."""

from longtail.report.page import Section, render
from longtail.report.view import RunView


def verdict(view: RunView) -> Section:
    """Three sentences: how good it is, where it fails, and whether that is the tail's fault."""
    return Section("verdict", "Verdict", render("sections/verdict.html.j2", sentences=[view.name]))
