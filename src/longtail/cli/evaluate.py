"""`longtail evaluate`."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    data: Annotated[
        str | None, typer.Argument(help="Data with the same classes; the run's own when left out.")
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Each class, with its 95 % interval.")
    ] = False,
) -> None:
    """Print a run's metrics on its test split, or measure them on other data."""
    from longtail.cli.show import class_lines, metrics_lines
    from longtail.run import load

    finished = load(run)
    evaluation = finished.evaluate(data)
    typer.echo("\n".join(metrics_lines(data or finished.record.data.name, evaluation.metrics)))
    if per_class:
        typer.echo("\n".join(class_lines(finished.record, evaluation)))
