"""`longtail train`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class RecipeName(StrEnum):
    """Choices of --recipe."""

    common = "common"
    paper = "paper"


class Precision(StrEnum):
    """Choices of --precision."""

    auto = "auto"
    bf16 = "bf16"
    fp32 = "fp32"


class CompileSwitch(StrEnum):
    """Choices of --compile."""

    auto = "auto"
    on = "on"
    off = "off"


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="cifar10-lt, cifar100-lt, digits-lt, a folder or .zip of class folders, or .npz."
        ),
    ],
    method: Annotated[str, typer.Option(help="See `longtail methods`.")] = "rcl",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KNOB=VALUE", help="See `longtail methods NAME`."),
    ] = None,
    recipe: Annotated[
        RecipeName, typer.Option(help="The same training for all methods, or the paper's own.")
    ] = RecipeName.common,
    backbone: Annotated[
        str | None, typer.Option(help="resnet32, resnet8-w8, mlp, timm:NAME; by the data.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="The recipe's when left out.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="The recipe's when left out.")] = None,
    seed: Annotated[int, typer.Option(help="Of the weights and every draw.")] = 0,
    imbalance: Annotated[
        float | None, typer.Option(help="Cut the data to this ratio of largest to smallest class.")
    ] = None,
    holdout: Annotated[
        str | None,
        typer.Option(help="0.1, or discarded:20 for a cut dataset: what the epoch is chosen on."),
    ] = None,
    eval_every: Annotated[
        int | None, typer.Option(help="Epochs between two live accuracies.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side in pixels that class folders are resized to.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    threads: Annotated[int | None, typer.Option(help="Of the CPU; every core.")] = None,
    precision: Annotated[Precision, typer.Option()] = Precision.auto,
    compile_: Annotated[CompileSwitch, typer.Option("--compile")] = CompileSwitch.auto,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/DATA-METHOD-sSEED.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an existing run.")] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write no report.html into the run's folder.")
    ] = False,
) -> None:
    """Train a method on data; leaves a run folder with its record, log, predictions and model."""
    from longtail.cli.show import choices_lines, metrics_lines
    from longtail.launch import train as train_run
    from longtail.methods.resolve import parse_assignments

    run = train_run(
        data,
        method,
        seed=seed,
        knobs=parse_assignments(set_ or []),
        recipe=recipe.value,
        backbone=backbone,
        epochs=epochs,
        batch_size=batch_size,
        imbalance=imbalance,
        holdout=holdout,
        image_size=image_size,
        eval_every=eval_every,
        device=device,
        precision=precision.value,
        threads=threads,
        compile=compile_.value,
        out=out,
        resume=resume,
    )
    measured = run.record.metrics
    for name, metrics in (("test", measured.test), ("hold-out", measured.holdout)):
        if metrics is not None:
            typer.echo("\n".join(metrics_lines(name, metrics)))
    for line in (*choices_lines(run.record), f"Kept in {run.folder}"):
        typer.echo(line)
    if not no_report:
        typer.echo(_reported(run.folder))


def _reported(folder: Path) -> str:
    """Write the report and say where; a run is finished whether or not that succeeds."""
    from longtail.report.write import build_page, write_page

    try:
        built = build_page([folder])
        return f"To look at it: {write_page(built.path, built.html)}"
    except Exception as error:
        # Whatever it is, a training that took hours has not failed because of a picture of it.
        return f"Its report could not be written: {error or type(error).__name__}"
