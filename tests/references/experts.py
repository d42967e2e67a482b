"""Losses of several experts, sample by sample and expert by expert."""

import torch
from torch import Tensor

from references.contrastive import mean
from references.logit import cross_entropy


def softmax(f: Tensor) -> Tensor:
    return torch.exp(f) / torch.exp(f).sum()


def each(expert_logits: Tensor, labels: Tensor) -> Tensor:
    return sum(cross_entropy(expert_logits[:, m], labels) for m in range(expert_logits.shape[1]))


def temperatures(counts: list[int], factor: float) -> list[float]:
    """Wang et al. 2021 (RIDE's code): c pi_j r + 1 - r, over its maximum."""
    raw = [len(counts) * n / sum(counts) * factor + 1 - factor for n in counts]
    return [t / max(raw) for t in raw]


def diversity(expert_logits: Tensor, degrees: list[float]) -> Tensor:
    """T^2 sum_m KL( p_mean || p_m )."""
    t = expert_logits.new_tensor(degrees)
    values = []
    for f in expert_logits:
        target = softmax(mean(list(f)) / t)
        values += [
            sum(q * torch.log(q / p) for q, p in zip(target, softmax(e / t), strict=True))
            for e in f
        ]
    return t.mean() ** 2 * sum(values) / len(expert_logits)


def distillation(expert_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 KL( teacher || mean student )."""
    total = 0.0
    for f, g in zip(expert_logits, teacher_logits, strict=True):
        student, teacher = softmax(mean(list(f)) / temperature), softmax(g / temperature)
        total = total + (teacher * torch.log(teacher / student)).sum()
    return temperature**2 * total / len(expert_logits)


def complementary(expert_logits: Tensor, labels: Tensor, counts: list[int]) -> Tensor:
    """Expert 1 owns all classes, 2 those of at most 100 pictures, 3 those of fewer than 20."""
    owned = [range(len(counts))]
    owned += [[c for c, n in enumerate(counts) if n <= most] for most in (100, 19)]
    total, y = expert_logits.new_zeros(()), labels.tolist()
    for m, own in enumerate(owned):
        f = expert_logits[:, m]
        mine = [i for i, label in enumerate(y) if label in own]
        if mine:
            total = total + cross_entropy(f[mine], labels[mine])
        foreign = [c for c in range(len(counts)) if c not in own]
        total = total + sum(f[i, c] ** 2 for i in range(len(y)) for c in foreign) / len(y)
    return total


def routing(scores: Tensor, expert_logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy, 100 times for samples that a later prefix gets right and this not."""
    values = []
    for s, f, label in zip(scores, expert_logits, labels.tolist(), strict=True):
        right = [int(mean(list(f[:m])).argmax()) == label for m in range(1, len(f) + 1)]
        for m, score in enumerate(s):
            p = 1 / (1 + torch.exp(-score))
            ask = not right[m] and any(right[m + 1 :])
            values.append(-100 * torch.log(p) if ask else -torch.log(1 - p))
    return mean(values)
