"""Accuracy if the test data were long-tailed too; its section's id is test-priors."""

from longtail.metrics import accuracy_under, shifted_priors
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.svg import inline
from longtail.report.page import Section, render
from longtail.report.run_figures import no_test_priors, test_priors_of
from longtail.report.view import RunView
from longtail.report.words import percent

_ID, _TITLE = "test-priors", "Other test distributions"


def prior_shift(view: RunView) -> Section:
    """The curve, or why there is none."""
    figure = test_priors_of(view)
    if figure is None:
        html = render("sections/nothing.html.j2", why=no_test_priors(view))
        return Section(_ID, _TITLE, html)
    caption = (
        "Left: test data as long-tailed as the number says, the same classes frequent as in "
        "training; middle: balanced; right: the rare classes are the frequent ones."
    )
    shown = InlineFigure(inline(figure, "test-priors", _label(view)), caption)
    return Section(_ID, _TITLE, render("sections/prior_shift.html.j2", figures=[shown]))


def _label(view: RunView) -> str:
    priors = shifted_priors(view.counts)
    first, middle, last = (
        percent(accuracy_under(priors[place].prior, view.per_class))
        for place in (0, len(priors) // 2, -1)
    )
    return (
        f"Accuracy of {view.record.method} by imbalance of the test data: {first} % where they are "
        f"as long-tailed as {priors[0].ratio:g} to 1, {middle} % where they are balanced, {last} % "
        "where that tail is reversed"
    )
