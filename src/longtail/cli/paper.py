"""`longtail paper`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from longtail.cli.options import (
    AcceptSource,
    Address,
    Also,
    Device,
    EngineName,
    Gpus,
    Jobs,
    Threads,
)
from longtail.cli.train import Precision, RecipeName


class What(StrEnum):
    """What of the paper."""

    table1 = "table1"
    table2 = "table2"
    figure3 = "figure3"


class BudgetName(StrEnum):
    """Choices of --budget."""

    paper = "paper"
    small = "small"
    minutes = "minutes"


def paper(
    what: Annotated[What, typer.Argument(help="table1, table2 or figure3.")],
    budget: Annotated[
        BudgetName, typer.Option(help="paper: the full setting; small, minutes: for two cores.")
    ] = BudgetName.small,
    data: Annotated[list[str] | None, typer.Option(help="Of these data alone.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many, from 0.")] = 3,
    cell: Annotated[
        list[str] | None, typer.Option(metavar="METHOD/DATA", help="These cells alone.")
    ] = None,
    recipe: Annotated[
        RecipeName, typer.Option(help="common, or paper: each method's own.")
    ] = RecipeName.common,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/paper"),
    also: Also = None,
    accept_source: AcceptSource = False,
    engine: EngineName = EngineName.local,
    address: Address = None,
    jobs: Jobs = None,
    threads: Threads = None,
    gpus: Gpus = 0,
    device: Device = "auto",
    precision: Precision = Precision.auto,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is done and what would be trained.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option(help="Put the table into this page; trains nothing.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Copy what the page needs of each run; trains nothing.")
    ] = None,
) -> None:
    """Repeat the paper's experiments; its numbers, ours and the difference as a table."""
    from longtail.experiments.engines import engine_named, machine_share
    from longtail.experiments.paper import show
    from longtail.experiments.paper.budgets import find_budget
    from longtail.experiments.paper.cells import TABLES, chosen_cells
    from longtail.experiments.paper.page import Asked
    from longtail.experiments.paper.tables import plan_cells

    table = TABLES[what.value]
    if write:
        show.check_page(out, [*(data or []), *(cell or [])])
    cells = chosen_cells(table, data=data or [], cells=cell or [])
    asked = Asked(table, find_budget(budget.value), cells, seeds, recipe.value, precision.value)
    share = machine_share(jobs, threads, device, len(cells) * seeds)
    how = {
        "device": device,
        "precision": precision.value,
        "threads": share.threads,
        "recipe": recipe.value,
    }
    planned = plan_cells(cells, asked.budget, range(seeds), out, how)
    places = show.Places(out, tuple(also or ()), accept_source=accept_source)
    if dry_run or write or keep:
        page, kept = (None, None) if dry_run else (write, keep)
        lines = show.looked_at(asked, planned, places, listed=dry_run, page=page, kept=kept)
        typer.echo("\n".join(lines))
        return
    run = engine_named(engine.value, share, address=address, gpus=gpus)
    done = show.trained(planned, places, run)
    typer.echo("\n".join(show.report(asked, planned, done)))
    raise typer.Exit(0 if show.complete(asked, planned, done) else 1)
