"""`longtail demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the table and the picture.")] = Path(
        "runs/demo"
    ),
) -> None:
    """Train CE, logit adjustment, BCL and RCL on a long tail of digits: a minute on two cores."""
    from longtail.experiments.demo import run_demo

    for line in run_demo(out):
        typer.echo(line)
