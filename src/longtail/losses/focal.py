"""Class-balanced focal loss: one sigmoid a class, hard ones first, rare ones more."""

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.losses.checks import check_class_counts, check_labels, check_logits, wide
from longtail.losses.counts import class_balanced_weights, counts_tensor


def class_balanced_focal_loss(
    logits: Tensor,
    labels: Tensor,
    class_counts: Tensor,
    *,
    beta: float = 0.9999,
    gamma: float = 1.0,
) -> Tensor:
    """w_y * sum_j -(1 - p_j)^gamma log p_j, mean over the batch, p_j = sigmoid(f_j or -f_j).

    p_j is the probability of the right answer to "is it class j?". The weights of the classes are
    `prior.effective_number_weights`; the mean divides by the batch, not by their sum in it. Start
    the classifier's bias at -log(c - 1), or the many easy negatives dominate the first epochs.

    Source: Cui et al. 2019, arXiv 1901.05555.

    Args:
        logits: float [b, c].
        labels: int64 [b], values in [0, c).
        class_counts: int64 [c], training pictures a class; 0 counts as 1.
        beta: of the weights, in [0, 1).
        gamma: how little an easy answer counts, at least 0; 0 is sigmoid cross-entropy.

    Returns:
        Scalar of at least 0; float32 for half-precision logits, else the dtype of the logits.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.
        UsageError: a beta outside [0, 1).

    >>> counts = torch.tensor([5, 5])  # weights 1; two answers of probability 1/2
    >>> value = class_balanced_focal_loss(torch.zeros(1, 2), torch.tensor([0]), counts)
    >>> round(value.item(), 4)  # 2 * 1/2 * log 2
    0.6931
    """
    check_logits(logits, labels)
    check_class_counts(class_counts, logits.shape[1])
    check_labels(labels, logits.shape[1])
    scores = wide(logits)
    own = labels[:, None] == torch.arange(scores.shape[1], device=labels.device)
    right = torch.where(own, scores, -scores)
    # 1 - sigmoid(x) is sigmoid(-x), whose logarithm holds for any x.
    values = -(gamma * F.logsigmoid(-right)).exp() * F.logsigmoid(right)
    weights = class_balanced_weights(class_counts, beta, scores.dtype)
    return (weights[labels] * values.sum(1)).mean()


class ClassBalancedFocalLoss(nn.Module):
    """Class-balanced focal loss (Cui et al. 2019); see `class_balanced_focal_loss`.

    Args:
        class_counts: [c] training pictures a class, by class id.
        beta: of the effective-number weights, in [0, 1).
        gamma: how little an easy answer counts, at least 0.
    """

    def __init__(
        self, class_counts: npt.ArrayLike, beta: float = 0.9999, gamma: float = 1.0
    ) -> None:
        super().__init__()
        self.beta = beta
        self.gamma = gamma
        self.class_counts: Tensor
        self.register_buffer("class_counts", counts_tensor(class_counts), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of logits [b, c] and int64 labels [b]."""
        return class_balanced_focal_loss(
            logits, labels, self.class_counts, beta=self.beta, gamma=self.gamma
        )
