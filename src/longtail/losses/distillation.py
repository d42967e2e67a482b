"""Distillation: a teacher's softened answer as the target."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.errors import DataError
from longtail.losses.checks import (
    check_expert_logits,
    check_labels,
    check_logits,
    check_temperature,
    wide,
)


def distillation_loss(
    logits: Tensor, labels: Tensor, teacher_logits: Tensor, *, temperature: float = 1.5
) -> Tensor:
    """T^2 KL( softmax(teacher / T) || softmax(student / T) ), mean over the batch.

    The student's logits are those of one classifier or the mean of several experts'. T^2 keeps the
    gradient's size whatever the temperature.

    Source: Hinton et al. 2015, arXiv 1503.02531, Section 2; for experts RIDE, Wang et al. 2021,
    arXiv 2010.01809, Section 3.

    Args:
        logits: float [b, c], or [b, k, c] of k experts.
        labels: int64 [b], values in [0, c); they say what a row is and are not used further.
        teacher_logits: float [b, c]; a teacher that is not to learn gives them without a graph.
        temperature: T, above 0.

    Returns:
        Scalar of at least 0; float32 for half-precision logits, else the dtype of the logits.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.
        UsageError: a temperature that is not positive.

    >>> student, teacher = torch.zeros(1, 2), torch.tensor([[1.0, -1.0]])
    >>> value = distillation_loss(student, torch.tensor([0]), teacher, temperature=1.0)
    >>> round(value.item(), 4)  # tanh 1 - log cosh 1
    0.3278
    """
    _check(logits, labels, teacher_logits, temperature)
    scores = wide(logits)
    mean = scores.mean(1) if scores.ndim == 3 else scores
    student = torch.log_softmax(mean / temperature, 1)
    teacher = torch.log_softmax(teacher_logits.to(scores.dtype) / temperature, 1)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


def _check(logits: Tensor, labels: Tensor, teacher_logits: Tensor, temperature: float) -> None:
    (check_expert_logits if logits.ndim == 3 else check_logits)(logits, labels)
    check_labels(labels, logits.shape[-1])
    check_temperature(temperature)
    if teacher_logits.shape != (len(labels), logits.shape[-1]):
        raise DataError(
            f"teacher_logits have shape {tuple(teacher_logits.shape)}; expected "
            f"{(len(labels), logits.shape[-1])}, as the student's."
        )


class DistillationLoss(nn.Module):
    """Distillation from a teacher (Hinton et al. 2015); see `distillation_loss`.

    Args:
        temperature: that softens both answers, above 0.
    """

    def __init__(self, temperature: float = 1.5) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, logits: Tensor, labels: Tensor, teacher_logits: Tensor) -> Tensor:
        """Scalar loss of logits [b, c] or [b, k, c], labels [b] and the teacher's [b, c]."""
        return distillation_loss(logits, labels, teacher_logits, temperature=self.temperature)
