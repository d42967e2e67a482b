"""Losses of distances in feature space, pair by pair."""

from collections.abc import Callable

import torch
from torch import Tensor

from references.contrastive import mean, others, over_anchors, unit, with_mates


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) * (a - b)).sum()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    u, v = unit([a, b])
    return 1 - u @ v


def embedding_margin(
    features: Tensor,
    labels: Tensor,
    counts: list[int],
    margin_tau: float = 1.0,
    distance: Callable[[Tensor, Tensor], Tensor] = euclidean,
) -> Tensor:
    """mean_p log( 1 + sum_{k of others} (n_k / n_i)^tau exp( d(i, p) - d(i, k) ) )."""
    h, y = list(features), labels.tolist()

    def pair(i: int, p: int) -> Tensor:
        threats = [
            (counts[y[k]] / counts[y[i]]) ** margin_tau
            * torch.exp(distance(h[i], h[p]) - distance(h[i], h[k]))
            for k in range(len(y))
            if y[k] != y[i]
        ]
        return torch.log(1 + sum(threats, 0 * h[i].sum()))

    return over_anchors(h, with_mates(y), lambda i: mean([pair(i, p) for p in others(y, y[i], i)]))


def prototype(features: Tensor, prototypes: Tensor, labels: Tensor, tau: float) -> Tensor:
    """Wang et al. 2021: -log( e^{z.p_y/tau} / sum_{j != y} e^{z.p_j/tau} )."""
    z, centre = unit(features), unit(prototypes)

    def loss(i: int, label: int) -> Tensor:
        rivals = sum(torch.exp(z[i] @ p / tau) for j, p in enumerate(centre) if j != label)
        return -torch.log(torch.exp(z[i] @ centre[label] / tau) / rivals)

    return mean([loss(i, label) for i, label in enumerate(labels.tolist())])


def robust_centroid(
    features: Tensor, class_means: Tensor, radii: Tensor, labels: Tensor, temperature: float
) -> Tensor:
    """Samuel and Chechik 2021: each mean's softmax over the batch, own features held back by e."""
    y = labels.tolist()

    def affinity(c: int, i: int) -> Tensor:
        distance = torch.sqrt(euclidean(class_means[c], features[i]))
        return torch.exp(-(distance + (radii[c] if y[i] == c else 0.0)) / temperature)

    def loss(c: int) -> Tensor:
        mass = sum(affinity(c, i) for i in range(len(y)))
        return -mean([torch.log(affinity(c, i) / mass) for i in range(len(y)) if y[i] == c])

    return mean([loss(c) for c in sorted(set(y))])
