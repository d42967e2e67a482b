"""`longtail evaluate`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from longtail.record import Record


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    data: Annotated[
        str | None, typer.Argument(help="Data with the same classes; the run's own when left out.")
    ] = None,
    la_tau: Annotated[
        float,
        typer.Option(help="Post-hoc logit adjustment of a run that was trained without a prior."),
    ] = 0.0,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Also each class, with its 95 % interval.")
    ] = False,
) -> None:
    """Print a run's metrics on its test split, or measure them on other data."""
    from longtail.cli.show import choices_lines, metrics_lines
    from longtail.metrics import summarise_confusion
    from longtail.run import load

    finished = load(run)
    confusion = finished.confusion(data, la_tau=la_tau)
    metrics = summarise_confusion(confusion, finished.record.data.train_counts)
    adjusted = f", logits adjusted by la_tau {la_tau:g}" if la_tau else ""
    name = f"{data or finished.record.data.name} ({confusion.sum():,} samples{adjusted})"
    own = choices_lines(finished.record) if data is None else []
    typer.echo("\n".join([*metrics_lines(name, metrics), *own]))
    if per_class:
        typer.echo("\n".join(_class_lines(finished.record, confusion)))


def _class_lines(record: "Record", confusion: Any) -> Iterator[str]:
    """Each class from the most frequent to the rarest: counts, accuracy, its usual confusion."""
    import numpy as np

    from longtail.cli.show import percent
    from longtail.errors import printable
    from longtail.metrics import wilson_interval

    names = [printable(name) for name in record.data.class_names]
    counts = np.asarray(record.data.train_counts)
    correct, total = np.diagonal(confusion), confusion.sum(1)
    low, high = wilson_interval(correct, total)
    mistakes = confusion - np.diag(correct)
    width = min(24, max(map(len, names)))
    yield f"{'class':{width}}  train   test   accuracy [95 % interval]   most often taken for"
    for c in np.argsort(-counts, kind="stable"):
        share = percent(correct[c] / total[c] if total[c] else None)
        interval = f"[{percent(low[c])}, {percent(high[c])}]" if total[c] else ""
        worst = int(mistakes[c].argmax())
        taken_for = f"{names[worst]} ({mistakes[c, worst]})" if mistakes[c, worst] else ""
        yield (
            f"{names[c][:width]:{width}}  {counts[c]:5,}  {total[c]:5,}   "
            f"{share:>5} {interval:18}  {taken_for}"
        )
