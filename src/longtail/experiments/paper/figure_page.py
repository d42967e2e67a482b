"""Figure 3's section of the page: maps of one seed, numbers of all of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from longtail.experiments.ledger import Entry
from longtail.experiments.paper.cells import by_dataset
from longtail.experiments.paper.figure3 import Panel, draw_maps, map_of, measured, number_lines
from longtail.experiments.paper.page import Asked, provenance, title_of, with_section
from longtail.experiments.paper.tables import CellRow, rows_for
from longtail.experiments.table import facts
from longtail.record import read_predictions, write_atomically


def write_figure(path: Path, asked: Asked, entries: Sequence[Entry]) -> None:
    """Write the section into the page at `path`, with its pictures beside it.

    Args:
        path: of the page, made if missing; its other sections are kept.
        asked: what the section is of.
        entries: of its tasks.

    Raises:
        CheckpointError: the predictions of a run are missing.
        DataError: they have no embeddings, as those of runs that were kept for a page.
    """
    lines = list(section(asked, entries, path))
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    write_atomically(path, with_section(before, asked.key, lines).encode())


def section(asked: Asked, entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """The section; pictures are written beside `path` on the way."""
    yield f"## {title_of(asked)}"
    yield ""
    for data, cells in by_dataset(asked.cells):
        rows = [row for row in rows_for(asked.table, cells, entries) if row.row]
        yield f"### {data}"
        yield ""
        if not rows:
            yield "Nothing is trained yet."
            yield ""
            continue
        picture = f"{path.stem}-{asked.key}-{data}.svg"
        write_atomically(
            path.with_name(picture), draw_maps([map_of(panel(r, min(r.folders))) for r in rows])
        )
        yield f"![t-SNE of the test embeddings on {data}]({picture})"
        yield ""
        numbers = [measured([panel(row, seed) for seed in row.folders]) for row in rows]
        yield from number_lines([(r.cell.label, n) for r, n in zip(rows, numbers, strict=True)])
        yield ""
        found = [row.row for row in rows if row.row]
        yield from (f"- {line}" for line in (*facts(found), *provenance(rows)))
        yield ""
    yield from (f"- {note}" for note in asked.table.notes)
    yield ""
    yield "This section is written by"
    yield ""
    yield f"    {asked.command('--write', 'FILE.md')}"
    yield ""
    yield "from the runs themselves: records that are kept beside the page have no embeddings."
    yield ""


def panel(row: CellRow, seed: int) -> Panel:
    """The run of a row with a seed."""
    assert row.row is not None
    return Panel(
        f"{row.cell.label}, seed {seed}",
        row.row.records[seed],
        read_predictions(row.folders[seed] / "predictions-test.npz"),
    )
