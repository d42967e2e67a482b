"""Options that the verbs of many runs share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class EngineName(StrEnum):
    """Choices of --engine."""

    local = "local"
    ray = "ray"


Also = Annotated[list[Path] | None, typer.Option(help="Further folder of runs that may serve.")]
AcceptSource = Annotated[
    bool,
    typer.Option(
        "--accept-source", help="Take verified runs of another version of the code for done."
    ),
]
Address = Annotated[
    str | None, typer.Option(help="Of a Ray cluster; a local one is started when left out.")
]
Jobs = Annotated[int | None, typer.Option(help="Runs at a time; as many as cores, or 1 on a GPU.")]
Threads = Annotated[int | None, typer.Option(help="Of each run; the cores, shared.")]
Gpus = Annotated[float, typer.Option(help="GPUs of each run, with Ray; 0.25 shares one.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
