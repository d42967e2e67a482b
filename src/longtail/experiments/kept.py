"""Runs small enough to lie beside a page, so that it can be written again without the runs."""

import dataclasses
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from longtail.errors import CheckpointError
from longtail.experiments.job import Task
from longtail.experiments.ledger import Entry
from longtail.launch import default_folder
from longtail.record import Record, read_predictions

_AS_THEY_ARE = ("config.json", "record.json", "log.jsonl")


def keep(entries: Sequence[Entry], folder: Path) -> list[str]:
    """Copy what a page needs of every done run; a run kept before is replaced.

    Of the predictions only what was right is kept, a thousandth of a file with logits.

    Args:
        entries: of an experiment.
        folder: for a folder each, named by what was run.

    Returns:
        Why runs were not kept, a sentence each.
    """
    refused = []
    for entry in entries:
        if entry.record is None:
            continue
        try:
            _check_command(entry.record, entry.folder)
            _copy(entry.folder, folder / kept_name(entry.task))
        except CheckpointError as error:
            refused.append(str(error))
    return refused


def kept_name(task: Task) -> str:
    """Of a run's folder among the kept ones: the same for every version of the code."""
    request = task.job.request
    return f"{default_folder(request.data, request.method, request.seed).name}-{task.address[:12]}"


def _check_command(record: Record, folder: Path) -> None:
    """Raise unless the record can be shown to others."""
    for word in shlex.split(record.command):
        value = word.partition("=")[2] or word
        if PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute():
            raise CheckpointError(
                f"{folder.name} is not kept: its command names a place of the machine that it ran "
                "on. Train with a relative --out, such as runs/paper."
            )


def _copy(source: Path, target: Path) -> None:
    if source.resolve() == target.resolve():
        return
    target.mkdir(parents=True, exist_ok=True)
    for name in _AS_THEY_ARE:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
    for path in source.glob("predictions-*.npz"):
        whole = read_predictions(path)
        dataclasses.replace(
            whole,
            logits=np.empty((len(whole.index), 0), np.float16),
            logit_classes=None,
            embeddings=None,
            prototypes=None,
            thumbnails=None,
        ).write(target / path.name)
