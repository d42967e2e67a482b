"""Losses on logits, sample by sample: sums of exponentials, as the papers print them."""

import math
from fractions import Fraction

import torch
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log( e^{f_y} / sum_j e^{f_j} )."""
    return weighted_softmax(logits, labels, [1.0] * logits.shape[1])


def balanced_softmax(logits: Tensor, labels: Tensor, counts: list[int]) -> Tensor:
    """Ren et al. 2020, Eq. 3: -log( n_y e^{f_y} / sum_j n_j e^{f_j} )."""
    return weighted_softmax(logits, labels, [float(n) for n in counts])


def logit_adjustment(
    logits: Tensor, labels: Tensor, counts: list[int], la_tau: float = 1.0
) -> Tensor:
    """Menon et al. 2021, Eq. 10: log( 1 + sum_{j != y} (pi_j / pi_y)^tau e^{f_j - f_y} )."""
    prior = [n / sum(counts) for n in counts]
    total = logits.new_zeros(())
    for f, y in zip(logits, labels.tolist(), strict=True):
        rivals = [
            (prior[j] / prior[y]) ** la_tau * torch.exp(f[j] - f[y])
            for j in range(len(f))
            if j != y
        ]
        total = total + torch.log(1 + sum(rivals))
    return total / len(labels)


def class_balanced(logits: Tensor, labels: Tensor, counts: list[int], beta: float) -> Tensor:
    """Cui et al. 2019: cross-entropy weighed by the inverse effective number of pictures."""
    weights, y = effective(counts, beta), labels.tolist()
    ones = [1.0] * len(counts)
    values = [
        weights[y[i]] * weighted_softmax(logits[i : i + 1], labels[i : i + 1], ones)
        for i in range(len(y))
    ]
    return sum(values) / sum(weights[label] for label in y)


def ldam(
    logits: Tensor,
    labels: Tensor,
    counts: list[int],
    beta: float | None = None,
    max_margin: float = 0.5,
    scale: float = 30.0,
) -> Tensor:
    """Cao et al. 2019: -log( e^{f_y - s m_y} / (e^{f_y - s m_y} + sum_{j != y} e^{f_j}) )."""
    raw = [n**-0.25 for n in counts]
    margin = [max_margin * m / max(raw) for m in raw]
    weights = [1.0] * len(counts) if beta is None else effective(counts, beta)
    total, y = logits.new_zeros(()), labels.tolist()
    for f, label in zip(logits, y, strict=True):
        own = torch.exp(f[label] - scale * margin[label])
        others = sum(torch.exp(f[j]) for j in range(len(f)) if j != label)
        total = total - weights[label] * torch.log(own / (own + others))
    return total / sum(weights[label] for label in y)


def class_balanced_focal(
    logits: Tensor, labels: Tensor, counts: list[int], beta: float = 0.9999, gamma: float = 1.0
) -> Tensor:
    """Cui et al. 2019: w_y sum_j -(1 - p_j)^gamma log p_j, over the batch's size."""
    weights, total = effective(counts, beta), logits.new_zeros(())
    for f, label in zip(logits, labels.tolist(), strict=True):
        for j in range(len(f)):
            p = 1 / (1 + torch.exp(-f[j]))
            p = p if j == label else 1 - p
            total = total - weights[label] * (1 - p) ** gamma * torch.log(p)
    return total / len(labels)


def effective(counts: list[int], beta: float) -> list[float]:
    """(1 - beta) / (1 - beta^n), normalised to sum to the number of classes; in fractions."""
    b = Fraction(str(beta))
    raw = [(1 - b) / (1 - b**n) for n in counts]
    return [float(len(raw) * w / sum(raw)) for w in raw]


def weighted_softmax(logits: Tensor, labels: Tensor, weights: list[float]) -> Tensor:
    total = logits.new_zeros(())
    for f, y in zip(logits, labels.tolist(), strict=True):
        mass = sum(w * torch.exp(f[j]) for j, w in enumerate(weights))
        total = total - torch.log(weights[y] * torch.exp(f[y]) / mass)
    return total / len(labels)


def posthoc(logits: Tensor, counts: list[int], la_tau: float) -> list[list[float]]:
    """Menon et al. 2021, Eq. 9: f_j - tau log pi_j."""
    return [
        [f - la_tau * math.log(n / sum(counts)) for f, n in zip(row, counts, strict=True)]
        for row in logits.tolist()
    ]
