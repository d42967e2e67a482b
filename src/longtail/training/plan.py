"""A run before it starts: what will be trained, on what, and how, all of it settled."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import torch

from longtail.data.batches import Normalisation, input_statistics
from longtail.data.dataset import Dataset
from longtail.data.hashing import pictures_hash
from longtail.errors import DataError, UsageError
from longtail.methods.resolve import Resolved
from longtail.record import Decisions, read_bytes, versions
from longtail.training.stages import phases

_EVALUATIONS = 20  # live accuracies a run, unless --eval-every says otherwise


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run's configuration.

    Attributes:
        resolved: method, knobs, recipe and settings.
        backbone: name of the encoder.
        seed: keys every draw and the initial weights.
        eval_every: epochs between two live accuracies.
        statistics: for normalising inputs.
        decisions: precision, threads, compile and device.
    """

    resolved: Resolved
    backbone: str
    seed: int
    eval_every: int
    statistics: Normalisation
    decisions: Decisions

    @property
    def device(self) -> torch.device:
        """Where the model is trained."""
        return torch.device(self.decisions.device)


def make_plan(
    dataset: Dataset,
    resolved: Resolved,
    *,
    backbone: str,
    seed: int,
    eval_every: int | None,
    decisions: Decisions,
) -> Plan:
    """Check that method, data and settings fit, before anything is trained.

    Raises:
        DataError: a method that needs a hold-out without one, or too few pictures for a batch.
        UsageError: an `eval_every` below 1, or fewer epochs than the method has stages.
    """
    settings, recipe = resolved.settings, resolved.recipe
    if eval_every is not None and eval_every < 1:
        raise UsageError(f"--eval-every {eval_every}: it counts epochs and must be at least 1.")
    if len(dataset.train) < 2:
        raise DataError(f"{dataset.name}: batch norm needs at least 2 training samples.")
    if dataset.holdout is None:
        _refuse_without_holdout(resolved)
    # A batch larger than the data is all of them; batch norm wants more than one sample.
    batch = min(settings.batch_size, len(dataset.train))
    if batch < 2:
        raise UsageError("--batch-size 1: batch norm and contrast need at least 2 samples.")
    resolved = dataclasses.replace(
        resolved, settings=dataclasses.replace(settings, batch_size=batch)
    )
    phases(recipe.stages, resolved.settings)  # raises where there are more stages than epochs
    every = eval_every or max(1, settings.epochs // _EVALUATIONS)
    return Plan(resolved, backbone, seed, every, input_statistics(dataset), decisions)


def _refuse_without_holdout(resolved: Resolved) -> None:
    recipe, advice = resolved.recipe, "Add --holdout 0.1 (or discarded:20 for a cut dataset)"
    if recipe.compression:
        raise DataError(
            "Compression chooses its weak classes by their accuracy on a hold-out, and there is "
            f"none. {advice}."
        )
    if recipe.refit and recipe.refit.chooses:
        raise DataError(
            f"{resolved.method} chooses {recipe.refit.chooses} by the balanced accuracy on a "
            f"hold-out, and there is none. {advice}, or set it: --set {recipe.refit.chooses}=1."
        )


def configuration(plan: Plan, dataset: Dataset, holdout: str | None) -> dict[str, Any]:
    """What must be equal for a checkpoint to be continued, and the versions, which should be."""
    resolved, teacher = plan.resolved, plan.resolved.recipe.teacher
    weights = Path(teacher or "") / "model.safetensors"
    return {
        # The folder's name is among the knobs, but other weights may come to lie there.
        **({"teacher": hashlib.sha256(read_bytes(weights)).hexdigest()} if teacher else {}),
        "method": resolved.method,
        "recipe": resolved.recipe_kind,
        "knobs": resolved.knobs,
        "settings": dataclasses.asdict(resolved.settings),
        "backbone": plan.backbone,
        "seed": plan.seed,
        "eval_every": plan.eval_every,
        "data_hash": dataset.data_hash,
        "labels_and_test": _labels_and_test(dataset),
        "train_counts": dataset.counts.tolist(),
        "holdout": holdout,
        "decisions": dataclasses.asdict(plan.decisions),
        "versions": versions(("longtail", "torch")),
    }


def _labels_and_test(dataset: Dataset) -> str:
    """What the data hash, which is of the training pictures alone, does not cover."""
    digest = hashlib.sha256(dataset.train.labels.tobytes())
    for split in (dataset.holdout, dataset.test):
        if split is not None:
            digest.update(split.labels.tobytes() + pictures_hash(split.inputs).encode())
    return digest.hexdigest()
