"""Several experts on a shared trunk, and the router that decides how many of them are asked.

Letters: v views, b batch, k experts, c classes, d features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.errors import UsageError
from longtail.nn.classifiers import (
    CLASSIFIERS,
    CosineClassifier,
    LinearClassifier,
    ScaledClassifier,
)
from longtail.nn.encoders import Branch, channels_last, split_encoder
from longtail.nn.ensemble import combine_owned, ownership
from longtail.nn.heads import Heads
from longtail.nn.outputs import Outputs, Scales, scaled


class Expert(nn.Module):
    """The later part of an encoder and a classifier.

    Args:
        branch: from what the trunk returns to features [b, d].
        classifier: from features to logits [b, c].
    """

    def __init__(self, branch: Branch, classifier: LinearClassifier | CosineClassifier) -> None:
        super().__init__()
        self.branch = branch
        self.classifier = classifier

    def forward(self, trunk: Tensor, factors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features [b, d] and logits [b, c] from the trunk's output.

        The classifier sees the features times a factor [b] each, where there are factors.
        """
        features = self.branch(trunk)
        logits: Tensor = self.classifier(features if factors is None else scaled(features, factors))
        return features, logits

    @torch.no_grad()
    def weight_norms(self) -> Tensor:
        """[c] lengths of the weight vectors as the logits feel them, so 1 in a cosine."""
        weight = self.classifier.weight
        if isinstance(self.classifier, CosineClassifier):
            return weight.new_ones(len(weight))
        norms: Tensor = torch.linalg.vector_norm(weight, dim=1)
        if isinstance(self.classifier, ScaledClassifier):
            return norms * self.classifier.scale.abs()
        return norms


