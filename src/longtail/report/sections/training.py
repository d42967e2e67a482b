"""How the training went: the loss and the live accuracy, epoch by epoch."""

from collections.abc import Iterator, Sequence

from longtail.record import Record
from longtail.report.epochs import Epoch
from longtail.report.figures.inline import InlineFigure
from longtail.report.figures.svg import inline
from longtail.report.figures.training import live_accuracy, losses
from longtail.report.page import Section, render
from longtail.report.view import RunView
from longtail.report.words import percent, plural

_SPLITS = {"test": "test", "holdout": "the hold-out"}


def training(view: RunView) -> Section | None:
    """Both curves, each where it was logged; None without a log."""
    figures = list(training_figures(view.log, _decided(view.record)))
    if not figures:
        return None
    html = render("sections/training.html.j2", figures=figures)
    return Section("training", "Training", html)


def training_figures(log: Sequence[Epoch], decided: str = "") -> Iterator[InlineFigure]:
    """Live accuracy and loss of one run; of what was not logged none.

    Args:
        log: the epochs, oldest first.
        decided: what the live accuracy decided, as a sentence.
    """
    measured = [line for line in log if _balanced(line) is not None]
    if measured:
        svg = inline(live_accuracy({"": log}), "live-accuracy", _accuracy_label(measured))
        yield InlineFigure(svg, f"{_what_was_watched(measured)} {decided}".rstrip())
    counted = [line for line in log if line["loss"] is not None]
    if counted:
        yield InlineFigure(inline(losses({"": log}), "loss", _loss_label(counted)), _of_what(log))


def _balanced(line: Epoch) -> float | None:
    found: float | None = line.get("accuracy", {}).get("balanced_accuracy")
    return found


def _accuracy_label(measured: Sequence[Epoch]) -> str:
    """The last measured accuracy, and the best."""
    last, best = measured[-1], max(measured, key=lambda line: _balanced(line) or 0)
    return (
        f"Balanced accuracy during training: {percent(_balanced(last))} % after epoch "
        f"{last['epoch']}, at most {percent(_balanced(best))} % after epoch {best['epoch']}"
    )


def _loss_label(counted: Sequence[Epoch]) -> str:
    first, last = counted[0], counted[-1]
    return (
        f"Loss over {plural(last['epoch'], 'epoch')}: from {first['loss']:.3g} in the first "
        f"that is logged to {last['loss']:.3g} in the last"
    )


def _what_was_watched(measured: Sequence[Epoch]) -> str:
    split = _SPLITS.get(measured[0].get("split", ""), "the split that was watched")
    return f"Live accuracy on {split}, balanced and of each group of classes."


def _decided(record: Record) -> str:
    if record.selection == "hold-out":
        return f"It chose epoch {record.selected_epoch}."
    return f"It decided nothing: the last epoch, {record.selected_epoch}, was kept."


def _of_what(log: Sequence[Epoch]) -> str:
    terms = max(len(line["terms"]) for line in log)
    parts = " and its terms as they are weighted in it" if terms > 1 else ""
    stages = len({str(line.get("stage")) for line in log}) > 1
    divided = " An upright line is where a stage of training begins." if stages else ""
    return f"The training loss{parts}, the mean over each epoch.{divided}"
