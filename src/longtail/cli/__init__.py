"""The command line: one file a verb, each parses, calls one function and prints.

Nothing heavy is imported before a verb runs, so that help answers at once.
"""

import os
import sys

import typer

from longtail.cli import bench, data, demo, evaluate, methods, paper, predict, report, train, tune
from longtail.errors import DataError, LongtailError, printable

app = typer.Typer(
    name="longtail",
    help="Train classifiers that also work on rare classes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(demo.demo)
app.command()(train.train)
app.command()(tune.tune)
app.command()(evaluate.evaluate)
app.command()(predict.predict)
app.command()(methods.methods)
app.command()(report.report)
app.command()(bench.bench)
app.command()(paper.paper)
app.add_typer(data.app, name="data")


def _version(asked: bool) -> None:
    if asked:
        from longtail import __version__

        typer.echo(f"longtail {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version


def dispatch(words: list[str]) -> None:
    """Run the verb that the words begin with, or the group itself.

    The verb is called past its group: parsing even a group's untouched options imports pydantic,
    which a verb's help can do without.
    """
    command, path = typer.main.get_command(app), ["longtail"]
    while words and words[0] in getattr(command, "commands", {}):
        path.append(words[0])
        command = command.commands[words[0]]  # type: ignore[attr-defined]
        words = words[1:]
    command(args=words, prog_name=" ".join(path))


def spare_the_cores() -> None:
    """Have torch's threads wait asleep for each other, after a moment; torch is not imported yet.

    By default those of Linux's OpenMP (libgomp) spin for milliseconds at the end of each operation.
    Beside other busy programs that takes the core from the very thread they wait for
    (docs/results/performance.md, notes/LOG.md); 1,000 turns are microseconds.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def main() -> None:
    """Run the command line; an error a person can mend becomes a message and an exit code."""
    spare_the_cores()
    try:
        dispatch(sys.argv[1:])
    except LongtailError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; that is no failure of ours.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        # A disk that is full, a folder that may not be written: the system's own words say it.
        _complain(error)
        sys.exit(DataError.exit_code)


def _complain(error: Exception) -> None:
    """Print a message, which may quote a folder's or a class's name."""
    print("longtail:", "\n".join(map(printable, str(error).splitlines())), file=sys.stderr)
