"""The comparison in sentences, and the key figures of all rows beside each other."""

import dataclasses
from collections.abc import Iterator, Sequence

from longtail.metrics import RANKED_FROM
from longtail.metrics.calibration import BINS
from longtail.report.baseline import BASELINE
from longtail.report.comparison.compared import Compared
from longtail.report.comparison.differences import Difference
from longtail.report.figures import rows as rows_figure
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.svg import inline
from longtail.report.groups import GROUP_RANGES
from longtail.report.key_figures import calibration_error
from longtail.report.page import Section, render
from longtail.report.row_table import row_table
from longtail.report.rows import Row, means
from longtail.report.tables import Column, Table
from longtail.report.words import listed, plural


def overview(comparison: Compared, found: Sequence[Difference]) -> Section:
    """What is better than what as far as the seeds say, and every row's figures."""
    figure = rows_figure.rows(
        [row.short for row in comparison.rows],
        [list(row.values("balanced_accuracy").values()) for row in comparison.rows],
    )
    html = render(
        "comparison/overview.html.j2",
        sentences=list(_sentences(comparison, found)),
        table=key_table(comparison.rows),
        ranges=GROUP_RANGES,
        bins=BINS,
        figures=[
            InlineFigure(
                inline(figure, "rows", "Balanced accuracy of each row, a point for each seed"),
                "Balanced accuracy: a point for each seed, a bar at their mean.",
            )
        ],
    )
    return Section("overview", "Comparison", html)


def key_table(rows: Sequence[Row]) -> Table:
    """Every row's key figures, and its calibration error where one can be known."""
    errors = [_calibration_errors(row) for row in rows]
    known = [(Column("ECE"), list(map(means, errors)))] if any(errors) else []
    return row_table("key-figures", rows, *known)


def _calibration_errors(row: Row) -> dict[int, float]:
    """By seed; of the runs whose logits are kept."""
    # Of copies, so that no run's probabilities stay in memory: of ImageNet they are 400 MB.
    found = {seed: calibration_error(dataclasses.replace(v)) for seed, v in row.views.items()}
    return {seed: error for seed, error in found.items() if error is not None}


def _sentences(comparison: Compared, found: Sequence[Difference]) -> Iterator[str]:
    base, runs = comparison.base, sum(len(row.views) for row in comparison.rows)
    if runs < 2:
        yield f"One run alone, {base.label}: there is nothing to hold it against."
        return
    yield (
        f"{plural(runs, 'run')} in {plural(len(comparison.rows), 'row')}; runs of a row differ in "
        f"their seed alone. {_baseline(comparison)}"
    )
    for each in found:
        yield f"{each.row.label} less {base.label} in balanced accuracy: {each.words}."
    if any(each.judged.paired is None or each.judged.paired.n < RANKED_FROM for each in found):
        yield f"Which method is better takes at least {RANKED_FROM} shared seeds to say."


def _baseline(comparison: Compared) -> str:
    base = comparison.base
    if not comparison.others:
        return "No two rows can be held against each other."
    why = (
        "the cross-entropy among them"
        if base.first.record.method == BASELINE
        else "the first that was named, since none of them is cross-entropy on the same data"
    )
    others = listed([row.label for row in comparison.others])
    verb = "is" if len(comparison.others) == 1 else "are"
    return f"{others} {verb} held against {base.label}, {why}."
