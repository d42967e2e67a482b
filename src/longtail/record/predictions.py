"""`predictions.npz`: what a model said about each sample of a split."""

import dataclasses
import io
import os
import zlib
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from longtail.errors import CheckpointError, DataError, NumericError
from longtail.record.files import read_bytes, write_atomically

# Above this many classes only the largest logits are kept: they hold all that can still win.
ALL_LOGITS_UP_TO = 1000
TOP_LOGITS = 100

# Stands for None: every file has all the keys, so a lost array cannot pass for an absent one.
_NONE = np.array(False)
# What numpy and zipfile raise for damaged bytes, the last for flags that ask for decryption.
_CORRUPT = (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error, RuntimeError)
_HALF_MAX = float(np.finfo(np.float16).max)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model said about each sample of one split; see `predictions_of`.

    Attributes:
        index: int64 [n], the sample's position in its source.
        labels: int64 [n].
        predicted: int64 [n], kept beside the logits because half precision can make two of them
            equal, and metrics computed from this file must equal the record's.
        logits: float16 [n, c], or [n, k] for the k largest, in falling order.
        logit_classes: int32 [n, k], the class of each logit; None where column = class id.
        embeddings: float16 [n, d], the projections; None where the method has none.
        prototypes: float16 [c, d]; None where the method has none.
        thumbnails: uint8 [n, 32, 32, 3]; None for vectors.
    """

    index: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float16]
    logit_classes: npt.NDArray[np.int32] | None
    embeddings: npt.NDArray[np.float16] | None
    prototypes: npt.NDArray[np.float16] | None
    thumbnails: npt.NDArray[np.uint8] | None

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a compressed .npz atomically; equal predictions give equal bytes.

        Raises:
            CheckpointError: the file cannot be written; an older one is left as it was.
        """
        arrays: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            array = getattr(self, field.name)
            arrays[field.name] = _NONE if array is None else array
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomically(path, buffer.getvalue())


def predictions_of(
    index: npt.ArrayLike,
    labels: npt.ArrayLike,
    logits: npt.NDArray[np.floating[Any]],
    *,
    embeddings: npt.ArrayLike | None = None,
    prototypes: npt.ArrayLike | None = None,
    thumbnails: npt.ArrayLike | None = None,
) -> Predictions:
    """Predictions from full-precision logits [n, c]: decided first, then rounded for the file.

    Raises:
        DataError: the arrays do not have the shapes that `Predictions` lists.
        NumericError: a logit is not a finite number.
    """
    if not np.isfinite(logits).all():
        raise NumericError("Some logits are not finite: the model has diverged; lower the lr.")
    values, classes = _largest(logits) if logits.shape[1] > ALL_LOGITS_UP_TO else (logits, None)
    predictions = Predictions(
        index=np.asarray(index, np.int64),
        labels=np.asarray(labels, np.int64),
        predicted=logits.argmax(axis=1).astype(np.int64),
        logits=_half(values),
        logit_classes=classes,
        embeddings=None if embeddings is None else _half(embeddings),
        prototypes=None if prototypes is None else _half(prototypes),
        thumbnails=None if thumbnails is None else np.asarray(thumbnails, np.uint8),
    )
    if problem := _problem(predictions):
        raise DataError(f"These predictions cannot be kept: {problem}.")
    return predictions


def _half(values: npt.ArrayLike) -> npt.NDArray[np.float16]:
    """Round to half precision; what lies beyond its range is clipped, never infinite."""
    return np.clip(values, -_HALF_MAX, _HALF_MAX).astype(np.float16)


def _largest(
    logits: npt.NDArray[np.floating[Any]],
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.int32]]:
    """The largest logits of each row in falling order, with their classes."""
    classes = np.empty((len(logits), TOP_LOGITS), np.int32)
    for start in range(0, len(logits), 1024):  # argpartition's int64 ranks would fill the memory
        rows = logits[start : start + 1024]
        top = np.argpartition(rows, -TOP_LOGITS, axis=1)[:, -TOP_LOGITS:]
        order = np.argsort(-np.take_along_axis(rows, top, axis=1), axis=1, kind="stable")
        classes[start : start + 1024] = np.take_along_axis(top, order, axis=1)
    return np.take_along_axis(logits, classes, axis=1), classes


def _problem(p: Predictions) -> str:
    """What is wrong with the arrays' types, shapes or numbers, or nothing."""
    for name in ("index", "labels", "predicted", "logits"):
        if getattr(p, name) is None:
            return f"{name} are missing"
    n = len(p.index)
    expected: dict[str, tuple[type, tuple[int | None, ...]]] = {
        "index": (np.int64, (n,)),
        "labels": (np.int64, (n,)),
        "predicted": (np.int64, (n,)),
        "logits": (np.float16, (n, None)),
        "logit_classes": (np.int32, (n, *p.logits.shape[1:])),
        "embeddings": (np.float16, (n, None)),
        "prototypes": (np.float16, (None, None)),
        "thumbnails": (np.uint8, (n, 32, 32, 3)),
    }
    for name, (dtype, shape) in expected.items():
        array = getattr(p, name)
        if array is not None and (array.dtype != dtype or not _fits(array.shape, shape)):
            wanted = str(shape).replace("None", "any")
            return f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {wanted}"
    return "" if np.isfinite(p.logits).all() else "some logits are not finite"


def _fits(shape: tuple[int, ...], pattern: tuple[int | None, ...]) -> bool:
    return len(shape) == len(pattern) and all(
        size in (None, length) for length, size in zip(shape, pattern, strict=True)
    )


class Outcomes(NamedTuple):
    """What was right: the true and the predicted class of each sample, int64 [n] both."""

    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]


def read_outcomes(path: str | os.PathLike[str]) -> Outcomes:
    """The outcomes alone, a hundredth of a predictions file, thumbnails and logits unread.

    Raises:
        CheckpointError: missing, half-written or corrupt.
    """
    content = io.BytesIO(read_bytes(path))
    try:
        with np.load(content, allow_pickle=False) as archive:
            outcomes = Outcomes(archive["labels"], archive["predicted"])
        if any(a.dtype != np.int64 or a.ndim != 1 for a in outcomes):
            raise ValueError("labels and predicted are not int64 [n]")
    except (KeyError, *_CORRUPT) as error:
        raise CheckpointError(_not_predictions(path, str(error))) from error
    return outcomes


def _not_predictions(path: str | os.PathLike[str], problem: str) -> str:
    return f"{path}: not a predictions file ({problem}). Type: longtail evaluate RUN DATA"


def read_predictions(path: str | os.PathLike[str], *, thumbnails: bool = True) -> Predictions:
    """Read what `Predictions.write` wrote; never unpickles.

    Args:
        path: of the file.
        thumbnails: False leaves them unread, 30 MB of ten thousand samples.

    Raises:
        CheckpointError: missing, half-written or corrupt.
    """
    content = io.BytesIO(read_bytes(path))
    try:
        with np.load(content, allow_pickle=False) as archive:
            read = {
                name: archive[name] if thumbnails or name != "thumbnails" else _NONE
                for name in archive.files
            }
        arrays: dict[str, Any] = {name: None if a.ndim == 0 else a for name, a in read.items()}
        predictions = Predictions(**arrays)
        problem = _problem(predictions)
    except _CORRUPT as error:
        problem = str(error) or type(error).__name__
    if problem:
        raise CheckpointError(_not_predictions(path, problem))
    return predictions
