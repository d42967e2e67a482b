"""ELM's embedding term: class mates nearer than others, by a margin of the classes' counts."""

from typing import Literal, get_args

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.errors import UsageError
from longtail.losses.checks import check_class_counts, check_features, check_labels, wide
from longtail.losses.counts import counts_tensor, log_counts
from longtail.losses.distances import euclidean
from longtail.losses.instances import unit_rows

Distance = Literal["euclidean", "cosine"]


def embedding_margin_loss(
    features: Tensor,
    labels: Tensor,
    class_counts: Tensor,
    *,
    margin_tau: float = 1.0,
    distance: Distance = "euclidean",
) -> Tensor:
    """Mean over anchors i and mates p of log(1 + sum_k (n_k/n_i)^margin_tau e^{d_ip - d_ik}).

    k runs over the features of other classes, n_k is the count of its class, and d a distance:
    a rare anchor keeps frequent classes farther away than the reverse. An anchor's value is the
    mean over its mates, the loss that over the anchors that have one.

    This is the second term of ELM (Jitkrittum et al. 2022, arXiv 2204.13208); the first is
    `logit_adjusted_loss`. It is a reconstruction: the paper's equations could not be read and its
    authors published no code. The abstract speaks of margins in logit space and a regulariser of
    the embeddings that ties them to metric and contrastive learning; this carries the margin of
    the logit-adjusted loss over to distances. ELM's published numbers do not vouch for it.

    Args:
        features: float [n, d].
        labels: int64 [n], values in [0, c).
        class_counts: int64 [c], training pictures a class; 0 counts as 1.
        margin_tau: strength of the margins; 0 is without.
        distance: "euclidean" is ||h_i - h_k||^2, "cosine" 1 - cos(h_i, h_k).

    Returns:
        Scalar of at least 0; float32 for half-precision features, else their dtype. Zero with a
        graph when no feature has a mate.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range.
        UsageError: an unknown distance.

    >>> h = torch.tensor([[0.0], [0.0], [1.0]])
    >>> y, counts = torch.tensor([0, 0, 1]), torch.tensor([1, 3])
    >>> round(embedding_margin_loss(h, y, counts).item(), 4)  # log(1 + 3 e^(0 - 1))
    0.7437
    """
    check_features(features, labels)
    check_class_counts(class_counts, len(class_counts))
    check_labels(labels, len(class_counts))
    with torch.autocast(features.device.type, enabled=False):
        distances = _distances(wide(features), distance)
    log_n = log_counts(class_counts, distances.dtype)[labels]
    mates = labels[:, None] == labels
    threats = margin_tau * (log_n - log_n[:, None]) - distances
    # Finite where minus infinity is meant: without any rival, nan would be on the gradient's way.
    threats = threats.masked_fill(mates, torch.finfo(threats.dtype).min)
    gaps = torch.logsumexp(threats, 1, keepdim=True) + distances
    values = -F.logsigmoid(-gaps)  # log(1 + e^gap)
    return (_shares(mates, values.dtype) * values).sum()


def _distances(rows: Tensor, distance: Distance) -> Tensor:
    if distance == "euclidean":
        return euclidean(rows, rows) ** 2
    if distance == "cosine":
        units = unit_rows(rows, normalize=True)
        return 1 - units @ units.T
    known = " or ".join(map(repr, get_args(Distance)))
    raise UsageError(f"distance is {distance!r}; it must be {known}.")


def _shares(mates: Tensor, dtype: torch.dtype) -> Tensor:
    """Weight of each pair of an anchor and its mate, [n, n]; all are 0 where nobody has one."""
    positives = mates.sum(1) - 1
    anchors = (positives > 0).sum()
    pairs = mates & ~torch.eye(len(mates), dtype=torch.bool, device=mates.device)
    return pairs / (positives * anchors).clamp(min=1).to(dtype)[:, None]


class EmbeddingMarginLoss(nn.Module):
    """ELM's embedding term, as reconstructed; see `embedding_margin_loss`.

    Args:
        class_counts: [c] training pictures a class, by class id.
        margin_tau: strength of the margins.
        distance: "euclidean" (squared) or "cosine".
    """

    def __init__(
        self,
        class_counts: npt.ArrayLike,
        margin_tau: float = 1.0,
        distance: Distance = "euclidean",
    ) -> None:
        super().__init__()
        self.margin_tau = margin_tau
        self.distance: Distance = distance
        self.class_counts: Tensor
        self.register_buffer("class_counts", counts_tensor(class_counts), persistent=False)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of features [n, d] and int64 labels [n]."""
        return embedding_margin_loss(
            features,
            labels,
            self.class_counts,
            margin_tau=self.margin_tau,
            distance=self.distance,
        )
