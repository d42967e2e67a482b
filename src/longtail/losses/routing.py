"""RIDE's second stage: whether a sample is worth asking one more expert."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.errors import DataError
from longtail.losses.checks import check_expert_logits, check_labels, wide


def routing_loss(
    routing: Tensor, labels: Tensor, expert_logits: Tensor, *, positive_weight: float = 100.0
) -> Tensor:
    """Binary cross-entropy of asking on: wanted where the first m experts err and more would not.

    Score m is a logit; above 0 it asks for expert m + 1. Its target is 1 where the mean of the
    first m experts' logits is wrong and that of some longer prefix is right. Such samples are rare,
    hence the weight. The mean runs over samples and scores.

    Source: RIDE, Wang et al. 2021, arXiv 2010.01809, Section 3, in the form of its authors' code.

    Args:
        routing: float [b, k - 1], a score for each expert but the last.
        labels: int64 [b], values in [0, c).
        expert_logits: float [b, k, c]; no gradient reaches them.
        positive_weight: of the samples that should ask on.

    Returns:
        Scalar of at least 0; float32 for half-precision scores, else the dtype of the scores.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.

    >>> logits = torch.tensor([[[2.0, 0.0], [0.0, 3.0]]])  # wrong at first, right together
    >>> score, label = torch.zeros(1, 1), torch.tensor([1])
    >>> round(routing_loss(score, label, logits, positive_weight=10.0).item(), 4)  # 10 log 2
    6.9315
    """
    _check(routing, labels, expert_logits)
    scores = wide(routing)
    targets = _worth_asking(expert_logits, labels).to(scores.dtype)
    weight = torch.full((), positive_weight, dtype=scores.dtype, device=scores.device)
    return F.binary_cross_entropy_with_logits(scores, targets, pos_weight=weight)


def _worth_asking(expert_logits: Tensor, labels: Tensor) -> Tensor:
    """Bool [b, k - 1]."""
    # The mean of a prefix has its largest logit where the sum has.
    right = wide(expert_logits).cumsum(1).argmax(2) == labels[:, None]
    right_later = right[:, 1:].flip(1).cumsum(1).flip(1) > 0
    return ~right[:, :-1] & right_later


def _check(routing: Tensor, labels: Tensor, expert_logits: Tensor) -> None:
    check_expert_logits(expert_logits, labels)
    check_labels(labels, expert_logits.shape[2])
    expected = (len(labels), expert_logits.shape[1] - 1)
    if routing.shape != expected:
        raise DataError(
            f"routing has shape {tuple(routing.shape)}; expected {expected}: a score for each "
            "expert but the last."
        )


class RoutingLoss(nn.Module):
    """RIDE's routing loss (Wang et al. 2021); see `routing_loss`.

    Args:
        positive_weight: of the samples that should ask one more expert.
    """

    def __init__(self, positive_weight: float = 100.0) -> None:
        super().__init__()
        self.positive_weight = positive_weight

    def forward(self, routing: Tensor, labels: Tensor, expert_logits: Tensor) -> Tensor:
        """Scalar loss of scores [b, k - 1], labels [b] and the experts' logits [b, k, c]."""
        return routing_loss(routing, labels, expert_logits, positive_weight=self.positive_weight)
