"""Losses on logits, sample by sample: sums of exponentials, as the papers print them."""

import math

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
