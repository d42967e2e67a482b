"""Views: pure functions from samples and keys to augmented samples, on whole batches.

A sample's view depends on nothing but the sample and its key (see `longtail.keyed`): not on its
neighbours in the batch, not on the number of workers, not on a global generator. The same picture
and key give the same bits on one kind of device and at most one grey level apart across kinds.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from longtail.data.dataset import Kind
from longtail.data.views import digits, photo, vector
from longtail.errors import DataError, UsageError, did_you_mean

View = Callable[[Tensor, Tensor], Tensor]
"""(uint8 [b, 3, h, w] or float32 [b, d], key int64 [b]) -> the same shape, type and device."""

Role = Literal["plain", "weak", "strong", "contrastive"]
"""What a view is for: no change, the classic crop and flip, the classifier's, the contrastive."""


def plain(samples: Tensor, key: Tensor) -> Tensor:
    """The samples as they are."""
    return samples


VIEWS: dict[Kind, dict[Role, View]] = {
    "photo": {
        "plain": plain,
        "weak": photo.weak,
        "strong": photo.strong,
        "contrastive": photo.contrastive,
    },
    "digits": {
        "plain": plain,
        "weak": digits.weak,
        "strong": digits.strong,
        "contrastive": digits.contrastive,
    },
    "vector": {
        "plain": plain,
        "weak": plain,
        "strong": vector.strong,
        "contrastive": vector.contrastive,
    },
}


def view_for(kind: Kind, role: Role) -> View:
    """The view of one kind of data for one role, which checks its input.

    Raises:
        UsageError: no such kind or role. The view raises `DataError` on samples or keys of another
            shape or type.
    """
    if kind not in VIEWS:
        raise UsageError(f"There is no kind of data {kind!r}. {did_you_mean(kind, VIEWS)}")
    if role not in VIEWS[kind]:
        raise UsageError(f"There is no view {role!r}. {did_you_mean(role, get_args(Role))}")
    view = VIEWS[kind][role]
    check = _check_vectors if kind == "vector" else _check_pictures

    def checked(samples: Tensor, key: Tensor) -> Tensor:
        check(samples)
        _check_key(key, len(samples))
        return view(samples.contiguous(), key)

    return checked


def _check_pictures(images: Tensor) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise DataError(
            f"A view of pictures got {images.dtype} {tuple(images.shape)}; it takes torch.uint8 "
            "[batch, 3, height, width]. For pictures stored as [batch, height, width, 3] call "
            ".permute(0, 3, 1, 2); normalise after the view, not before."
        )


def _check_vectors(vectors: Tensor) -> None:
    if vectors.dtype != torch.float32 or vectors.ndim != 2:
        raise DataError(
            f"A view of vectors got {vectors.dtype} {tuple(vectors.shape)}; it takes torch.float32 "
            "[batch, features]."
        )


def _check_key(key: Tensor, batch: int) -> None:
    if key.dtype != torch.int64 or key.shape != (batch,):
        raise DataError(
            f"A view of {batch} samples got keys {key.dtype} {tuple(key.shape)}; it takes one "
            "torch.int64 key a sample, e.g. keyed.fold(seed, epoch, index)."
        )
