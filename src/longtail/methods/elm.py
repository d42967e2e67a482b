"""ELM: margins on embeddings as well as on logits."""

from longtail.losses import EmbeddingMarginLoss, LogitAdjustedLoss
from longtail.losses.embedding import Distance
from longtail.methods.knobs import at_least
from longtail.nn.heads import Heads
from longtail.recipe import DataInfo, Method, Range, Recipe, Stage, Term


def elm(
    data: DataInfo,
    *,
    la_tau: float = 1.0,
    embedding_weight: float = 0.1,
    margin_tau: float = 1.0,
    distance: Distance = "euclidean",
) -> Recipe:
    """Logit adjustment, and a contrast of the encoder's features with margins by class frequency.

    Jitkrittum et al. 2022 (arXiv 2204.13208). Its formulas could not be read: the second term is a
    reconstruction from the abstract and from what RCL says of it (see `embedding_margin_loss`), and
    so are its weight and strength. No code was released. The numbers are those of RCL's Table 2.

    Args:
        data: class counts.
        la_tau: strength of the margins on logits, 0 or more.
        embedding_weight: of the second term, 0 or more.
        margin_tau: strength of the margins on embeddings, 0 or more.
        distance: "euclidean" (squared) or "cosine".
    """
    for name, value in (("la_tau", la_tau), ("embedding_weight", embedding_weight)):
        at_least(name, value, 0)
    at_least("margin_tau", margin_tau, 0)
    embedding = EmbeddingMarginLoss(data.class_counts, margin_tau, distance=distance)
    terms = (
        Term("logit", 1.0, LogitAdjustedLoss(data.class_counts, la_tau)),
        Term("embedding", embedding_weight, embedding, ("features",)),
    )
    return Recipe(views=("strong",), heads=Heads(), stages=(Stage(terms),))


METHOD = Method(
    elm,
    title="ELM",
    reference="Jitkrittum et al., arXiv 2204.13208",
    year=2022,
    published={"cifar10-lt-if100": 78.0, "cifar100-lt-if100": 45.8, "imagenet-lt": 50.6},
    search={
        "la_tau": Range(0, 3),
        "embedding_weight": Range(0.01, 1, log=True),
        "margin_tau": Range(0, 3),
    },
)
