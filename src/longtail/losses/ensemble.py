"""Losses of several experts on a shared trunk: each its own, and diversity.

Letters: b batch, k experts, c classes.
"""

from collections.abc import Callable

import numpy.typing as npt
import torch
from torch import Tensor, nn

from longtail.losses.checks import (
    check_expert_logits,
    check_labels,
    check_one_a_class,
    wide,
)
from longtail.losses.counts import at_least_one, counts_tensor


def each_expert(expert_logits: Tensor, labels: Tensor, loss: Callable[..., Tensor]) -> Tensor:
    """The sum over the experts of a loss on logits.

    Args:
        expert_logits: float [b, k, c].
        labels: int64 [b], values in [0, c).
        loss: called with logits [b, c] and labels.

    Returns:
        Scalar, of the dtype that `loss` returns.

    Raises:
        DataError: shapes that do not fit.

    >>> logits, labels = torch.zeros(1, 3, 4), torch.tensor([2])
    >>> round(each_expert(logits, labels, nn.CrossEntropyLoss()).item(), 4)  # 3 log 4
    4.1589
    """
    check_expert_logits(expert_logits, labels)
    values = [loss(logits, labels) for logits in expert_logits.unbind(1)]
    return torch.stack(values).sum()


class EachExpert(nn.Module):
    """The sum over the experts of a loss on logits, such as `LDAMLoss`; see `each_expert`.

    Args:
        loss: module called with logits [b, c] and labels [b].
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, expert_logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of the experts' logits [b, k, c] and int64 labels [b]."""
        return each_expert(expert_logits, labels, self.loss)


def expert_diversity(
    expert_logits: Tensor, labels: Tensor, temperatures: Tensor | None = None
) -> Tensor:
    """How far experts are from their mean: T^2 sum_m KL( p_mean || p_m ), mean over the batch.

    p_m = softmax(f_m / T_j) with a temperature a class, and p_mean likewise of the mean logits; T^2
    is the square of the mean temperature. RIDE *adds it with a negative weight*, which drives
    experts apart.

    Source: RIDE, Wang et al. 2021, arXiv 2010.01809, Section 3, in the form of its authors' code.

    Args:
        expert_logits: float [b, k, c].
        labels: int64 [b], values in [0, c); they say what a row is and are not used further.
        temperatures: float [c], above 0; None is 1 for all.

    Returns:
        Scalar of at least 0; float32 for half-precision logits, else the dtype of the logits.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.

    >>> apart = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]])  # p_mean is (1/2, 1/2)
    >>> round(expert_diversity(apart, torch.tensor([0])).item(), 4)  # 2 * log cosh 1
    0.8676
    """
    check_expert_logits(expert_logits, labels)
    check_labels(labels, expert_logits.shape[2])
    scores = wide(expert_logits)
    strength = scores.new_ones(())
    if temperatures is not None:
        check_one_a_class("temperatures", temperatures, scores.shape[2])
        degrees = temperatures.to(scores.dtype)
        scores, strength = scores / degrees, degrees.mean() ** 2
    # Sum_m log p_m is k log p_mean but for a constant, so that no gradient comes through the mean.
    mean = torch.log_softmax(scores.detach().mean(1, keepdim=True), 2)
    each = torch.log_softmax(scores, 2)
    return strength * (mean.exp() * (mean - each)).sum() / len(labels)


def expert_temperatures(class_counts: Tensor, factor: float, dtype: torch.dtype) -> Tensor:
    """RIDE's temperatures, float [c]: 1 for the most frequent class, lower for rarer ones.

    In proportion to c * pi_j * factor + 1 - factor, pi_j the share of class j in the training
    split.
    """
    counts = at_least_one(class_counts, dtype)
    degrees = factor * counts / counts.mean() + 1 - factor
    return degrees / degrees.max()


class ExpertDiversityLoss(nn.Module):
    """RIDE's diversity (Wang et al. 2021), for a negative weight; see `expert_diversity`.

    Args:
        class_counts: [c] training pictures a class, by class id.
        factor: how far the temperatures follow the counts, in [0, 1]; None leaves them at 1.
    """

    def __init__(self, class_counts: npt.ArrayLike, factor: float | None = None) -> None:
        super().__init__()
        self.factor = factor
        self.class_counts: Tensor
        self.register_buffer("class_counts", counts_tensor(class_counts), persistent=False)

    def forward(self, expert_logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar of at least 0 of the experts' logits [b, k, c] and int64 labels [b]."""
        if self.factor is None:
            return expert_diversity(expert_logits, labels)
        dtype = wide(expert_logits).dtype
        temperatures = expert_temperatures(self.class_counts, self.factor, dtype)
        return expert_diversity(expert_logits, labels, temperatures)
