"""What was trained on: its size, its shape, and what is wrong with it."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from longtail.errors import printable
from longtail.prior import Group, imbalance_ratio
from longtail.report.arrays import Ints
from longtail.report.figures.class_counts import class_counts
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.svg import inline
from longtail.report.groups import GROUP_RANGES
from longtail.report.page import Section, render
from longtail.report.tables import Cell, Column, Table, group_cell, number, share
from longtail.report.view import RunView
from longtail.report.words import listed, percent, plural

FEW_TO_LEARN_FROM = 5
"""Training samples below which a class is named as a problem."""


def data(view: RunView) -> Section:
    """Facts, the shape of the tail, the groups, problems, and the source's own notes."""
    html = render(
        "sections/data.html.j2",
        view=view,
        facts=[(name, printable(text)) for name, text in _facts(view)],
        figure=_figure(view),
        groups=group_table(view),
        problems=list(problems_of(view)),
        notes=[printable(note) for note in view.record.data.notes],
    )
    return Section("data", "The data", html)


def group_table(view: RunView) -> Table:
    """A line for each group that has a class, many first."""
    columns = [Column("group", number=False)]
    columns += map(Column, ("classes", "train samples", "share, %"))
    columns += [Column(f"{view.split_name} samples")] if view.tested is not None else []
    columns += [Column("its classes have", number=False)]
    lines = [_group(view, group, members) for group, members in view.members.items()]
    return Table("groups-table", "Groups of classes", columns, lines)


def _group(view: RunView, group: Group, members: Ints) -> list[Cell]:
    train = int(view.counts[members].sum())
    cells = [group_cell(group), number(len(members)), number(train)]
    cells += [share(train / view.counts.sum())]
    cells += [number(int(view.tested[members].sum()))] if view.tested is not None else []
    return [*cells, Cell(f"{GROUP_RANGES[group]} training samples")]


def problems_of(view: RunView) -> Iterator[str]:
    """What makes numbers of these data shaky, in sentences."""
    if (none := view.counts == 0).any():
        yield f"{_classes(view, none)} no training sample and can only be missed."
    if (rare := (view.counts > 0) & (view.counts < FEW_TO_LEARN_FROM)).any():
        yield f"{_classes(view, rare)} fewer than {FEW_TO_LEARN_FROM} training samples."
    if (absent := np.isnan(view.per_class)).any():
        yield (
            f"{_classes(view, absent)} no {view.split_name} sample: no accuracy of theirs is "
            "known, and no mean includes them."
        )


def _classes(view: RunView, chosen: npt.NDArray[np.bool_]) -> str:
    """The chosen classes as the subject of a sentence, with its verb."""
    ids = np.flatnonzero(chosen)
    names = [view.class_names[c] for c in ids]
    verb = "has" if len(ids) == 1 else "have"
    return f"{plural(len(ids), 'class')} ({listed(names)}) {verb}"


def _facts(view: RunView) -> Iterator[tuple[str, str]]:
    summary, counts = view.record.data, view.counts
    present = counts[counts > 0]
    yield "Data", summary.name
    yield "Source", summary.source
    classes = plural(len(counts), "class")
    yield "Training", f"{plural(int(counts.sum()), 'sample')} of {classes}"
    yield "Test", plural(summary.test_size, "sample") if summary.test_size else "no test split"
    if summary.holdout:
        yield "Hold-out", f"{summary.holdout}, taken from the training samples"
    between = f"{present.max():,} samples in the largest class, {present.min():,} in the smallest"
    yield "Imbalance ratio", f"{imbalance_ratio(counts):,.4g}: {between}"
    yield "Inputs", _inputs(view)
    yield "Data hash", summary.hash


def _inputs(view: RunView) -> str:
    shape, side = view.record.data.input_shape, view.record.data.image_size
    if side is None:
        return f"vectors of {plural(shape[0], 'number')}"
    return f"pictures, stored as {' × '.join(map(str, shape))}, seen at {side} × {side} pixels"


def _figure(view: RunView) -> InlineFigure:
    sizes = {group: len(members) for group, members in view.members.items()}
    told = ", ".join(f"{plural(size, 'class')} {group}" for group, size in sizes.items())
    head = percent(view.counts.max() / view.counts.sum(), 0)
    label = (
        f"Training samples a class, from {view.counts.max():,} to {view.counts.min():,}: {told}; "
        f"the most frequent class holds {head} % of all"
    )
    caption = (
        "Training samples of each class on a logarithmic scale, the most frequent class first; in "
        "brackets the number of classes of a group."
    )
    return InlineFigure(inline(class_counts(view.counts), "class-counts", label), caption)