class Router(nn.Module):
    """Whether the experts asked so far leave a sample to the next one (Wang et al. 2021, RIDE).

    After m experts: the m-th one's features at unit length, a hidden layer of 16 of its own,
    and the largest logits of their mean, in falling order, are scored by a linear layer that all
    steps share. That layer starts with zero weights and bias 1, so an untrained router asks
    every expert; RIDE starts it at random. Nothing flows back into the experts: RIDE freezes them
    while it trains the router.

    Args:
        in_features: d.
        num_classes: c.
        experts: k.
        hidden: width of the hidden layers.
        top: how many of the largest logits are looked at; all where there are fewer.
    """

    def __init__(
        self, in_features: int, num_classes: int, experts: int, hidden: int = 16, top: int = 30
    ) -> None:
        super().__init__()
        self.top = min(top, num_classes)
        layers = [nn.Linear(in_features, hidden) for _ in range(experts - 1)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight)
        self.hidden = nn.ModuleList(layers)
        self.score = nn.Linear(hidden + self.top, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.ones_(self.score.bias)

    def forward(self, asked: int, features: Tensor, mean_logits: Tensor) -> Tensor:
        """Scores [b]; above 0, one more expert should be asked.

        Args:
            asked: m, how many experts were asked, from 1 to k - 1.
            features: [b, d] of the m-th expert.
            mean_logits: [b, c], mean over the first m experts.
        """
        hidden = F.relu(self.hidden[asked - 1](F.normalize(features.detach())))
        largest = mean_logits.detach().topk(self.top).values
        score: Tensor = self.score(torch.cat((hidden, largest), 1)).squeeze(1)
        return score


class ExpertModel(nn.Module):
    """A shared trunk and experts with their own later stages and classifiers.

    The names `encoder` (the trunk), `experts.0`, `experts.0.classifier` and `router` are prefixes
    of the parameters they hold. Experts have no projection: only the first view is looked at.

    Args:
        backbone: a ResNet for 32x32 pictures or an mlp, as `split_encoder` takes it.
        input_shape: (h, w, 3) of a picture or (d,) of a vector.
        num_classes: c.
        heads: with `experts`; its `classifier` is each expert's.

    Raises:
        UsageError: a backbone that cannot be cut, other heads that experts do not have, or
            owned classes that do not fit the classes.
    """

    owned: Tensor | None

    def __init__(
        self, backbone: str, input_shape: tuple[int, ...], num_classes: int, heads: Heads
    ) -> None:
        super().__init__()
        experts = heads.experts
        if experts is None or heads != Heads(classifier=heads.classifier, experts=experts):
            raise UsageError(f"{heads}: experts have classifiers and no other heads.")
        trunk, make_branch = split_encoder(
            backbone, input_shape, experts.shared_stages, experts.width
        )
        branches = [make_branch() for _ in range(experts.number)]
        width = branches[0].out_features
        self.width: int = experts.number * width
        self.trunk_learns_from = experts.trunk_learns_from
        self.encoder = trunk
        self.experts = nn.ModuleList(
            Expert(branch, CLASSIFIERS[heads.classifier](width, num_classes)) for branch in branches
        )
        self.router = Router(width, num_classes, experts.number) if experts.router else None
        owned = None if experts.owned is None else ownership(experts.owned, num_classes)
        self.register_buffer("owned", owned, persistent=False)  # follows from the recipe

    def forward(self, views: Tensor, scales: Scales | None = None) -> Outputs:
        """Outputs of the first of the normalised views [v, b, ...].

        `features` are the experts' side by side, [b, k * d]; `logits` their combination: the mean,
        or with owned classes `combine_owned`.

        Args:
            views: float [v, b, 3, h, w] or [v, b, d].
            scales: factors on each sample's features, or None.
        """
        trunk = self.encoder(channels_last(views[0]))
        factors = None if scales is None else scales.first
        others = trunk.detach() if self.trunk_learns_from == "first" else trunk
        seen = [trunk, *[others] * (len(self.experts) - 1)]
        features, logits = zip(
            *(expert(x, factors) for expert, x in zip(self.experts, seen, strict=True)), strict=True
        )
        expert_logits = torch.stack(logits, 1)
        return Outputs(
            self._combine(expert_logits),
            torch.cat(features, 1),
            expert_logits=expert_logits,
            routing=self._routing(features, expert_logits),
        )

    def prototypes(self) -> None:
        """None: experts have none."""
        return

    def features(self, inputs: Tensor) -> Tensor:
        """The experts' features of one view side by side, [b, k * d]."""
        features: Tensor = self(inputs[None]).features
        return features

    def predict(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Logits [b, c] of one view, and None for embeddings.

        In evaluation mode with a router they are `predict_routed`'s, else the combination of all.
        """
        if self.router is not None and not self.training:
            return self.predict_routed(inputs)[0], None
        return self.full_logits(inputs), None

    def full_logits(self, inputs: Tensor) -> Tensor:
        """Logits [b, c] of one view by all experts, whatever a router would say."""
        outputs: Outputs = self(inputs[None])
        return outputs.logits

    def predict_routed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Ask expert after expert and stop, sample by sample, at the first score of 0 or less.

        An expert computes nothing for samples that stopped before it. Without a router every
        expert is asked.

        Args:
            inputs: one view, float [b, 3, h, w] or [b, d].

        Returns:
            Logits [b, c], the mean of the experts that were asked, and how many they were, int64
            [b] from 1 to k; `experts_used.double().mean()` is what a prediction costs.
        """
        if self.router is None:
            logits = self.full_logits(inputs)
            return logits, torch.full((len(logits),), len(self.experts), device=logits.device)
        trunk = self.encoder(channels_last(inputs))
        going = torch.arange(len(inputs), device=inputs.device)
        features, total = self.experts[0](trunk)
        used = torch.ones_like(going)
        for asked, expert in enumerate(self.experts[1:], start=1):
            more = self.router(asked, features, total[going] / asked) > 0
            going = going[more]
            if not len(going):
                break
            features, logits = expert(trunk[going])
            total = total.index_add(0, going, logits)
            used = used.index_add(0, going, torch.ones_like(going))
        return total / used[:, None], used

    def _combine(self, expert_logits: Tensor) -> Tensor:
        if self.owned is None:
            return expert_logits.mean(1)
        norms = torch.stack([expert.weight_norms() for expert in self.experts])  # type: ignore[operator]
        return combine_owned(expert_logits, norms, self.owned)

    def _routing(self, features: tuple[Tensor, ...], expert_logits: Tensor) -> Tensor | None:
        if self.router is None:
            return None
        asked = range(1, len(self.experts))
        scores = [self.router(m, features[m - 1], expert_logits[:, :m].mean(1)) for m in asked]
        return torch.stack(scores, 1)
