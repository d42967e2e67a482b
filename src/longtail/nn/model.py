"""Encoder and heads as one module with one forward over all views."""

import torch
from torch import Tensor, nn

from longtail.errors import UsageError
from longtail.nn.classifiers import CLASSIFIERS, NearestMean
from longtail.nn.encoders import build_encoder, channels_last
from longtail.nn.experts import ExpertModel
from longtail.nn.heads import Heads, ProjectionHead
from longtail.nn.outputs import Outputs, Scales, scaled


class Model(nn.Module):
    """One encoder, a classifier on the first view and a projection of the others.

    `width` is d, the length of the features.

    Args:
        encoder: module with `out_features`.
        num_classes: c.
        heads: which heads the recipe asks for.
    """

    def __init__(self, encoder: nn.Module, num_classes: int, heads: Heads) -> None:
        super().__init__()
        width = int(encoder.out_features)  # type: ignore[arg-type]
        self.width: int = width
        self.encoder = encoder
        self.classifier = CLASSIFIERS[heads.classifier](width, num_classes)
        self.projection: ProjectionHead | None = None
        self.prototype_head: ProjectionHead | None = None
        self.free_prototypes: nn.Parameter | None = None
        self.radii: nn.Parameter | None = None
        self.nearest_mean: NearestMean | None = None
        if heads.projection:
            self.projection = ProjectionHead(width, *heads.projection)
        elif heads.prototypes:
            raise UsageError("Prototypes live in the projection's space; give Heads a projection.")
        if heads.projection and heads.prototypes == "classifier":
            self.prototype_head = ProjectionHead(width, *heads.projection)
        if heads.projection and heads.prototypes == "free":
            self.free_prototypes = nn.Parameter(torch.randn(num_classes, heads.projection[1]))
        if heads.radii:
            self.radii = nn.Parameter(torch.ones(num_classes))
        if heads.nearest_mean:
            self.nearest_mean = NearestMean(width, num_classes)

    def forward(self, views: Tensor, scales: Scales | None = None) -> Outputs:
        """Outputs of normalised views [v, b, ...], in one pass over their concatenation.

        One pass, so that batch norm sees all views together, as BCL trains.

        Args:
            views: float [v, b, 3, h, w] or [v, b, d].
            scales: factors on each sample's features, or None.
        """
        num_views, batch = views.shape[:2]
        features = self.encoder(channels_last(views.flatten(0, 1)))
        first, others = features[:batch], features[batch:]
        seen = first
        if scales is not None:
            seen = scaled(first, scales.first)
            others = scaled(others, scales.others.repeat(num_views - 1))
        return Outputs(
            logits=self.classifier(seen),
            features=first,
            embeddings=None if self.projection is None else self.projection(others),
            prototypes=self.prototypes(),
            radii=self.radii,
        )

    def prototypes(self) -> Tensor | None:
        """[c, d]: from the classifier's weights (Zhu et al. 2022, 3.2), free ones, or None."""
        if self.prototype_head is not None:
            made: Tensor = self.prototype_head(self.classifier.weight)
            return made
        return self.free_prototypes

    def features(self, inputs: Tensor) -> Tensor:
        """The encoder's features [b, d] of one view."""
        encoded: Tensor = self.encoder(channels_last(inputs))
        return encoded

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits [b, c] and embeddings [b, d] (None without a projection) of one view."""
        features = self.features(inputs)
        embeddings = None if self.projection is None else self.projection(features)
        if self.nearest_mean is not None and self.nearest_mean.fitted:
            return self.nearest_mean(features), embeddings
        return self.classifier(features), embeddings

    def full_logits(self, inputs: Tensor) -> Tensor:
        """Logits [b, c] of one view by the classifier that was trained, without a host's look."""
        logits: Tensor = self.classifier(self.features(inputs))
        return logits


AnyModel = Model | ExpertModel


def build_model(
    backbone: str, input_shape: tuple[int, ...], num_classes: int, heads: Heads, seed: int
) -> AnyModel:
    """A freshly initialised model, with experts where the heads ask for them.

    The same seed gives the same weights; the global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if heads.experts:
            return ExpertModel(backbone, input_shape, num_classes, heads)
        return Model(build_encoder(backbone, input_shape), num_classes, heads)
