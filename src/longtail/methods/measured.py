"""Our own numbers, as the benchmarks wrote them: never typed by hand."""

import dataclasses
import json
from importlib import resources


@dataclasses.dataclass(frozen=True)
class Measured:
    """Balanced accuracy of a method on a test split, per cent, over several seeds.

    Attributes:
        method: its name.
        data: name of the data.
        budget: backbone, epochs and batch, in words.
        seeds: of the runs.
        mean: over the seeds.
        std: between the seeds, with one degree of freedom less; None for a single one.
        revision: of the code that trained.
        hardware: that it trained on.
        page: where the whole table is.
    """

    method: str
    data: str
    budget: str
    seeds: tuple[int, ...]
    mean: float
    std: float | None
    revision: str
    hardware: str
    page: str


def measured(method: str) -> list[Measured]:
    """Every result of a method that comes with this version."""
    text = resources.files("longtail.methods").joinpath("measured.json").read_text("utf-8")
    rows = (Measured(**{**row, "seeds": tuple(row["seeds"])}) for row in json.loads(text))
    return [row for row in rows if row.method == method]
