"""`longtail data`: look at data and cut them, before training."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Look at data, or cut them to a long tail.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def inspect(
    data: Annotated[str, typer.Argument(help="What `longtail train` takes.")],
    imbalance: Annotated[float | None, typer.Option(help="As for `longtail train`.")] = None,
    holdout: Annotated[str | None, typer.Option(help="As for `longtail train`.")] = None,
    image_size: Annotated[int | None, typer.Option(help="As for `longtail train`.")] = None,
) -> None:
    """Show class counts, imbalance, unreadable files and identical pictures."""
    from longtail.data.inspection import inspect as inspect_dataset
    from longtail.data.inspection import render, unreadable_files
    from longtail.data.load import SOURCES, load_dataset
    from longtail.data.sources.folder import file_names
    from longtail.errors import DataError

    path = Path(data).expanduser()
    class_folders = data not in SOURCES and (path.is_dir() or path.suffix == ".zip")
    unreadable = unreadable_files(path) if class_folders else []
    if unreadable:
        # Nothing else can be counted before they are gone, so all of them are named at once.
        listed = "\n".join(f"  {name}: {reason}" for name, reason in unreadable)
        raise DataError(f"{len(unreadable)} pictures in {data} cannot be read:\n{listed}")
    dataset = load_dataset(data, imbalance=imbalance, holdout=holdout, image_size=image_size)
    names = file_names(path) if class_folders else None
    typer.echo("\n".join(render(inspect_dataset(dataset), names)))


@app.command()
def cut(
    data: Annotated[str, typer.Argument(help="What `longtail train` takes.")],
    out: Annotated[Path, typer.Option(help="A .npz file (one dataset, lossless) or a folder.")],
    imbalance: Annotated[
        float | None, typer.Option(help="Ratio of the largest class to the smallest.")
    ] = None,
) -> None:
    """Cut a dataset to an exponential long tail and write it, with its hash."""
    from longtail.data.archive import write_archive, write_folders
    from longtail.data.load import load_dataset
    from longtail.errors import UsageError

    if out.exists():
        raise UsageError(f"{out} exists already; remove it, or give --out another name.")
    dataset = load_dataset(data, imbalance=imbalance)
    if dataset.discarded is None:
        raise UsageError(f"{data} has no cut of its own; add e.g. --imbalance 100.")
    write = write_archive if out.suffix == ".npz" else write_folders
    write(dataset, out)
    typer.echo("\n".join(dataset.notes))
    typer.echo(f"{out}: {len(dataset.train):,} training samples, data hash {dataset.data_hash}")
