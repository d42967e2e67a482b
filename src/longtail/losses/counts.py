"""Class counts as tensors: what `longtail.prior` computes of arrays, where a loss needs it.

A class without a training picture counts as one throughout, since log 0 and 1/0 are no numbers.
"""

import numpy.typing as npt
import torch
from torch import Tensor

from longtail.prior import as_counts, log_beta


def counts_tensor(class_counts: npt.ArrayLike) -> Tensor:
    """Checked counts, int64 [c], for a module's buffer."""
    # An accelerator's tensor cannot become a numpy array by itself.
    on_cpu = class_counts.cpu() if isinstance(class_counts, Tensor) else class_counts
    return torch.from_numpy(as_counts(on_cpu))


def at_least_one(class_counts: Tensor, dtype: torch.dtype) -> Tensor:
    """n_j, float [c]."""
    return class_counts.clamp(min=1).to(dtype)


def log_counts(class_counts: Tensor, dtype: torch.dtype) -> Tensor:
    """Log n_j, float [c]."""
    return at_least_one(class_counts, dtype).log()


def class_balanced_weights(class_counts: Tensor, beta: float, dtype: torch.dtype) -> Tensor:
    """`prior.effective_number_weights`, float [c]; their mean is 1."""
    # 1 - beta**n of a rare class is tiny; float32 would lose half of its digits.
    weights = -1 / torch.expm1(at_least_one(class_counts, dtype) * log_beta(beta))
    return weights / weights.mean()
