"""The command line: one file a verb, each parses, calls one function and prints.

Nothing heavy is imported before a verb runs, so that help answers at once.
"""

import sys

import typer

from longtail import __version__
from longtail.cli import data, demo, evaluate, methods, predict, train
from longtail.errors import LongtailError

app = typer.Typer(
    name="longtail",
    help="Train classifiers that also work on rare classes. --version prints the version.",
    no_args_is_help=True,
    # Options of the group are parsed by pydantic, whose import would slow down every verb's help.
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(predict.predict)
app.command()(methods.methods)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; an error a person can mend becomes a message and an exit code."""
    if sys.argv[1:] == ["--version"]:
        print(f"longtail {__version__}")
        sys.exit(0)
    try:
        app()
    except LongtailError as error:
        print(f"longtail: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; that is no failure of ours.
        sys.stderr.close()
        sys.exit(0)
