"""Views of standardised feature vectors (unit variance a feature)."""

import torch
from torch import Tensor

from longtail import keyed

NOISE = 0.1
DROPOUT = 0.1


def strong(vectors: Tensor, key: Tensor) -> Tensor:
    """Gaussian noise of a tenth of a feature's standard deviation.

    Args:
        vectors: float32 [b, d].
        key: int64 [b].
    """
    return vectors + NOISE * keyed.normal(keyed.fold(key, "noise"), vectors.shape[1])


def contrastive(vectors: Tensor, key: Tensor) -> Tensor:
    """`strong`, then dropout: a feature is 0 with probability 0.1, else scaled by 1 / 0.9."""
    kept = keyed.uniform(keyed.fold(key, "dropout"), vectors.shape[1]) >= DROPOUT
    return torch.where(kept, strong(vectors, key) * (1 / (1 - DROPOUT)), 0.0)
