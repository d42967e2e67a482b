"""What a recipe needs and does, in sentences for people."""

from collections.abc import Iterator

from longtail.nn.heads import Heads
from longtail.recipe import Recipe, Stage


def needs(recipe: Recipe) -> Iterator[str]:
    """What a recipe asks of data, backbone and time."""
    count = len(recipe.views)
    yield f"{count} view{'s' if count > 1 else ''} a sample: {', '.join(recipe.views)}."
    yield from _parts(recipe.heads)
    if recipe.compression:
        yield "A hold-out, to find the weak classes on."
    if recipe.refit and recipe.refit.chooses:
        yield f"A hold-out, to choose {recipe.refit.chooses} on; or a value for it."
    if recipe.teacher:
        yield f"The finished run {recipe.teacher}, to learn from."
    if len(recipe.stages) > 1:
        yield f"At least {len(recipe.stages)} epochs, one a stage."


def stages(recipe: Recipe) -> Iterator[str]:
    """Each stage in a line."""
    yield from (_stage(number, stage) for number, stage in enumerate(recipe.stages, start=1))
    if any(callable(term.weight) for stage in recipe.stages for term in stage.terms):
        yield "The weights of the terms change as training goes on."
    if recipe.feature_factors:
        yield f"Class factors on features after {100 * recipe.feature_factors.start:.3g} %."
    if recipe.refit:
        yield "After training the classifier is computed from features."
    if recipe.posthoc:
        yield "The logits are adjusted before prediction."


def _parts(heads: Heads) -> Iterator[str]:
    if heads.experts:
        yield "A backbone that can be cut: a ResNet for 32x32 pictures, or mlp for vectors."
        if heads.experts.owned:
            yield f"At least {heads.experts.number} classes, one an expert."
    if heads.projection:
        hidden, out = heads.projection
        yield f"A projection to {out} numbers through {hidden}."


def _stage(number: int, stage: Stage) -> str:
    """Such as "2. 13 % of the epochs: logit; class-aware sampling; trains classifier"."""
    parts = [
        f"{100 * stage.share:.3g} % of the epochs: {', '.join(term.name for term in stage.terms)}",
        "samples drawn by a meta sampler" if stage.meta else f"{stage.sampler} sampling",
    ]
    if stage.contrast_sampler:
        parts.append(f"{stage.contrast_sampler} sampling of the other views")
    if stage.trainable:
        parts.append(f"trains {', '.join(stage.trainable)}")
    if stage.reset:
        parts.append(f"{', '.join(stage.reset)} from fresh values")
    if stage.restart:
        parts.append(f"its own {stage.restart.schedule} schedule from {stage.restart.lr:g}")
    return f"{number}. {'; '.join(parts)}"
