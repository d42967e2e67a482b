"""The meta sampler: how often each class is drawn is learned by looking one step ahead.

Source: Ren et al. 2020, arXiv 2007.10740, section 3.3 (BALMS). A weight w a class gives every
training sample the score sigmoid(w_y); a batch is drawn in proportion to the scores. Before each
step of the classifier, the same step is taken on trial, its loss on class-balanced samples is
differentiated through the step and through the draw, and Adam moves w.

Letters: n training samples, b batch, m meta batch, c classes, d features.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from longtail.errors import UsageError
from longtail.keyed import fold
from longtail.prior import log_prior

# Noise values held at once, or one batch row's where the data have more samples: 2 MiB of 64-bit
# keys, which stay in a processor's cache.
_NOISE_AT_ONCE = 2**18

PerSampleLoss = Callable[[Tensor, Tensor], Tensor]
"""(logits [b, c], labels int64 [b]) -> float [b], twice differentiable in the logits."""


class MetaState(NamedTuple):
    """The learned weights and Adam's memory of them; a checkpoint keeps each by its name.

    Attributes:
        weights: float32 [c]; sigmoid of it is the score of a class's samples.
        first_moment: float32 [c], running mean of the gradient.
        second_moment: float32 [c], running mean of its square.
        steps: float32 scalar, steps taken; a tensor as the others, so that all are saved alike.
    """

    weights: Tensor
    first_moment: Tensor
    second_moment: Tensor
    steps: Tensor


class MetaDraw(NamedTuple):
    """A drawn batch and what the gradient must know of the noise that drew it.

    Attributes:
        rows: int64 [b], positions in the training data; one may come more than once.
        labels: int64 [b], their classes.
        log_masses: float32 [b, c], log sum over a class's samples of exp((g_j - g_row) /
            temperature), g the Gumbel noise; -inf for a class without a sample.
        temperature: of the relaxed draw.
    """

    rows: Tensor
    labels: Tensor
    log_masses: Tensor
    temperature: float


def initial_weights(class_counts: npt.ArrayLike, power: float) -> Tensor:
    """Where the weights start: logit(v), v = pi^-power / (its least + its greatest), float32 [c].

    Args:
        class_counts: [c], training samples a class; 0 counts as 1.
        power: 0 (CIFAR) gives every sample the score one half; more favours rare classes.
    """
    rarity = np.exp(-power * log_prior(class_counts))
    scores = rarity / (rarity.min() + rarity.max())
    return torch.tensor(np.log(scores) - np.log1p(-scores), dtype=torch.float32)


def initial_state(class_counts: npt.ArrayLike, power: float) -> MetaState:
    """The state before the first step, on the CPU; see `initial_weights`."""
    weights = initial_weights(class_counts, power)
    return MetaState(weights, torch.zeros_like(weights), torch.zeros_like(weights), torch.zeros(()))


def draw(
    weights: Tensor, labels: Tensor, batch_size: int, key: Tensor, *, temperature: float = 1.0
) -> MetaDraw:
    """Draw a batch with replacement, each row with probability sigmoid(w_y) over the sum of all.

    Row i of the batch is the sample with the greatest log sigmoid(w_y) + Gumbel noise, where the
    noise is a hash of (key, i, sample). Drawing a class and then a sample in it would give the same
    rows for less, but the relaxed draw needs all of a batch row's noise. It needs it summed by
    class only, since samples of a class share their score, so no [b, n] tensor outlives its use.

    Args:
        weights: float [c].
        labels: int64 [n], values in [0, c).
        batch_size: b, at least 1.
        key: scalar key of this step's draw, see `longtail.keyed`.
        temperature: of `relaxed`; the rows do not depend on it.

    Raises:
        UsageError: a temperature that is not above 0.
    """
    if temperature <= 0:
        raise UsageError(f"The meta sampler's temperature is {temperature}; it must be above 0.")
    log_scores = F.logsigmoid(weights.detach())
    by_class, starts = _grouped(labels, len(weights))
    parts = []
    batch = torch.arange(batch_size, device=labels.device)
    for positions in torch.split(batch, max(1, _NOISE_AT_ONCE // len(labels))):
        scores = log_scores[labels, None] + _gumbel(key, positions, len(labels))
        best, rows = scores.max(0)
        # Relative to the best no power overflows; a bag is a class, summed in a fixed order.
        shares = torch.exp((scores - best) / temperature)
        parts.append((rows, F.embedding_bag(by_class, shares, starts, mode="sum").T))
    rows, masses = (torch.cat(part) for part in zip(*parts, strict=True))
    drawn = labels[rows]
    of_noise = (log_scores[drawn, None] - log_scores) / temperature
    return MetaDraw(rows, drawn, masses.log() + of_noise, temperature)


def relaxed(weights: Tensor, drawn: MetaDraw) -> Tensor:
    """The Gumbel-softmax share of each drawn row among all samples, float [b] in (0, 1].

    softmax_j((log sigmoid(w_{y_j}) + g_j) / temperature) at the drawn row, for the noise that was
    drawn: differentiable in the weights, which need not be those of the draw.

    Args:
        weights: float [c].
        drawn: by `draw`.
    """
    log_scores = F.logsigmoid(weights)
    advantage = (log_scores - log_scores[drawn.labels, None]) / drawn.temperature
    return torch.exp(-torch.logsumexp(advantage + drawn.log_masses, 1))


def straight_through(weights: Tensor, drawn: MetaDraw) -> Tensor:
    """Ones [b] whose gradient in the weights is that of `relaxed`."""
    shares = relaxed(weights, drawn)
    return 1 + (shares - shares.detach())  # in this order exactly one


def meta_gradient(
    weights: Tensor,
    drawn: MetaDraw,
    classifier: nn.Module,
    momenta: Mapping[str, Tensor],
    features: Tensor,
    meta_features: Tensor,
    meta_labels: Tensor,
    *,
    inner_loss: PerSampleLoss,
    lr: float | Tensor,
    momentum: float,
    weight_decay: float,
    nesterov: bool = False,
) -> tuple[Tensor, Tensor]:
    """How the loss on the meta batch, after one step on the drawn batch, moves with the weights.

    The step is on trial: neither the classifier nor its momenta change. Only the classifier is
    looked ahead through; the encoder counts as fixed.

    Args:
        weights: float [c].
        drawn: by `draw` at these weights.
        classifier: [b, d] features to [b, c] logits.
        momenta: the optimiser's momentum of each parameter, by its name in `classifier`; one that
            is missing is 0, as before the first step.
        features: float [b, d], of the drawn rows.
        meta_features: float [m, d], of class-balanced samples.
        meta_labels: int64 [m].
        inner_loss: what the step descends, sample by sample; Balanced Softmax in the paper.
        lr: rate of the step.
        momentum: of the step, like the next two.
        weight_decay: L2 on every parameter of the classifier.
        nesterov: whether in Nesterov's form.

    Returns:
        (gradient [c], meta loss scalar), detached; the meta loss is plain cross-entropy.
    """
    with torch.enable_grad():
        weights = weights.detach().requires_grad_()
        parameters = {k: p.detach().requires_grad_() for k, p in classifier.named_parameters()}
        logits = functional_call(classifier, parameters, (features,))
        values = inner_loss(logits, drawn.labels) * straight_through(weights, drawn)
        taken = torch.autograd.grad(values.mean(), list(parameters.values()), create_graph=True)
        ahead = sgd_step(
            parameters,
            dict(zip(parameters, taken, strict=True)),
            momenta,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )
        meta_logits = functional_call(classifier, ahead, (meta_features,))
        loss = F.cross_entropy(meta_logits, meta_labels)
        (gradient,) = torch.autograd.grad(loss, weights)
    return gradient, loss.detach()


def sgd_step(
    parameters: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    momenta: Mapping[str, Tensor],
    *,
    lr: float | Tensor,
    momentum: float,
    weight_decay: float,
    nesterov: bool = False,
) -> dict[str, Tensor]:
    """The parameters after the step that `torch.optim.SGD` would take, differentiable in all.

    Args:
        parameters: by name.
        gradients: of each.
        momenta: of each; one that is missing is 0.
        lr: rate.
        momentum: factor on the old momenta.
        weight_decay: L2.
        nesterov: whether to step along the gradient and the new momentum together.
    """
    stepped = {}
    for name, parameter in parameters.items():
        slope = gradients[name] + weight_decay * parameter
        velocity = slope + momentum * momenta[name] if name in momenta else slope
        direction = slope + momentum * velocity if nesterov else velocity
        stepped[name] = parameter - lr * direction
    return stepped


def adam_step(state: MetaState, gradient: Tensor, lr: float) -> MetaState:
    """The state after one step of Adam (Kingma and Ba 2015, Algorithm 1, its defaults).

    Args:
        state: of the meta sampler; not changed.
        gradient: float [c], of the meta loss in the weights.
        lr: step size; 0.01 (CIFAR) or 0.001 (ImageNet-LT) in the paper's experiments.
    """
    steps = state.steps + 1
    first = 0.9 * state.first_moment + 0.1 * gradient
    second = 0.999 * state.second_moment + 0.001 * gradient.square()
    # 1 - decay ** steps, without the digits that float32 would lose near 1.
    first_begun, second_begun = (-torch.expm1(steps * math.log(decay)) for decay in (0.9, 0.999))
    spread = torch.sqrt(second / second_begun) + 1e-8
    weights = state.weights - lr * (first / first_begun) / spread
    return MetaState(weights, first, second, steps)


def _grouped(labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Positions of the samples class by class, int64 [n], and where each class begins, [c]."""
    by_class = labels.argsort(stable=True)
    classes = torch.arange(num_classes, device=labels.device)
    return by_class, torch.searchsorted(labels[by_class], classes)


def _gumbel(key: Tensor, positions: Tensor, num_samples: int) -> Tensor:
    """Gumbel noise of every sample for each position in the batch, float32 [n, positions].

    All 32 bits count, where `longtail.keyed.uniform` has 24: of 100,000 samples the greatest noise
    would be a tie in one draw of 300.
    """
    samples = torch.arange(num_samples, device=positions.device)
    bits = fold(key, positions, samples[:, None]).to(torch.float32)
    # Fine near 0, where the noise is great; the factor is a bit short of 2**-32, so that keys which
    # round up to 2**32 stay below 1, where the noise is still finite.
    uniform = (bits + 0.5) * (2.0**-32 - 2.0**-56)
    return -torch.log(-torch.log1p(-uniform))
