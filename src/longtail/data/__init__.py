"""Data: sources, the long-tail cut, splits, samplers, views, batches."""

from longtail.data.cut import cut, long_tail_counts
from longtail.data.dataset import Dataset, Split
from longtail.data.hashing import pictures_hash
from longtail.data.holdout import hold_out
from longtail.data.load import SOURCES, load_dataset

__all__ = [
    "SOURCES",
    "Dataset",
    "Split",
    "cut",
    "hold_out",
    "load_dataset",
    "long_tail_counts",
    "pictures_hash",
]
