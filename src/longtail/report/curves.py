"""Training as figures for a page: of one run, or of several over each other."""

from collections.abc import Mapping

from longtail.report.figures.shown import Shown
from longtail.report.figures.svg import inline
from longtail.report.figures.training import Lines, live_accuracy, losses


def training_curves(logs: Mapping[str, Lines]) -> list[Shown]:
    """Live accuracy and loss over epochs; none where nothing was logged.

    Args:
        logs: by label, the lines of `log.jsonl`.
    """
    told = {label: lines for label, lines in logs.items() if lines}
    watched = {
        label: lines for label, lines in told.items() if any("accuracy" in line for line in lines)
    }
    found = []
    if watched:
        svg = inline(live_accuracy(watched), "live-accuracy", "Accuracy during training by epoch")
        found.append(Shown(svg, "Accuracy on the split that the run was watched on."))
    if told:
        svg = inline(losses(told), "losses", "Loss during training by epoch")
        found.append(Shown(svg, "Loss; those of different methods do not measure the same."))
    return found
