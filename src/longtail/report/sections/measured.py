"""How it was measured, and the command that does it again."""

from collections.abc import Iterator, Mapping

from longtail.errors import printable
from longtail.record import Provenance, Record
from longtail.report.page import Section, render
from longtail.report.view import RunView
from longtail.report.words import plural


def measured(view: RunView) -> Section:
    """Data, selection, budget, machine and versions as facts; the command that runs it again."""
    html = render(
        "sections/measured.html.j2",
        facts=[(name, printable(text)) for name, text in _facts(view)],
        command=printable(view.record.command),
    )
    return Section("measured", "How it was measured", html)


def _facts(view: RunView) -> Iterator[tuple[str, str]]:
    record = view.record
    data, provenance = record.data, record.provenance
    number = sum(data.train_counts)
    yield "Trained on", f"{data.name}, {plural(number, 'sample')}, data hash {data.hash[:16]}"
    yield "Measured on", _measured_on(view)
    yield "Model chosen by", f"{record.selection}: epoch {record.selected_epoch}"
    yield "Method", f"{record.method}, {record.recipe} recipe; {_pairs(record.knobs) or 'no knobs'}"
    yield "Training", f"{record.backbone}, seed {record.seed}; {_pairs(record.settings)}"
    if record.choices:
        yield "Chosen on the hold-out", _pairs(record.choices)
    if record.experts_asked is not None:
        yield "Experts asked a sample", f"{record.experts_asked:.2f}"
    yield "Machine", _machine(record)
    yield "Cost", _cost(record.provenance)
    yield "Code", f"revision {str(provenance.revision)[:12]}, sources {provenance.source_hash[:12]}"
    yield "Versions", ", ".join(f"{name} {v}" for name, v in provenance.versions.items())
    yield "Finished", record.created


def _measured_on(view: RunView) -> str:
    data = view.record.data
    if view.split == "test":
        held = f"; hold-out {data.holdout}" if data.holdout else ""
        return f"the test split, {plural(data.test_size, 'sample')}{held}"
    return f"the hold-out ({data.holdout}), since the data have no test split"


def _machine(record: Record) -> str:
    hardware, decisions = record.provenance.hardware, record.decisions
    return (
        f"{hardware.gpu or hardware.cpu}, {plural(hardware.cores, 'core')}, "
        f"{plural(decisions.threads, 'thread')}, {decisions.precision}"
        f"{', compiled' if decisions.compile else ''}"
    )


def _cost(provenance: Provenance) -> str:
    return (
        f"{provenance.seconds / 60:.1f} minutes, "
        f"{provenance.images_per_second:,.0f} samples a second, "
        f"{plural(provenance.steps, 'step')}, {plural(provenance.parameters, 'parameter')}"
    )


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
