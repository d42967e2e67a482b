"""Classifiers: features [b, d] to logits [b, c]."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LinearClassifier(nn.Linear):
    """W h + b; `weight` is [c, d], one row a class. Kaiming-normal weights, as the encoder's."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        nn.init.kaiming_normal_(self.weight)

    def start_rare(self) -> None:
        """Begin with every class as unlikely as one of c: a bias of -log(c - 1).

        With one sigmoid a class, a bias of 0 calls every class an even chance, and the first
        gradients are of the c - 1 absent ones (Cui et al. 2019, arXiv 1901.05555, 4.3).
        """
        nn.init.constant_(self.bias, -math.log(max(1, self.out_features - 1)))


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
        self.weight = nn.Parameter(torch.empty(num_classes, in_features).uniform_(-1, 1))
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """[b, d] to [b, c]."""
        return self.scale * F.linear(F.normalize(features), F.normalize(self.weight))


CLASSIFIERS = {"linear": LinearClassifier, "cosine": CosineClassifier, "scaled": ScaledClassifier}


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
    fitted: Tensor

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(in_features))
        self.register_buffer("means", torch.zeros(num_classes, in_features))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Take the means of features [n, d] with labels int64 [n].

        A class without a sample stays at infinity: nothing is ever nearest to it.
        """
        self.centre.copy_(features.mean(0))
        unit = F.normalize(features - self.centre)
        means = class_means(unit, labels, len(self.means))
        self.means.copy_(means.nan_to_num(nan=math.inf))
        self.fitted.fill_(True)

    def forward(self, features: Tensor) -> Tensor:
        """[b, d] to [b, c]."""
        unit = F.normalize(features.float() - self.centre)
        return -_squared_distances(unit, self.means)


def _squared_distances(rows: Tensor, means: Tensor) -> Tensor:
    """Squared distances [b, c] of rows [b, d] to means [c, d]; infinite ones stay infinite."""
    known = means.isfinite().all(1)
    finite = torch.where(known[:, None], means, 0.0)
    return torch.cdist(rows, finite).square().masked_fill(~known, math.inf)


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean of the features [n, d] of each class, [c, d]; NaN for a class without one."""
    sums = features.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)
    sizes = torch.bincount(labels, minlength=num_classes).to(features.dtype)
    return sums / sizes[:, None]


@torch.no_grad()
def normalise_weights(classifier: LinearClassifier, norm_tau: float) -> None:
    """Divide each class's weights by their norm to the power `norm_tau` and drop the bias.

    Source: tau-normalisation, Kang et al. 2020, arXiv 1910.09217, Eq. 10; the bias is dropped as
    in the authors' code, also at 0.
    """
    norms = classifier.weight.norm(dim=1, keepdim=True)
    classifier.weight.div_(norms.clamp_min(torch.finfo(norms.dtype).tiny).pow(norm_tau))
    classifier.bias.zero_()
