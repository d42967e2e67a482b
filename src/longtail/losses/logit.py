"""Losses on class logits: cross-entropy and its two prior-aware forms.

Letters: b batch, c classes. The modules hold the class counts as a buffer, so that `.to(device)`
moves them; they are not saved with a model.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.losses.checks import (
    check_class_counts,
    check_class_weights,
    check_labels,
    check_logits,
    wide,
)
from longtail.losses.counts import counts_tensor, log_counts


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Softmax cross-entropy, mean over the batch: -log softmax(f)_y.

    Weighted, it is a weighted mean: the sum of w_y times each value over the sum of w_y in the
    batch, so that doubling all weights changes nothing.

    Args:
        logits: float [b, c].
        labels: int64 [b], values in [0, c).
        class_weights: float [c] of at least 0; None weighs all classes alike.

    Returns:
        Scalar of at least 0; float32 for half-precision logits, else the dtype of the logits. Zero
        with a graph when all weights in the batch are 0.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range or negative weights.

    >>> round(cross_entropy(torch.zeros(1, 4), torch.tensor([2])).item(), 4)  # log 4
    1.3863
    """
    check_logits(logits, labels)
    check_labels(labels, logits.shape[1])
    scores = wide(logits)
    if class_weights is None:
        return F.cross_entropy(scores, labels)
    check_class_weights(class_weights, logits.shape[1])
    weights = class_weights.to(scores.dtype)[labels]
    values = F.cross_entropy(scores, labels, reduction="none")
    return (weights * values).sum() / weights.sum().clamp(min=torch.finfo(scores.dtype).tiny)


class CrossEntropyLoss(nn.Module):
    """`cross_entropy` as a module.

    Args:
        class_weights: [c] weights of at least 0, by class id; None weighs all classes alike.
    """

    def __init__(self, class_weights: npt.ArrayLike | None = None) -> None:
        super().__init__()
        self.class_weights: Tensor | None
        weights = None if class_weights is None else torch.tensor(np.asarray(class_weights))
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of logits [b, c] and int64 labels [b]."""
        return cross_entropy(logits, labels, self.class_weights)


def logit_adjusted_loss(
    logits: Tensor, labels: Tensor, class_counts: Tensor, *, la_tau: float = 1.0
) -> Tensor:
    """Cross-entropy on logits raised by the log prior: CE(f + la_tau * log pi, y).

    Training against the raised logits makes the raw ones estimate the balanced posterior, so
    prediction uses `logits` as they are (never also `posthoc_logit_adjustment`). The counts stand
    in for pi: their logarithms differ from its by one constant on all logits, which the softmax
    does not see. Uniform counts give `cross_entropy`.

    Source: Menon et al. 2021, arXiv 2007.07314, Eq. 10. RCL (arXiv 2312.01753) uses la_tau 1.3.

    Args:
        logits: float [b, c], unadjusted.
        labels: int64 [b], values in [0, c).
        class_counts: int64 [c], training pictures a class; 0 counts as 1.
        la_tau: strength of the prior; 0 is cross-entropy, 1 Balanced Softmax.

    Returns:
        Scalar of at least 0; float32 for half-precision logits, else the dtype of the logits.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.

    >>> counts = torch.tensor([3, 1])  # at f = 0 the softmax is the prior: -log(1/4)
    >>> round(logit_adjusted_loss(torch.zeros(1, 2), torch.tensor([1]), counts).item(), 4)
    1.3863
    """
    check_logits(logits, labels)
    check_class_counts(class_counts, logits.shape[1])
    check_labels(labels, logits.shape[1])
    scores = wide(logits)
    return F.cross_entropy(scores + la_tau * log_counts(class_counts, scores.dtype), labels)


class LogitAdjustedLoss(nn.Module):
    """Logit adjustment (Menon et al. 2021); see `logit_adjusted_loss`.

    Args:
        class_counts: [c] training pictures a class, by class id.
        la_tau: strength of the prior.
    """

    def __init__(self, class_counts: npt.ArrayLike, la_tau: float = 1.0) -> None:
        super().__init__()
        self.la_tau = la_tau
        self.class_counts: Tensor
        self.register_buffer("class_counts", counts_tensor(class_counts), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of raw logits [b, c] and int64 labels [b]."""
        return logit_adjusted_loss(logits, labels, self.class_counts, la_tau=self.la_tau)


def balanced_softmax_loss(logits: Tensor, labels: Tensor, class_counts: Tensor) -> Tensor:
    """Balanced Softmax: -log( n_y e^{f_y} / sum_j n_j e^{f_j} ), mean over the batch.

    The logit-adjusted loss at strength 1; see `logit_adjusted_loss` for shapes and errors. Uniform
    counts give `cross_entropy`.

    Source: Ren et al. 2020, arXiv 2007.10740, Eq. 3.

    >>> counts = torch.tensor([3, 1])
    >>> round(balanced_softmax_loss(torch.zeros(1, 2), torch.tensor([0]), counts).item(), 4)
    0.2877
    """
    return logit_adjusted_loss(logits, labels, class_counts, la_tau=1.0)


class BalancedSoftmaxLoss(LogitAdjustedLoss):
    """Balanced Softmax (Ren et al. 2020): logit adjustment at strength 1."""

    def __init__(self, class_counts: npt.ArrayLike) -> None:
        super().__init__(class_counts, la_tau=1.0)


def posthoc_logit_adjustment(
    logits: Tensor, class_counts: Tensor, *, la_tau: float = 1.0
) -> Tensor:
    """Logits of a model trained with plain cross-entropy, freed of the prior: f - la_tau * log pi.

    Source: Menon et al. 2021, arXiv 2007.07314, Eq. 9.

    Args:
        logits: float [b, c].
        class_counts: int64 [c], training pictures a class; 0 counts as 1.
        la_tau: strength; 1 is the Bayes rule for a uniform test prior.

    Returns:
        Float [b, c]; float32 for half-precision logits, else the dtype of the logits.

    Raises:
        DataError: counts that do not fit the logits.
    """
    check_class_counts(class_counts, logits.shape[-1])
    scores = wide(logits)
    log_n = log_counts(class_counts, scores.dtype)
    return scores - la_tau * (log_n - torch.logsumexp(log_n, 0))
