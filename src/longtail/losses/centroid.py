"""DRO-LT's loss: class means as the centres of balls that the true means may lie in."""

import torch
from torch import Tensor, nn

from longtail.losses.checks import (
    check_centres,
    check_features,
    check_labels,
    check_one_a_class,
    check_temperature,
    wide,
)
from longtail.losses.distances import euclidean
from longtail.losses.instances import class_sizes


def robust_centroid_loss(
    features: Tensor,
    labels: Tensor,
    class_means: Tensor,
    radii: Tensor,
    *,
    temperature: float = 1.0,
) -> Tensor:
    """Each class's features nearest to its mean, even if that mean is off by the class's radius.

    For class c the features of the batch compete: q_c = softmax_i of
    -(||mu_c - h_i|| + e_c [y_i = c]) / temperature. The loss is the mean of -log q_c over the
    features of c, then over the classes in the batch. A few pictures tell little about where
    their class lies. With e_c added to the distances of its own features, a class's loss is at
    least that around any other mean within e_c / 2 of mu_c.

    Source: Samuel and Chechik 2021, arXiv 2104.03066, in the form of its authors'
    code: e_c instead of 2 e_c, and all classes weighed alike.

    Args:
        features: float [n, d], not normalised.
        labels: int64 [n], values in [0, c).
        class_means: float [c, d], mean feature of each class over the training split.
        radii: float [c], in units of a feature's distance; they may be learned.
        temperature: of the softmax, above 0.

    Returns:
        Scalar of at least 0; float32 for half-precision features, else their dtype.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.
        UsageError: a temperature that is not positive.

    >>> h, means = torch.tensor([[0.0], [3.0]]), torch.tensor([[0.0], [3.0]])
    >>> y, radii = torch.tensor([0, 1]), torch.tensor([1.0, 1.0])
    >>> round(robust_centroid_loss(h, y, means, radii).item(), 4)  # log(1 + e^(1 - 3))
    0.1269
    """
    _check(features, labels, class_means, radii, temperature)
    rows = wide(features)
    distances = euclidean(class_means.to(rows.dtype), rows)  # [c, n]
    own = torch.arange(len(class_means), device=labels.device)[:, None] == labels
    reach = distances + radii.to(rows.dtype)[:, None] * own
    log_q = torch.log_softmax(-reach / temperature, 1)
    sizes = class_sizes(labels, len(class_means), prototypes=False)
    shares = own.to(log_q.dtype) / (sizes.clamp(min=1)[:, None] * (sizes > 0).sum())
    return -(shares * log_q).sum()


def _check(
    features: Tensor, labels: Tensor, class_means: Tensor, radii: Tensor, temperature: float
) -> None:
    check_features(features, labels)
    check_centres("class_means", class_means, features)
    check_one_a_class("radii", radii, len(class_means))
    check_labels(labels, len(class_means))
    check_temperature(temperature)


class RobustCentroidLoss(nn.Module):
    """DRO-LT's loss (Samuel and Chechik 2021); see `robust_centroid_loss`.

    Args:
        temperature: of the softmax, above 0.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(
        self, features: Tensor, labels: Tensor, class_means: Tensor, radii: Tensor
    ) -> Tensor:
        """Scalar loss of features [n, d], labels [n], class means [c, d] and radii [c]."""
        return robust_centroid_loss(
            features, labels, class_means, radii, temperature=self.temperature
        )
