"""Learning curves of a table's rows: how far from its end a budget leaves them."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from longtail.experiments.paper.tables import CellRow
from longtail.record import read_lines

Curve = dict[int, float]
"""Epoch -> balanced accuracy, per cent."""

LAST = 0.25
"""Part of training that the slope is taken over."""


def curve(folder: Path) -> Curve:
    """Live accuracy of a run at the epochs that it was taken."""
    return {
        line["epoch"]: 100 * line["accuracy"]["balanced_accuracy"]
        for line in read_lines(folder / "log.jsonl")
        if "accuracy" in line
    }


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Mean over runs at the epochs that all of them have."""
    shared = set.intersection(*map(set, curves)) if curves else set()
    return {epoch: float(np.mean([one[epoch] for one in curves])) for epoch in sorted(shared)}


def last_slope(values: Curve) -> float | None:
    """Points an epoch over the last quarter, by least squares; None for fewer than two points."""
    last = max(values, default=0)
    points = [(epoch, value) for epoch, value in values.items() if epoch >= (1 - LAST) * last]
    if len(points) < 2:
        return None
    epochs, accuracies = np.array(points).T
    return float(np.polyfit(epochs, accuracies, 1)[0])


def curves_of(rows: Sequence[CellRow]) -> dict[str, Curve]:
    """Each row's mean curve over its seeds, of the rows that have one."""
    means = {
        row.cell.label: mean_curve([curve(folder) for folder in row.folders.values()])
        for row in rows
    }
    return {label: values for label, values in means.items() if values}


def draw_curves(curves: Mapping[str, Curve], title: str) -> bytes:
    """The curves as an SVG; equal curves give equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    # A fixed salt and no date: drawn again, the file does not change.
    with matplotlib.rc_context({"svg.hashsalt": "longtail", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(
            xlabel="epoch", ylabel="balanced accuracy on test, per cent", title=title
        )
        for number, (label, values) in enumerate(curves.items()):
            # Ten colours are not enough for every table: the line tells those of one colour apart.
            line = ("-", "--", ":")[number // 10 % 3]
            axes.plot(*zip(*values.items(), strict=True), line, marker=".", label=label)
        axes.grid(alpha=0.3)
        figure.legend(fontsize="small", loc="outside right upper", frameon=False)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
