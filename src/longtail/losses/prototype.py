"""PSC's loss: each feature towards its class's prototype and away from the others."""

import torch
from torch import Tensor, nn

from longtail.errors import DataError
from longtail.losses.checks import (
    check_centres,
    check_features,
    check_labels,
    check_temperature,
    wide,
)
from longtail.losses.instances import unit_rows


def prototype_loss(
    features: Tensor, labels: Tensor, prototypes: Tensor, *, temperature: float = 0.1
) -> Tensor:
    """-log( e^{z.p_y / temperature} / sum_{j != y} e^{z.p_j / temperature} ), mean over features.

    z and p are normalised here. The own class is not in the denominator, so the value is no
    cross-entropy: it falls below 0 once a feature is much nearer to its prototype than to others.

    Source: the prototypical branch of Hybrid-PSC, Wang et al. 2021, arXiv 2103.14267.

    Args:
        features: float [n, d].
        labels: int64 [n], values in [0, c).
        prototypes: float [c, d], c at least 2.
        temperature: of the softmax, above 0.

    Returns:
        Scalar of at least log(c - 1) - 2 / temperature; float32 for half-precision features, else
        their dtype.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.
        UsageError: a temperature that is not positive.

    >>> z, p = torch.tensor([[1.0, 0.0]]), torch.eye(2)
    >>> round(prototype_loss(z, torch.tensor([0]), p, temperature=0.5).item(), 4)  # (0 - 1) / 0.5
    -2.0
    """
    _check(features, labels, prototypes, temperature)
    rows = wide(features)
    with torch.autocast(features.device.type, enabled=False):
        units = unit_rows(rows, normalize=True)
        centres = unit_rows(wide(prototypes).to(rows.dtype), normalize=True)
        scores = units @ centres.T / temperature
    own = labels[:, None]
    rivals = scores.scatter(1, own, -torch.inf)
    return (torch.logsumexp(rivals, 1) - scores.gather(1, own).squeeze(1)).mean()


def _check(features: Tensor, labels: Tensor, prototypes: Tensor, temperature: float) -> None:
    check_features(features, labels)
    check_centres("prototypes", prototypes, features)
    if len(prototypes) < 2:
        raise DataError("There is 1 prototype; a class needs another to be told from.")
    check_labels(labels, len(prototypes))
    check_temperature(temperature)


class PrototypeLoss(nn.Module):
    """PSC's loss (Wang et al. 2021); see `prototype_loss`.

    Args:
        temperature: of the softmax, above 0.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, features: Tensor, labels: Tensor, prototypes: Tensor) -> Tensor:
        """Scalar loss of features [n, d], int64 labels [n] and prototypes [c, d]."""
        return prototype_loss(features, labels, prototypes, temperature=self.temperature)
