"""Several runs on one page: what is better than what as far as the seeds say, and where."""

from collections.abc import Iterator, Sequence

from longtail.errors import printable
from longtail.report.comparison.classes import classes
from longtail.report.comparison.compared import Compared, compared
from longtail.report.comparison.curves import curves, long_tail, test_priors
from longtail.report.comparison.differences import differences, differences_of
from longtail.report.comparison.fixed import fixed
from longtail.report.comparison.overview import overview
from longtail.report.comparison.runs import runs
from longtail.report.comparison.side_by_side import side_by_side
from longtail.report.page import Section, page
from longtail.report.view import RunView
from longtail.report.words import listed, plural


def comparison(views: Sequence[RunView], problems: Sequence[str] = ()) -> str:
    """The page of several runs as HTML.

    Args:
        views: at least one, from `runs.open_runs`.
        problems: what could not be read, in sentences.
    """
    found = compared(views)
    data = dict.fromkeys(printable(view.record.data.name) for view in views)
    of_runs = [f"{view.name}: {problem}" for view in views for problem in view.problems]
    return page(
        listed([row.short for row in found.rows]),
        f"{plural(len(views), 'run')} on {listed(list(data))}",
        list(_sections(found)),
        [*problems, *found.problems, *of_runs],
    )


def _sections(found: Compared) -> Iterator[Section]:
    between = differences_of(found)
    made = (
        overview(found, between),
        differences(found, between),
        long_tail(found),
        classes(found),
        fixed(found),
        side_by_side(found),
        curves(found),
        test_priors(found),
        runs(found),
    )
    yield from (section for section in made if section is not None)
