"""How the training went: the loss and the live accuracy, epoch by epoch."""

from collections.abc import Iterator

from longtail.report.figures.of_run import live_accuracy_of, losses_of
from longtail.report.figures.shown import Shown
from longtail.report.figures.svg import inline
from longtail.report.page import Section, render
from longtail.report.view import RunView
from longtail.report.words import percent, plural

_SPLITS = {"test": "test", "holdout": "the hold-out"}


def training(view: RunView) -> Section | None:
    """Both curves, each where it was logged; None without a log."""
    figures = list(_figures(view))
    if not figures:
        return None
    html = render("sections/training.html.j2", figures=figures)
    return Section("training", "Training", html)


def _figures(view: RunView) -> Iterator[Shown]:
    if (figure := live_accuracy_of(view)) is not None:
        yield Shown(inline(figure, "live-accuracy", _accuracy_label(view)), _decided(view))
    if (figure := losses_of(view)) is not None:
        first, last = view.log[0], view.log[-1]
        label = (
            f"Loss over {plural(last['epoch'], 'epoch')}: from {first['loss']:.3g} in the first "
            f"that is logged to {last['loss']:.3g} in the last"
        )
        yield Shown(inline(figure, "loss", label), _of_what(view))


def _accuracy_label(view: RunView) -> str:
    """The last measured accuracy, and the best."""
    measured = [
        (line["accuracy"]["balanced_accuracy"], line["epoch"])
        for line in view.log
        if "accuracy" in line
    ]
    best, epoch = max(measured)
    return (
        f"Balanced accuracy during training: {percent(measured[-1][0])} % after epoch "
        f"{measured[-1][1]}, at most {percent(best)} % after epoch {epoch}"
    )


def _decided(view: RunView) -> str:
    """What was measured, and what it decided."""
    record = view.record
    split = next(line["split"] for line in view.log if "accuracy" in line)
    if record.selection == "hold-out":
        decided = f"It chose epoch {record.selected_epoch}."
    else:
        decided = f"It decided nothing: the last epoch, {record.selected_epoch}, was kept."
    return f"Live accuracy on {_SPLITS[split]}, balanced and of each group of classes. {decided}"


def _of_what(view: RunView) -> str:
    terms = max(len(line["terms"]) for line in view.log)
    parts = " and its terms as they are weighted in it" if terms > 1 else ""
    stages = len({line.get("stage") for line in view.log}) > 1
    divided = " An upright line is where a stage of training begins." if stages else ""
    return f"The training loss{parts}, the mean over each epoch.{divided}"
