"""Losses on class logits: cross-entropy and its two prior-aware forms.

Letters: b batch, c classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.losses.checks import check_class_counts, check_labels, check_logits, log_counts, wide


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Softmax cross-entropy, mean over the batch: -log softmax(f)_y.

    Args:
        logits: float [b, c].
        labels: int64 [b], values in [0, c).

    Returns:
        Scalar of at least 0; float32 for half-precision logits, else the dtype of the logits.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.

    >>> round(cross_entropy(torch.zeros(1, 4), torch.tensor([2])).item(), 4)  # log 4
    1.3863
    """
    check_logits(logits, labels)
    check_labels(labels, logits.shape[1])
    return F.cross_entropy(wide(logits), labels)


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
