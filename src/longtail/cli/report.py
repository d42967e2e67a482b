"""`longtail report`."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="The folder of a run; several, to compare them; or a folder of runs, for an index."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The page's file; report.html in the run, comparison.html beside several runs, "
            "index.html in a folder of runs."
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Run to hold one run against; a ce run beside it when left out."),
    ] = None,
    points: Annotated[
        int, typer.Option(min=4, help="Points of the embedding map, at most.")
    ] = 3000,
    figures: Annotated[
        Path | None, typer.Option(help="Folder that gets every figure of one run as SVG and PNG.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print each run's summary as Markdown.")
    ] = False,
) -> None:
    """Write a page to look at: one run, several side by side, or a folder of them."""
    from longtail.errors import UsageError, printable
    from longtail.report.summary import summary
    from longtail.report.write import build_page, write_figures, write_page

    built = build_page(runs, out, baseline=baseline, map_points=points)
    if figures is not None and len(built.views) != 1:
        raise UsageError("--figures draws the figures of one run; name one finished run.")
    for problem in built.problems:
        typer.echo(printable(problem), err=True)
    if markdown:
        typer.echo("\n".join(map(summary, built.views)), nl=False)
    typer.echo(f"To look at it: {write_page(built.path, built.html)}", err=markdown)
    if figures is not None:
        written = write_figures(built.views[0], figures)
        typer.echo(f"{len(written)} figures in {figures}", err=markdown)
