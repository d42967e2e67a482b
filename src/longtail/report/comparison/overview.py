"""The comparison in sentences, and the key figures of all rows beside each other."""

import dataclasses
from collections.abc import Iterator, Sequence

from longtail.metrics import RANKED_FROM
from longtail.prior import GROUPS
from longtail.report.baseline import BASELINE
from longtail.report.comparison.compared import Compared
from longtail.report.comparison.difference import Difference
from longtail.report.figures import rows as rows_figure
from longtail.report.figures.shown import Shown
from longtail.report.figures.svg import inline
from longtail.report.keys import calibration_error
from longtail.report.page import Section, render
from longtail.report.rows import Row, means
from longtail.report.tables import Cell, Column, Table, number
from longtail.report.view import RunView
from longtail.report.words import listed, plural

_MEANS = ("balanced_accuracy", "harmonic_mean_accuracy", "accuracy")


def overview(comparison: Compared, found: Sequence[Difference]) -> Section:
    """What is better than what as far as the seeds say, and every row's figures."""
    figure = rows_figure.rows(
        [row.short for row in comparison.rows],
        [list(row.values("balanced_accuracy").values()) for row in comparison.rows],
    )
    html = render(
        "compare/overview.html.j2",
        sentences=list(_sentences(comparison, found)),
        table=key_table(comparison.rows),
        figures=[
            Shown(
                inline(figure, "rows", "Balanced accuracy of each row, a point for each seed"),
                "Balanced accuracy: a point for each seed, a bar at their mean.",
            )
        ],
    )
    return Section("overview", "Comparison", html)


def key_table(rows: Sequence[Row]) -> Table:
    """Mean ± standard deviation over seeds of every key figure, a line for each row."""
    present = [group for group in GROUPS if any(row.values(group) for row in rows)]
    titles = ("balanced", "harmonic", "all samples", *present)
    columns = [Column("row", number=False, wide=True), Column("n"), *map(Column, titles)]
    columns.append(Column("classes at 0"))
    errors = [_calibration_errors(row) for row in rows]
    known = any(errors)
    columns += [Column("ECE")] if known else []
    lines = [
        [
            Cell(row.label),
            number(len(row.views)),
            *(means(row.values(name)) for name in (*_MEANS, *present)),
            means(row.values("zero_classes"), scale=1),
            *([means(error)] if known else []),
        ]
        for row, error in zip(rows, errors, strict=True)
    ]
    return Table("key-figures", "Key figures of every row, per cent", columns, lines)


def _calibration_errors(row: Row) -> dict[int, float]:
    """By seed; of the runs whose logits are kept."""
    # Of copies, so that no run's probabilities stay in memory: of ImageNet they are 400 MB.
    kept = {seed: dataclasses.replace(v) for seed, v in row.views.items() if _has_logits(v)}
    found = {seed: calibration_error(view) for seed, view in kept.items()}
    return {seed: error for seed, error in found.items() if error is not None}


def _has_logits(view: RunView) -> bool:
    return view.predictions is not None and view.predictions.logits.shape[1] > 0


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
