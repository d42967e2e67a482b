"""Pages, figures and where they go."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from longtail.errors import CheckpointError, DataError, UsageError
from longtail.metrics.embedding import POINTS
from longtail.record import write_atomically
from longtail.report.baseline import with_baseline
from longtail.report.comparison import comparison
from longtail.report.comparison.compared import compared
from longtail.report.index import index
from longtail.report.runs import open_runs
from longtail.report.sections import report
from longtail.report.unfinished import unfinished
from longtail.report.view import RunView, is_run, open_run, placeless

_MARK = b'<meta name="generator" content="longtail">'
_HEAD = 1000

PAGE, COMPARISON, INDEX = "report.html", "comparison.html", "index.html"


class BuiltPage(NamedTuple):
    """A page that is not written yet.

    Attributes:
        html: the page.
        path: where it goes.
        views: the finished runs on it that could be read.
        problems: what could not, in sentences; they are on the page as well.
    """

    html: str
    path: Path
    views: tuple[RunView, ...]
    problems: tuple[str, ...]


def build_page(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    baseline: Path | None = None,
    map_points: int = POINTS,
) -> BuiltPage:
    """The page of one run, of several, or of a folder of runs.

    Args:
        folders: of runs; or a single one that is no run itself, whose runs are listed then.
        out: the page's file; report.html in the run's folder, comparison.html beside several runs
            and index.html in a folder of runs when left out.
        baseline: folder of the run that a single one is held against; one is looked for beside it
            when left out.
        map_points: points of the embedding map, at most.

    Raises:
        CheckpointError: there is nothing to show.
        UsageError: a baseline of other data, or one for several runs.
    """
    if len(folders) > 1:
        if baseline is not None:
            raise UsageError("--baseline is for one run; several are compared with each other.")
        return _to(out, _side_by_side(folders))
    (folder,) = folders
    if folder.is_dir() and not is_run(folder):
        path = out or folder / INDEX
        return BuiltPage(index(folder, path), path, (), ())
    return _to(out, _of_one(folder, baseline, map_points))


def _to(out: Path | None, built: BuiltPage) -> BuiltPage:
    return built if out is None else built._replace(path=out)


def _of_one(folder: Path, baseline: Path | None, map_points: int) -> BuiltPage:
    try:
        view = open_run(folder, map_points=map_points)
    except CheckpointError as error:
        return _unfinished(folder, error)
    view = with_baseline(view, baseline)
    return BuiltPage(report(view), folder / PAGE, (view,), view.problems)


def _unfinished(folder: Path, error: CheckpointError) -> BuiltPage:
    """What can be shown all the same; if there is nothing, the error stands."""
    html = unfinished(folder, placeless(str(error), folder))
    if html is None:
        raise error
    return BuiltPage(html, folder / PAGE, (), (str(error),))


def _side_by_side(folders: Sequence[Path]) -> BuiltPage:
    views, problems = open_runs(folders)
    parent = Path(os.path.commonpath([folder.resolve().parent for folder in folders]))
    html = comparison(views, problems)
    told = (*problems, *compared(views).problems)
    return BuiltPage(html, parent / COMPARISON, tuple(views), told)


def write_page(path: Path, html: str) -> Path:
    """Write a page whole or not at all, an older one replaced, and return where.

    Raises:
        UsageError: a file that is no page of ours lies there.
        CheckpointError: it cannot be written.
    """
    check_replaceable(path)
    write_atomically(path, html.encode())
    return path


def check_replaceable(path: Path) -> None:
    """Refuse a file that is there and that no page of ours may replace.

    Raises:
        UsageError: it is none of our pages.
    """
    if path.is_file() and _MARK not in path.read_bytes()[:_HEAD]:
        raise UsageError(f"{path} exists and is no page of longtail; name another file.")


def write_figures(view: RunView, folder: Path) -> list[Path]:
    """Write every figure of a run as SVG and PNG, and return the files.

    Raises:
        DataError: the folder cannot be made.
    """
    from longtail.report.figures.svg import save
    from longtail.report.run_figures import FIGURES

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}); name another.") from error
    drawn = {name: draw(view) for name, draw in FIGURES.items()}
    return [path for name, figure in drawn.items() if figure for path in save(figure, folder, name)]
