"""`longtail evaluate`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from longtail.experiments.robustness import Corrected, Robustness
    from longtail.record import Record
    from longtail.run import Run


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    data: Annotated[
        str | None, typer.Argument(help="Data with the same classes; the run's own when left out.")
    ] = None,
    la_tau: Annotated[
        float,
        typer.Option(help="Post-hoc logit adjustment of a run that was trained without a prior."),
    ] = 0.0,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Also each class, with its 95 % interval.")
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Instead: accuracy under long-tailed test priors, and calibration.",
        ),
    ] = False,
) -> None:
    """Print a run's metrics on its test split, or measure them on other data."""
    from longtail.cli.show import choices_lines, metrics_lines
    from longtail.metrics import summarise_confusion
    from longtail.run import load

    finished = load(run)
    if robustness:
        _refuse_beside_robustness(data, la_tau, per_class)
        typer.echo("\n".join(_robustness_lines(finished)))
        return
    confusion = finished.confusion(data, la_tau=la_tau)
    metrics = summarise_confusion(confusion, finished.record.data.train_counts)
    adjusted = f", logits adjusted by la_tau {la_tau:g}" if la_tau else ""
    name = f"{data or finished.record.data.name} ({confusion.sum():,} samples{adjusted})"
    own = choices_lines(finished.record) if data is None else []
    typer.echo("\n".join([*metrics_lines(name, metrics), *own]))
    if per_class:
        typer.echo("\n".join(_class_lines(finished.record, confusion)))


def _class_lines(record: "Record", confusion: Any) -> Iterator[str]:
    """Each class from the most frequent to the rarest: counts, accuracy, its usual confusion."""
    import numpy as np

    from longtail.errors import printable
    from longtail.metrics import wilson_interval
    from longtail.report.words import percent

    names = [printable(name) for name in record.data.class_names]
    counts = np.asarray(record.data.train_counts)
    correct, total = np.diagonal(confusion), confusion.sum(1)
    low, high = wilson_interval(correct, total)
    mistakes = confusion - np.diag(correct)
    width = min(24, max(map(len, names)))
    yield f"{'class':{width}}  train   test   accuracy [95 % interval]   most often taken for"
    for c in np.argsort(-counts, kind="stable"):
        share = percent(correct[c] / total[c] if total[c] else None)
        interval = f"[{percent(low[c])}, {percent(high[c])}]" if total[c] else ""
        worst = int(mistakes[c].argmax())
        taken_for = f"{names[worst]} ({mistakes[c, worst]})" if mistakes[c, worst] else ""
        yield (
            f"{names[c][:width]:{width}}  {counts[c]:5,}  {total[c]:5,}   "
            f"{share:>5} {interval:18}  {taken_for}"
        )


def _refuse_beside_robustness(data: str | None, la_tau: float, per_class: bool) -> None:
    from longtail.errors import UsageError

    if data is not None or la_tau or per_class:
        raise UsageError(
            "--robustness is of a run's own test split and makes its own corrections; leave DATA, "
            "--la-tau and --per-class out."
        )


def _robustness_lines(run: "Run") -> Iterator[str]:
    from longtail.errors import printable
    from longtail.experiments.robustness import robustness_of

    found = robustness_of(run)
    yield f"{printable(run.record.data.name)}: accuracy in % under other test priors, by weighting"
    yield f"  the class accuracies of {found.test_pictures:,} test samples; no test set is drawn"
    yield from _prior_table(found)
    yield from _prior_notes(found, run.record.data.train_counts)
    yield ""
    yield from _calibration_table(found)


def _prior_table(found: "Robustness") -> Iterator[str]:
    titles = ["known", "estimated (off by)"]
    if found.temperature:
        titles += ["known, T", "estimated, T (off by)"]
    yield f"{'test prior':14}  as is  " + "  ".join(f"{title:>8}" for title in titles)
    for row in found.under:
        name = row.direction if row.ratio == 1 else f"{row.direction} {row.ratio:g}"
        cells = [_corrected_cells(row.corrected, 18)]
        cells += [_corrected_cells(row.scaled, 21)] if row.scaled else []
        yield f"{name:14}  {100 * row.as_is:5.1f}  {'  '.join(cells)}"


def _corrected_cells(corrected: "Corrected | None", width: int) -> str:
    """Accuracy with the known prior, then with the estimated one and how far that is off."""
    if corrected is None:
        return f"{'–':>8}  {'–':>{width}}"
    mark = "" if corrected.converged else "*"
    estimated = f"{100 * corrected.estimated:.1f}{mark} ({100 * corrected.distance:.1f})"
    return f"{100 * corrected.known:8.1f}  {estimated:>{width}}"


def _prior_notes(found: "Robustness", counts: Sequence[int]) -> Iterator[str]:
    yield "  forward: long-tailed as the training data; backward: their rarest class is commonest"
    if found.assumed.log_prior is None:
        yield "  –: no prior is known that these logits are under, so none can be corrected for:"
        yield f"    {found.assumed.reason}"
        return
    yield "  known, estimated: logits corrected for the test prior, which is known, or found by EM"
    under = _name_of(found.assumed.log_prior, counts)
    yield f"    without labels; the logits are taken to be under {under}"
    yield "  off by: total variation between the prior found and the true one, in %"
    if found.temperature:
        yield (
            f"  T: logits over {found.temperature:.3g}, fitted on {found.holdout_pictures:,} "
            "hold-out samples"
        )
    else:
        yield "  no temperature: trained without a hold-out, and test is no place to fit one"
    corrected = [(row.as_is, part) for row in found.under for part in (row.corrected, row.scaled)]
    # Of a calibrated model chance alone takes up to a point.
    if any(part and as_is - part.estimated > 0.01 for as_is, part in corrected):
        yield (
            "  the estimated prior costs accuracy here: these probabilities are not calibrated "
            "enough for EM"
        )
    if not all(part.converged for _, part in corrected if part):
        yield "  *: EM was stopped before it had settled"


def _name_of(assumed: Any, counts: Sequence[int]) -> str:
    """A log prior [c] as a power of the training prior where it is one, else by its range."""
    import numpy as np

    from longtail.prior import log_prior

    trained, centred = (values - values.mean() for values in (log_prior(counts), assumed))
    if np.allclose(centred, 0):
        return "a uniform prior"
    power = centred @ trained / max(trained @ trained, np.finfo(float).tiny)
    if not np.allclose(power * trained, centred):
        low, high = (100 * np.exp(value) for value in (assumed.min(), assumed.max()))
        return f"class shares of {low:.2g} to {high:.2g} %"
    if np.isclose(power, 1):
        return "the training prior"
    return f"the training prior to the power {power:.3g}"


def _calibration_table(found: "Robustness") -> Iterator[str]:
    from longtail.report.words import percent

    yield "Expected calibration error in %, 15 bins, on the test samples as they are"
    yield f"{'':39}{'all':>5}  {'many':>5}  {'medium':>6}  {'few':>5}"
    for row in found.calibration:
        prior = "for the test prior" if row.corrected else "as is"
        name = f"logits{' over T' if row.scaled else ''}, {prior}"
        yield (
            f"{name:39}{percent(row.all):>5}  {percent(row.many):>5}  "
            f"{percent(row.medium):>6}  {percent(row.few):>5}"
        )
    yield "  by true class, which confidence cannot know: 0 everywhere is out of reach"
