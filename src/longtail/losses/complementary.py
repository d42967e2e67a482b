"""ACE's loss: experts that answer for some classes each and keep out of the others."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.errors import DataError
from longtail.losses.checks import check_expert_logits, check_labels, wide


def complementary_experts_loss(expert_logits: Tensor, labels: Tensor, owned: Tensor) -> Tensor:
    """Sum over experts: cross-entropy on samples of its classes, squared logits of the others.

    For expert m that owns the classes T_m: the mean of -log softmax(f_m)_y over the samples with
    y in T_m, plus the mean over all samples of the sum of f_mj^2 over j not in T_m. An expert
    without a sample of its own in the batch has its second summand alone.

    Source: Cai et al. 2021, arXiv 2108.02385. No code of its authors is public and its equations
    could not be read, so two readings were chosen. The softmax runs over all classes, since the
    paper's experts share one output width and cross-entropy; and every sample keeps the logits of
    foreign classes near 0, its own samples and the others', since it is the foreign samples for
    which an expert would disturb the average at test.

    Args:
        expert_logits: float [b, k, c].
        labels: int64 [b], values in [0, c).
        owned: bool [k, c], whether an expert answers for a class.

    Returns:
        Scalar of at least 0; float32 for half-precision logits, else the dtype of the logits.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.

    >>> owned = torch.tensor([[True, True], [False, True]])
    >>> logits = torch.tensor([[[0.0, 0.0], [3.0, 0.0]]])  # the second keeps out but for 3
    >>> round(complementary_experts_loss(logits, torch.tensor([0]), owned).item(), 4)  # log 2 + 9
    9.6931
    """
    _check(expert_logits, labels, owned)
    scores = wide(expert_logits)
    every = labels[:, None].expand(scores.shape[:2])
    values = F.cross_entropy(scores.movedim(2, 1), every, reduction="none")  # [b, k]
    asked = owned[:, labels].T
    answers = (values * asked).sum(0) / asked.sum(0).clamp(min=1)
    intrusion = (scores.square() * ~owned).sum(2).mean(0)
    return (answers + intrusion).sum()


def _check(expert_logits: Tensor, labels: Tensor, owned: Tensor) -> None:
    check_expert_logits(expert_logits, labels)
    check_labels(labels, expert_logits.shape[2])
    if owned.dtype != torch.bool or owned.shape != expert_logits.shape[1:]:
        raise DataError(
            f"owned is {owned.dtype} of shape {tuple(owned.shape)}; expected torch.bool of shape "
            f"{tuple(expert_logits.shape[1:])}: whether each expert answers for each class."
        )


class ComplementaryExpertsLoss(nn.Module):
    """ACE's loss (Cai et al. 2021); see `complementary_experts_loss`.

    Args:
        owned: [k, c], whether each expert answers for each class, by class id.
    """

    def __init__(self, owned: npt.ArrayLike) -> None:
        super().__init__()
        self.owned: Tensor
        self.register_buffer("owned", torch.tensor(np.asarray(owned, bool)), persistent=False)

    def forward(self, expert_logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of the experts' logits [b, k, c] and int64 labels [b]."""
        return complementary_experts_loss(expert_logits, labels, self.owned)
