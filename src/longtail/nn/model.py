"""Encoder and heads as one module with one forward over all views."""

import torch
from torch import Tensor, nn

from longtail.errors import UsageError
from longtail.nn.encoders import build_encoder
from longtail.nn.heads import CosineClassifier, Heads, LinearClassifier, ProjectionHead
from longtail.nn.outputs import Outputs


class Model(nn.Module):
    """One encoder, a classifier on the first view and a projection of the others.

    Args:
        encoder: module with `out_features`.
        num_classes: c.
        heads: which heads the recipe asks for.
    """

    def __init__(self, encoder: nn.Module, num_classes: int, heads: Heads) -> None:
        super().__init__()
        width = int(encoder.out_features)  # type: ignore[arg-type]
        make_classifier = CosineClassifier if heads.classifier == "cosine" else LinearClassifier
        self.encoder = encoder
        self.classifier = make_classifier(width, num_classes)
        self.projection: ProjectionHead | None = None
        self.prototype_head: ProjectionHead | None = None
        if heads.projection:
            self.projection = ProjectionHead(width, *heads.projection)
        if heads.prototypes and not heads.projection:
            raise UsageError("Prototypes live in the projection's space; give Heads a projection.")
        if heads.projection and heads.prototypes == "classifier":
            self.prototype_head = ProjectionHead(width, *heads.projection)

    def forward(self, views: Tensor, feature_scale: Tensor | None = None) -> Outputs:
        """Outputs of normalised views [v, b, ...], in one pass over their concatenation.

        One pass, so that batch norm sees all views together, as BCL trains.

        Args:
            views: float [v, b, 3, h, w] or [v, b, d].
            feature_scale: [b], multiplies the features of the other views before the projection.
        """
        num_views, batch = views.shape[:2]
        features = self.encoder(_channels_last(views.flatten(0, 1)))
        logits = self.classifier(features[:batch])
        if self.projection is None:
            return Outputs(logits, features[:batch])
        others = features[batch:]
        if feature_scale is not None:
            others = others * feature_scale.repeat(num_views - 1)[:, None].to(others.dtype)
        return Outputs(logits, features[:batch], self.projection(others), self.prototypes())

    def prototypes(self) -> Tensor | None:
        """[c, d] from the classifier's weights (Zhu et al. 2022, 3.2), or None."""
        return None if self.prototype_head is None else self.prototype_head(self.classifier.weight)

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits [b, c] and embeddings [b, d] (None without a projection) of one view."""
        features = self.encoder(_channels_last(inputs))
        embeddings = None if self.projection is None else self.projection(features)
        return self.classifier(features), embeddings


def build_model(
    backbone: str, input_shape: tuple[int, ...], num_classes: int, heads: Heads, seed: int
) -> Model:
    """A freshly initialised model.

    The same seed gives the same weights; the global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Model(build_encoder(backbone, input_shape), num_classes, heads)


def _channels_last(inputs: Tensor) -> Tensor:
    """Pictures laid out as the convolutions of CPUs and tensor cores are fastest on."""
    if inputs.ndim != 4:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)
