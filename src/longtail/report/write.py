"""Pages, figures and where they go."""

from pathlib import Path

from longtail.errors import DataError
from longtail.record import write_atomically
from longtail.report.baseline import with_baseline
from longtail.report.single import report
from longtail.report.view import RunView, open_run

PAGE = "report.html"


def write_report(folder: Path, out: Path | None = None, *, baseline: Path | None = None) -> Path:
    """Write the page of one run, and return where.

    Args:
        folder: of a finished run.
        out: the page's file; FOLDER/report.html when left out. An older page is replaced.
        baseline: folder of the run it is held against; one is looked for beside it when left out.

    Raises:
        CheckpointError: no finished run in the folder, or the page cannot be written.
        UsageError: the baseline is on other data.
    """
    return write_page(report(with_baseline(open_run(folder), baseline)), out or folder / PAGE)


def write_page(html: str, path: Path) -> Path:
    """Write a page whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    write_atomically(path, html.encode())
    return path


def write_figures(view: RunView, folder: Path) -> list[Path]:
    """Write every figure of a run as SVG and PNG, and return the files.

    Raises:
        DataError: the folder cannot be made.
    """
    from longtail.report.figures import FIGURES
    from longtail.report.figures.svg import save

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}); name another.") from error
    drawn = {name: draw(view) for name, draw in FIGURES.items()}
    return [path for name, figure in drawn.items() if figure for path in save(figure, folder, name)]
