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
    from longtail.data.inspect import inspection_lines

    lines = inspection_lines(data, imbalance=imbalance, holdout=holdout, image_size=image_size)
    typer.echo("\n".join(lines))


@app.command()
def cut(
    data: Annotated[str, typer.Argument(help="What `longtail train` takes.")],
    out: Annotated[Path, typer.Option(help="A .npz file (one dataset, lossless) or a folder.")],
    imbalance: Annotated[
        float | None, typer.Option(help="Ratio of the largest class to the smallest.")
    ] = None,
) -> None:
    """Cut a dataset to an exponential long tail and write it, with its hash."""
    from longtail.data.archive import write_cut
    from longtail.data.load import load_dataset

    dataset = load_dataset(data, imbalance=imbalance)
    write_cut(dataset, out)
    typer.echo(f"{out}: {len(dataset.train):,} training pictures, hash {dataset.data_hash}")
