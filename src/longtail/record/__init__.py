"""The run record and the predictions: what training writes and everything after it reads.

Needs numpy and the standard library only, so that a report opens without torch. Files are written
whole or not at all, and read strictly: a file of this schema version has exactly its keys.
"""

from longtail.record.files import read_bytes, write_atomically
from longtail.record.log import read_lines
from longtail.record.predictions import (
    Outcomes,
    Predictions,
    predictions_of,
    read_outcomes,
    read_predictions,
)
from longtail.record.provenance import (
    NUMERIC_PARTS,
    Code,
    Hardware,
    Provenance,
    hardware,
    numeric_hash,
    revision,
    running_code,
    source_hash,
    versions,
)
from longtail.record.run import (
    SCHEMA_VERSION,
    BestOnTest,
    DataSummary,
    Decisions,
    Record,
    RunMetrics,
    SplitMetrics,
    read_record,
)

__all__ = [
    "NUMERIC_PARTS",
    "SCHEMA_VERSION",
    "BestOnTest",
    "Code",
    "DataSummary",
    "Decisions",
    "Hardware",
    "Outcomes",
    "Predictions",
    "Provenance",
    "Record",
    "RunMetrics",
    "SplitMetrics",
    "hardware",
    "numeric_hash",
    "predictions_of",
    "read_bytes",
    "read_lines",
    "read_outcomes",
    "read_predictions",
    "read_record",
    "revision",
    "running_code",
    "source_hash",
    "versions",
    "write_atomically",
]
