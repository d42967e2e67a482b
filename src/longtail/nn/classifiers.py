"""Classifiers: features [b, d] to logits [b, c]."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BEYOND = 5.0  # squared distances of unit rows to means of unit rows are at most 4


class LinearClassifier(nn.Linear):
    """W h + b; `weight` is [c, d], one row a class. Kaiming-normal weights, as the encoder's."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        nn.init.kaiming_normal_(self.weight)


class RareClassifier(LinearClassifier):
    """A linear classifier that begins with every class as unlikely as one of c: bias -log(c - 1).

    With one sigmoid a class, a bias of 0 calls every class an even chance, and the first gradients
    are of the c - 1 absent ones (Cui et al. 2019, arXiv 1901.05555, 4.3).
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        nn.init.constant_(self.bias, -math.log(max(1, num_classes - 1)))


class ScaledClassifier(LinearClassifier):
    """s_c (w_c h + b_c): a linear classifier with a learnable factor a class, 1 at first.

    Source: learnable weight scaling, Kang et al. 2020, arXiv 1910.09217, 4.3.
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        self.scale = nn.Parameter(torch.ones(num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """[b, d] to [b, c]."""
        return super().forward(features) * self.scale


class CosineClassifier(nn.Module):
    """scale * cos(w_c, h), without a bias; `weight` is [c, d].

    The scale lives here and never also in the loss: cosines alone lie in [-1, 1], where a log
    prior would decide everything.

    Args:
        in_features: d.
        num_classes: c.
        scale: inverse temperature of the cosines, above 0.
    """

    def __init__(self, in_features: int, num_classes: int, scale: float = 30.0) -> None:
        super().__init__()
        # Of length 1, as LDAM's authors begin: a longer row turns more slowly at the same rate.
        rows = torch.empty(num_classes, in_features).uniform_(-1, 1)
        self.weight = nn.Parameter(F.normalize(rows))
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """[b, d] to [b, c]."""
        return self.scale * F.linear(F.normalize(features), F.normalize(self.weight))


CLASSIFIERS = {
    "linear": LinearClassifier,
    "rare": RareClassifier,
    "cosine": CosineClassifier,
    "scaled": ScaledClassifier,
}


class NearestMean(nn.Module):
    """Minus the squared distance to each class's mean, of features centred and set to length 1.

    Source: the nearest-class-mean classifier of Kang et al. 2020, arXiv 1910.09217, 4.2, in the
    form "cl2n" of the authors' code.

    Args:
        in_features: d.
        num_classes: c.
    """

    centre: Tensor
    means: Tensor
    known: Tensor
    fitted: Tensor

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(in_features))
        self.register_buffer("means", torch.zeros(num_classes, in_features))
        self.register_buffer("known", torch.zeros(num_classes, dtype=torch.bool))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Take the means of features [n, d] with labels int64 [n].

        A class without a sample is farther from everything than any mean can be.
        """
        self.centre.copy_(features.mean(0))
        unit = F.normalize(features - self.centre)
        self.means.copy_(class_means(unit, labels, len(self.means)))
        self.known.copy_(torch.bincount(labels, minlength=len(self.means)) > 0)
        self.fitted.fill_(True)

    def forward(self, features: Tensor) -> Tensor:
        """[b, d] to [b, c]."""
        unit = F.normalize(features.float() - self.centre)
        distances = torch.cdist(unit, self.means).square()
        return -distances.masked_fill(~self.known, _BEYOND)


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean of the features [n, d] of each class, [c, d]; 0 for a class without a sample.

    Samples are added up in a fixed order on any device, so that the same run has the same means.
    """
    by_class = labels.argsort(stable=True)
    classes = torch.arange(num_classes, device=labels.device)
    starts = torch.searchsorted(labels[by_class], classes)
    return F.embedding_bag(by_class, features, starts, mode="mean")


def tau_normalised(weight: Tensor, norm_tau: float) -> Tensor:
    """Each class's weights [c, d] over their norm to the power `norm_tau`; zeros stay zeros.

    Source: tau-normalisation, Kang et al. 2020, arXiv 1910.09217, Eq. 10.
    """
    norms = weight.norm(dim=1, keepdim=True).clamp_min(1e-12)  # its square is still a float32
    normalised: Tensor = weight / norms.pow(norm_tau)
    return normalised
