"""`longtail tune`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from longtail.cli.train import Precision, RecipeName


class ObjectiveName(StrEnum):
    """Choices of --objective."""

    auto = "auto"
    last = "last"
    selected = "selected"


def tune(
    data: Annotated[str, typer.Argument(help="As `longtail train` takes it.")],
    method: Annotated[str, typer.Option(help="See `longtail methods`.")] = "rcl",
    trials: Annotated[int, typer.Option(help="In all; the same command goes on.")] = 20,
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KNOB=LOW:HIGH[:log]", help="What is searched; all that the method declares."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KNOB=VALUE", help="Set for every trial."),
    ] = None,
    recipe: Annotated[
        RecipeName, typer.Option(help="The same training for all methods, or the paper's own.")
    ] = RecipeName.common,
    holdout: Annotated[
        str | None,
        typer.Option(
            help="0.1, or discarded:20 for a cut dataset: what is chosen on; by the data."
        ),
    ] = None,
    objective: Annotated[
        ObjectiveName,
        typer.Option(help="Hold-out accuracy at the epoch that a run reports, last or selected."),
    ] = ObjectiveName.auto,
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="Give up trials below the median.")
    ] = True,
    backbone: Annotated[str | None, typer.Option(help="As for `longtail train`.")] = None,
    epochs: Annotated[int | None, typer.Option(help="The recipe's when left out.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="The recipe's when left out.")] = None,
    seed: Annotated[int, typer.Option(help="Of every trial, and of what is tried.")] = 0,
    imbalance: Annotated[
        float | None, typer.Option(help="Cut the data to this ratio of largest to smallest class.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side in pixels that class folders are resized to.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    threads: Annotated[int | None, typer.Option(help="Of the CPU; every core.")] = None,
    precision: Annotated[Precision, typer.Option()] = Precision.auto,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL",
            help="Journal file, or postgresql://... for many machines; OUT/study.journal.",
        ),
    ] = None,
    study: Annotated[str | None, typer.Option(help="Its name in the storage; DATA-METHOD.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; runs/tune-DATA-METHOD.")] = None,
    accept_source: Annotated[
        bool, typer.Option("--accept-source", help="Go on with a study of other numeric sources.")
    ] = False,
) -> None:
    """Search a method's knobs on a hold-out, never on test; the same command goes on with it."""
    from longtail.experiments.tune import tune as search_knobs
    from longtail.methods.resolve import parse_assignments
    from longtail.request import Request

    request = Request(
        data=data,
        method=method,
        seed=seed,
        knobs=parse_assignments(set_ or []),
        recipe=recipe.value,
        backbone=backbone,
        epochs=epochs,
        batch_size=batch_size,
        imbalance=imbalance,
        holdout=holdout,
        image_size=image_size,
        device=device,
        precision=precision.value,
        threads=threads,
    )
    search_knobs(
        request,
        trials=trials,
        search=search or [],
        objective=objective.value,
        prune=prune,
        storage=storage,
        study=study,
        out=out,
        accept_source=accept_source,
        tell=typer.echo,
    )
