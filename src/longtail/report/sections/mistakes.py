"""Samples to look at first: mistakes the model is sure of, and labels that may be wrong."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from longtail.metrics import likely_label_errors
from longtail.record import Predictions
from longtail.report.arrays import Floats, Ints
from longtail.report.page import Section, render
from longtail.report.pictures import sprite
from longtail.report.tables import Cell, Column, Table, number, share
from longtail.report.view import RunView
from longtail.report.words import ONLY_LARGEST

_ID, _TITLE = "mistakes", "Mistakes to look at"
MOST = 24
MOST_OF_A_PAIR = 3
MOST_DOUBTED = 0.1
"""Share of the labels: a model that doubts more of them is itself in doubt."""


@dataclasses.dataclass(frozen=True)
class Doubt:
    """A sample whose prediction is not its label.

    Attributes:
        index: its position in the source.
        label, predicted: names of classes.
        label_probability, probability: of the label and of the prediction, in [0, 1].
        suspicious: whether its label is likely wrong.
    """

    index: int
    label: str
    predicted: str
    label_probability: float
    probability: float
    suspicious: bool


def mistakes(view: RunView) -> Section | None:
    """Worst mistakes and likely label errors with their pictures; None without predictions."""
    if view.predictions is None:
        return None
    if view.probabilities is None:
        why = (
            f"Nothing is shown. {ONLY_LARGEST}, and how sure the model was of a mistake, and "
            "whether a label is likely wrong, is read off the probabilities of all classes."
        )
        return Section(_ID, _TITLE, render("sections/nothing.html.j2", why=why))
    html = render("sections/mistakes.html.j2", view=view, **_listed(view, view.predictions))
    return Section(_ID, _TITLE, html)


def worst_mistakes(probabilities: Floats, labels: Ints, predicted: Ints) -> Ints:
    """Wrong predictions, surest first: at most 24, of two classes taken for each other at most 3.

    Args:
        probabilities: float64 [n, c].
        labels: int64 [n] class ids.
        predicted: int64 [n] class ids.

    Returns:
        Int64 [k] positions in [0, n), k at most 24.
    """
    wrong = np.flatnonzero(predicted != labels)
    surest_first = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    of_pair: Counter[frozenset[int]] = Counter()
    chosen = []
    for i in surest_first.tolist():
        pair = frozenset((int(labels[i]), int(predicted[i])))
        of_pair[pair] += 1
        if of_pair[pair] <= MOST_OF_A_PAIR:
            chosen.append(i)
    return np.array(chosen[:MOST], np.int64)


def doubts_table(name: str, label: str, doubts: Sequence[Doubt]) -> Table:
    """The same as a table, for samples that are no pictures."""
    columns = [
        Column("index in the source"),
        Column("label", number=False, wide=True),
        Column("label's probability, %"),
        Column("taken for", number=False, wide=True),
        Column("prediction's probability, %"),
        Column("label in doubt", number=False),
    ]
    lines = [
        (
            number(doubt.index, str(doubt.index)),
            Cell(doubt.label),
            share(doubt.label_probability),
            Cell(doubt.predicted),
            share(doubt.probability),
            Cell("yes" if doubt.suspicious else "no"),
        )
        for doubt in doubts
    ]
    return Table(name, label, columns, lines)


def _listed(view: RunView, predictions: Predictions) -> dict[str, object]:
    """What the section lists.

    A sample is shown once: the worst mistakes that are likely label errors too are marked, and the
    second list goes on with the others. A model that doubts more than a tenth of all labels is not
    believed about any.
    """
    assert view.probabilities is not None
    worst = worst_mistakes(view.probabilities, predictions.labels, predictions.predicted)
    doubted = _candidates(view.probabilities, predictions)
    weak = len(doubted) > MOST_DOUBTED * len(predictions.labels)
    candidates = doubted[:0] if weak else doubted
    others = candidates[~np.isin(candidates, worst)][:MOST]
    worst_doubts, other_doubts = _doubts(view, worst, candidates), _doubts(view, others, candidates)
    return {
        "wrong": int(np.sum(predictions.predicted != predictions.labels)),
        "most_of_a_pair": MOST_OF_A_PAIR,
        "worst": worst_doubts,
        "worst_table": doubts_table("worst-mistakes", "Worst mistakes", worst_doubts),
        "doubted": len(doubted),
        "weak": weak,
        "others": other_doubts,
        "others_table": doubts_table("label-errors", "Likely label errors", other_doubts),
        "sheet": sprite(predictions.thumbnails, "mistakes", np.concatenate([worst, others])),
    }


def _candidates(probabilities: Floats, predictions: Predictions) -> Ints:
    """Positions of likely label errors, most suspicious first."""
    found = likely_label_errors(probabilities, predictions.labels)
    # Half precision can make two logits equal, so that a right prediction is listed with margin 0.
    return np.asarray(found[predictions.predicted[found] != predictions.labels[found]], np.int64)


def _doubts(view: RunView, positions: Ints, candidates: Ints) -> list[Doubt]:
    assert view.predictions is not None
    assert view.probabilities is not None
    labels = view.predictions.labels[positions].tolist()
    predicted = view.predictions.predicted[positions].tolist()
    columns = (
        view.predictions.index[positions].tolist(),
        [view.class_names[c] for c in labels],
        [view.class_names[c] for c in predicted],
        view.probabilities[positions, labels].tolist(),
        view.probabilities[positions, predicted].tolist(),
        np.isin(positions, candidates).tolist(),
    )
    return [Doubt(*values) for values in zip(*columns, strict=True)]
