"""`longtail bench`."""

from pathlib import Path
from typing import Annotated, Any

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


def bench(
    grid: Annotated[
        Path | None,
        typer.Argument(help="YAML: data, methods, seeds, set, vary, epochs, imbalance, ..."),
    ] = None,
    data: Annotated[list[str] | None, typer.Option(help="Once for each table.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Once for each row.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many, from 0; 3 when left out.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KNOB=VALUE", help="Of every row.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KNOB=VALUE,VALUE", help="A row for each value."),
    ] = None,
    recipe: Annotated[RecipeName | None, typer.Option(help="As in `longtail train`.")] = None,
    backbone: Annotated[str | None, typer.Option(help="As in `longtail train`.")] = None,
    epochs: Annotated[list[int] | None, typer.Option(help="Once for each table.")] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    imbalance: Annotated[list[float] | None, typer.Option(help="Once for each table.")] = None,
    holdout: Annotated[str | None, typer.Option(help="As in `longtail train`.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The row that others are compared with; the first.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs and the table.")] = Path(
        "runs/bench"
    ),
    also: Also = None,
    accept_source: AcceptSource = False,
    engine: EngineName = EngineName.local,
    address: Address = None,
    jobs: Jobs = None,
    threads: Threads = None,
    gpus: Gpus = 0,
    device: Device = "auto",
    precision: Annotated[
        Precision | None, typer.Option(help="Of every row that states none of its own.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Train nothing: print what is done, what would be trained, and the tables so far.",
        ),
    ] = False,
) -> None:
    """Train a grid of methods, data, knobs and seeds; interrupted, the same command goes on."""
    from longtail.experiments.bench import run_tasks, summary_lines
    from longtail.experiments.engines import engine_named, machine_share
    from longtail.experiments.grid import as_grid, baseline_of, jobs_of, read_grid
    from longtail.experiments.job import plan_tasks
    from longtail.experiments.ledger import survey
    from longtail.experiments.live import display
    from longtail.experiments.table import markdown_tables
    from longtail.record import write_atomically

    flags: dict[str, Any] = {
        "data": data,
        "methods": method,
        "seeds": seeds,
        "set": _assignments(set_),
        "vary": {name: value.split(",") for name, value in _assignments(vary).items()},
        "recipe": recipe.value if recipe else None,
        "backbone": backbone,
        "epochs": epochs,
        "batch_size": batch_size,
        "imbalance": imbalance,
        "holdout": holdout,
        "precision": precision.value if precision else None,
        "baseline": baseline,
    }
    written = read_grid(grid) if grid else {}
    given = {name: value for name, value in flags.items() if value not in (None, [], {})}
    if "set" in given and isinstance(written.get("set"), dict):
        given["set"] = {**written["set"], **given["set"]}
    wanted = as_grid({**written, **given})
    compared_with = baseline_of(wanted)
    share = machine_share(jobs, threads, device, len(jobs_of(wanted)))
    how = {"device": device, "threads": share.threads}
    tasks = list(plan_tasks(jobs_of(wanted, how), out))
    if dry_run:
        found = []
        for entry in survey(tasks, out, also=also or [], accept_source=accept_source):
            typer.echo(f"{entry.state:8} {entry.task.folder.name}  {entry.note}".rstrip())
            found.append(entry)
        typer.echo("\n".join(markdown_tables(found, compared_with)))
        return
    done = run_tasks(
        tasks,
        out,
        engine_named(engine.value, share, address=address, gpus=gpus),
        also=also or [],
        accept_source=accept_source,
        display=display(),
    )
    typer.echo("\n".join(summary_lines(done)))
    lines = list(markdown_tables(done.done, compared_with))
    write_atomically(out / "table.md", "\n".join([*lines, ""]).encode())
    typer.echo("\n".join(lines))
    raise typer.Exit(1 if len(done.done) < len(tasks) else 0)


def _assignments(words: list[str] | None) -> dict[str, str]:
    from longtail.methods.resolve import parse_assignments

    return parse_assignments(words or [])
