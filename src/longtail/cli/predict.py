"""`longtail predict`."""

from pathlib import Path
from typing import Annotated

import typer


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    images: Annotated[list[Path], typer.Argument(help="Picture files, or folders of them.")],
    top_k: Annotated[int, typer.Option(min=1, help="Classes a picture.")] = 1,
) -> None:
    """Print the most probable classes of pictures, tab-separated: file, class, probability, ..."""
    from longtail.data.decode import picture_files
    from longtail.errors import printable
    from longtail.run import load

    for prediction in load(run).predict(picture_files(images), top_k):
        names = map(printable, prediction.classes)
        pairs = zip(names, prediction.probabilities, strict=True)
        shown = (f"{name}\t{p:.4f}" for name, p in pairs)
        typer.echo("\t".join([printable(prediction.source), *shown]))
