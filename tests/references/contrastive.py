"""The contrastive family, anchor by anchor and key by key, as the papers print it.

Every mass is an explicit sum of exponentials. Nothing here is numerically safe: use float64 and
moderate temperatures.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

AnchorLoss = Callable[[int], Tensor]


def unit(rows: Iterable[Tensor]) -> list[Tensor]:
    return [row / torch.sqrt((row * row).sum()) for row in rows]


def mean(values: list[Tensor]) -> Tensor:
    return sum(values[1:], values[0]) / len(values)


def others(y: list[int], label: int, i: int) -> list[int]:
    """B_j without the anchor itself."""
    return [k for k in range(len(y)) if y[k] == label and k != i]


def over_anchors(z: list[Tensor], anchors: list[int], loss: AnchorLoss) -> Tensor:
    """The mean over the anchors that have a positive; zero where there is none."""
    return mean([loss(i) for i in anchors]) if anchors else 0.0 * z[0].sum()


def with_mates(y: list[int]) -> list[int]:
    return [i for i in range(len(y)) if others(y, y[i], i)]


def scl(features: Tensor, labels: Tensor, tau: float) -> Tensor:
    """Khosla et al. 2020, Eq. 2 (L_out)."""
    z, y = unit(features), labels.tolist()

    def loss(i: int) -> Tensor:
        mass = sum(torch.exp(z[i] @ z[a] / tau) for a in range(len(y)) if a != i)
        return -mean([torch.log(torch.exp(z[i] @ z[p] / tau) / mass) for p in others(y, y[i], i)])

    return over_anchors(z, with_mates(y), loss)


def bcl(features: Tensor, labels: Tensor, prototypes: Tensor, tau: float) -> Tensor:
    """Zhu et al. 2022: every class's keys are averaged, its prototype among them."""
    return class_means(features, labels, prototypes, [1] * len(prototypes), tau)


def rcl(features: Tensor, labels: Tensor, counts: list[int], tau: float) -> Tensor:
    """De Alvis et al. 2023, Eq. 4."""
    z, y = unit(features), labels.tolist()

    def loss(i: int) -> Tensor:
        mass = sum(
            n * torch.exp(z[i] @ z[k] / tau) for j, n in enumerate(counts) for k in others(y, j, i)
        )
        shares = [counts[y[i]] * torch.exp(z[i] @ z[p] / tau) / mass for p in others(y, y[i], i)]
        return -mean([torch.log(share) for share in shares])

    return over_anchors(z, with_mates(y), loss)


def rcl_margins(features: Tensor, labels: Tensor, counts: list[int], tau: float) -> Tensor:
    """De Alvis et al. 2023, Eq. 6: the same as Eq. 4, written with margins log(n_j / n_y)."""
    z, y = unit(features), labels.tolist()

    def gap(i: int, p: int, k: int) -> Tensor:
        margin = torch.log(torch.tensor(counts[y[k]] / counts[y[i]], dtype=features.dtype))
        return torch.exp((z[i] @ z[k] - z[i] @ z[p]) / tau + margin)

    def loss(i: int) -> Tensor:
        rivals = [k for k in range(len(y)) if k != i]
        return mean([torch.log(sum(gap(i, p, k) for k in rivals)) for p in others(y, y[i], i)])

    return over_anchors(z, with_mates(y), loss)


def bcl_rcl(
    features: Tensor, labels: Tensor, prototypes: Tensor, counts: list[int], tau: float
) -> Tensor:
    """De Alvis et al. 2023, Eq. 5."""
    return class_means(features, labels, prototypes, counts, tau)


def class_means(
    features: Tensor, labels: Tensor, prototypes: Tensor, weights: list[int], tau: float
) -> Tensor:
    """-mean_p log( n_y e^{z_i.p/tau} / sum_j n_j mean_k e^{z_i.k/tau} ), k in B_j + c_j, not i."""
    z, centre, y = unit(features), unit(prototypes), labels.tolist()

    def keys(j: int, i: int) -> list[Tensor]:
        return [z[k] for k in others(y, j, i)] + [centre[j]]

    def loss(i: int) -> Tensor:
        mass = sum(
            n * mean([torch.exp(z[i] @ k / tau) for k in keys(j, i)]) for j, n in enumerate(weights)
        )
        own = weights[y[i]]
        return -mean([torch.log(own * torch.exp(z[i] @ p / tau) / mass) for p in keys(y[i], i)])

    return over_anchors(z, list(range(len(y))), loss)


def family(
    features: Tensor,
    labels: Tensor,
    prototypes: Tensor | None,
    counts: list[int] | None,
    average: bool,
    tau: float,
    scale: list[float] | None = None,
    scale_on: str = "both",
) -> Tensor:
    """All combinations of the switches, with the compression factor of each feature's class."""
    y = labels.tolist()
    per_class = counts if counts else prototypes
    classes = range(max(y) + 1 if per_class is None else len(per_class))
    factor = [1.0 if scale is None else scale[label] for label in y]
    z = unit(features)
    anchor = [f * v for f, v in zip(factor, z, strict=True)] if scale_on != "keys" else z
    key = [f * v for f, v in zip(factor, z, strict=True)] if scale_on != "anchors" else z
    centre = [] if prototypes is None else unit(prototypes)

    def keys(j: int, i: int) -> list[Tensor]:
        return [key[k] for k in others(y, j, i)] + centre[j : j + 1]

    def mass(i: int, j: int) -> Tensor:
        terms = [torch.exp(anchor[i] @ k / tau) for k in keys(j, i)]
        total = sum(terms, features.new_zeros(()))
        share = total / len(terms) if average and terms else total
        return share * counts[j] if counts else share

    def loss(i: int) -> Tensor:
        everything = sum(mass(i, j) for j in classes)
        own = counts[y[i]] if counts else 1
        pulls = [own * torch.exp(anchor[i] @ p / tau) / everything for p in keys(y[i], i)]
        return -mean([torch.log(pull) for pull in pulls])

    return over_anchors(z, [i for i in range(len(y)) if keys(y[i], i)], loss)
