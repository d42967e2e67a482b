"""`longtail data`: look at data and cut them, before training."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from longtail.data.dataset import Dataset
    from longtail.inspection.summary import FileNames, Inspection

app = typer.Typer(
    help="Look at data, or cut them to a long tail.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def inspect(
    data: Annotated[str, typer.Argument(help="What `longtail train` takes.")],
    imbalance: Annotated[float | None, typer.Option(help="As for `longtail train`.")] = None,
    holdout: Annotated[str | None, typer.Option(help="As for `longtail train`.")] = None,
    image_size: Annotated[int | None, typer.Option(help="As for `longtail train`.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page to look at, with near-duplicates and odd samples too; an older one "
            "is replaced.",
        ),
    ] = None,
) -> None:
    """Show class counts, imbalance, unreadable files and identical pictures."""
    from longtail.data.load import SOURCES, load_dataset
    from longtail.data.sources.folder import file_names
    from longtail.inspection.summary import inspect as inspect_dataset
    from longtail.inspection.summary import look_at_files, render

    if html is not None:
        _check_place(html)
    path = Path(data).expanduser()
    class_folders = data not in SOURCES and (path.is_dir() or path.suffix == ".zip")
    files = look_at_files(path) if class_folders else None
    if files and files.unreadable:
        _refuse(data, files.unreadable, html)
    dataset = load_dataset(data, imbalance=imbalance, holdout=holdout, image_size=image_size)
    inspection = inspect_dataset(dataset)
    names = file_names(path) if class_folders else {}
    typer.echo("\n".join(render(inspection, names)))
    if html is not None:
        _write(html, dataset, inspection, names, files.sizes if files else {})


def _refuse(data: str, unreadable: list[tuple[str, str]], html: Path | None) -> NoReturn:
    """Nothing else can be counted before they are gone, so all of them are named at once."""
    from longtail.errors import DataError

    if html is not None:
        from longtail.report.dataset import unreadable_page
        from longtail.report.write import write_page

        write_page(html, unreadable_page(Path(data).name, unreadable))
    listed = "\n".join(f"  {name}: {reason}" for name, reason in unreadable)
    raise DataError(f"{len(unreadable)} pictures in {data} cannot be read:\n{listed}")


def _write(
    html: Path,
    dataset: "Dataset",
    inspection: "Inspection",
    names: "FileNames",
    sizes: Mapping[str, tuple[int, int]],
) -> None:
    """Near-duplicates take seconds, so they are looked for with a page only."""
    from longtail.inspection.facts import facts_of
    from longtail.inspection.near_duplicates import comparable, near_duplicates
    from longtail.report.dataset import dataset_page
    from longtail.report.write import write_page

    near = near_duplicates(dataset, inspection.duplicates) if comparable(dataset) else None
    if near is not None:
        typer.echo(near.summary())
    facts = facts_of(dataset, inspection, near, names=names, sizes=sizes)
    write_page(html, dataset_page(facts))
    typer.echo(f"To look at it: {html}")


def _check_place(html: Path) -> None:
    """Said before minutes are spent on what could not be written."""
    from longtail.errors import UsageError
    from longtail.report.write import check_replaceable

    if html.is_dir():
        raise UsageError(
            f"{html} is a folder; give --html a file in it, such as {html / 'x.html'}."
        )
    if not html.parent.is_dir():
        raise UsageError(f"There is no folder {html.parent} for {html.name}; make it first.")
    check_replaceable(html)


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
