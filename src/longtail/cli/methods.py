"""`longtail methods`."""

from typing import Annotated

import typer


def methods(
    name: Annotated[
        str | None, typer.Argument(help="One method's page; all when left out.")
    ] = None,
) -> None:
    """List the methods, or show one with its knobs, sources and published numbers."""
    from longtail.cli.show import method_page, methods_table

    typer.echo("\n".join(method_page(name) if name else methods_table()))
