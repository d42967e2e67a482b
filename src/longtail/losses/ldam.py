"""LDAM: cross-entropy with a margin on the true logit that is larger the rarer its class."""

import numpy.typing as npt
import torch
from torch import Tensor, nn

from longtail.losses.checks import check_class_counts, check_logits, wide
from longtail.losses.counts import at_least_one, class_balanced_weights, counts_tensor
from longtail.losses.logit import cross_entropy


def ldam_loss(
    logits: Tensor,
    labels: Tensor,
    class_counts: Tensor,
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy after taking scale * m_y off the true logit, m_j = max_margin (n_min/n_j)^1/4.

    The margins are in units of a cosine, and the logits are cosines that the classifier has scaled
    already. Only ratios of counts matter. For LDAM-DRW, give `prior.effective_number_weights` as
    weights late in training.

    Source: Cao et al. 2019, arXiv 1906.07413.

    Args:
        logits: float [b, c], scale times a cosine.
        labels: int64 [b], values in [0, c).
        class_counts: int64 [c], training pictures a class; 0 counts as 1.
        max_margin: of the rarest class.
        scale: of the classifier.
        class_weights: float [c] of at least 0, of the weighted mean; None weighs all alike.

    Returns:
        Scalar of at least 0; float32 for half-precision logits, else the dtype of the logits.

    Raises:
        DataError: shapes that do not fit, or (on the CPU) labels out of range or negative weights.

    >>> counts = torch.tensor([16, 1])  # both cosines are 1, the true one loses 0.5
    >>> cosines = torch.ones(1, 2)
    >>> round(ldam_loss(cosines, torch.tensor([1]), counts, scale=1.0).item(), 4)  # log(1 + e^0.5)
    0.9741
    """
    check_logits(logits, labels)
    check_class_counts(class_counts, logits.shape[1])
    scores = wide(logits)
    counts = at_least_one(class_counts, scores.dtype)
    margins = max_margin * (counts.min() / counts) ** 0.25
    own = labels[:, None] == torch.arange(len(counts), device=labels.device)
    return cross_entropy(scores - scale * margins * own, labels, class_weights)


class LDAMLoss(nn.Module):
    """LDAM (Cao et al. 2019), and with `beta` its deferred re-weighting; see `ldam_loss`.

    Args:
        class_counts: [c] training pictures a class, by class id.
        max_margin: of the rarest class, in units of a cosine.
        scale: that the classifier multiplies its cosines by.
        beta: of the effective-number weights, in [0, 1); None weighs all classes alike.
    """

    def __init__(
        self,
        class_counts: npt.ArrayLike,
        max_margin: float = 0.5,
        scale: float = 30.0,
        beta: float | None = None,
    ) -> None:
        super().__init__()
        self.max_margin = max_margin
        self.scale = scale
        self.beta = beta
        self.class_counts: Tensor
        self.register_buffer("class_counts", counts_tensor(class_counts), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of scaled cosines [b, c] and int64 labels [b]."""
        return ldam_loss(
            logits,
            labels,
            self.class_counts,
            max_margin=self.max_margin,
            scale=self.scale,
            class_weights=self._weights(wide(logits).dtype),
        )

    def _weights(self, dtype: torch.dtype) -> Tensor | None:
        if self.beta is None:
            return None
        return class_balanced_weights(self.class_counts, self.beta, dtype)
