"""A finished run, and what can be done with it."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from longtail.data.batches import Normalisation
from longtail.data.dataset import Dataset, Split, joined, split_of
from longtail.data.decode import decode
from longtail.data.load import SOURCES, load_dataset
from longtail.errors import CheckpointError, DataError, UsageError
from longtail.evaluation import Scores, score
from longtail.losses import posthoc_logit_adjustment
from longtail.methods.assumed_prior import assumed_prior
from longtail.methods.resolve import Resolved, resolve
from longtail.metrics import confusion_matrix, summarise_confusion
from longtail.nn.model import AnyModel, build_model
from longtail.nn.weights import read_weights
from longtail.prior import log_prior
from longtail.recipe import DataInfo
from longtail.record import Predictions, Record, SplitMetrics, read_predictions, read_record


class Prediction(NamedTuple):
    """What a model says of one input.

    Attributes:
        source: the file, or the position in the array.
        classes: names, most probable first.
        probabilities: softmax of the logits, under a uniform prior for prior-aware methods.
    """

    source: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it lies.
        record: its `record.json`.
    """

    folder: Path
    record: Record

    @functools.cached_property
    def model(self) -> AnyModel:
        """The trained model, in evaluation mode on the CPU.

        Raises:
            CheckpointError: the weights are missing, corrupt or of another model.
        """
        data = self.record.data
        model = build_model(
            self.record.backbone,
            data.input_shape,
            len(data.class_names),
            self.resolved.recipe.heads,
            self.record.seed,
        )
        path = self.folder / "model.safetensors"
        weights = read_weights(path)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"{path}: not the weights of this run ({str(error).splitlines()[0]}). Its "
                "checkpoint may still be intact: run its train command with --resume."
            ) from error
        return model.eval()

    @functools.cached_property
    def resolved(self) -> Resolved:
        """The method with the knobs it was trained with."""
        record = self.record
        counts = np.asarray(record.data.train_counts, np.int64)
        return resolve(record.method, DataInfo(counts), knobs=record.knobs, recipe=record.recipe)

    def evaluate(self, data: str | Dataset | None = None, *, la_tau: float = 0.0) -> SplitMetrics:
        """Metrics on the test split of `data`, or on the run's own.

        With `la_tau` the logits are adjusted first: f - la_tau * log pi, pi the training prior
        (Menon et al. 2021, arXiv 2007.07314, Eq. 9), for logits that are under it: plain
        cross-entropy's, see `longtail.methods.assumed_prior`.

        Args:
            data: what `train` takes, with the same classes: its test split, or all of it where it
                has none of its own; None is the run's own test split.
            la_tau: strength of the adjustment, 0 or more; 0 leaves the logits as they are.

        Raises:
            DataError: no test split, other classes, or inputs of another shape.
            UsageError: a negative `la_tau`, or one for logits not under the training prior.
            CheckpointError: the run's files are missing or corrupt.
        """
        confusion = self.confusion(data, la_tau=la_tau)
        return summarise_confusion(confusion, self.record.data.train_counts)

    def confusion(
        self, data: str | Dataset | None = None, *, la_tau: float = 0.0
    ) -> npt.NDArray[np.int64]:
        """Confusion matrix int64 [c, c], row = true class; arguments and errors as `evaluate`."""
        num_classes = len(self.record.data.class_names)
        self._check_adjustable(la_tau)
        if data is None:
            if self.record.metrics.test is None:
                raise DataError(f"{self.folder}: trained without a test split; name some DATA.")
            kept = read_predictions(self.folder / "predictions-test.npz")
            return confusion_matrix(kept.labels, self._kept_classes(kept, la_tau), num_classes)
        test = self._test_split(data)
        predicted = np.asarray(self._adjusted(self.score(test).logits, la_tau).argmax(1), np.int64)
        return confusion_matrix(test.labels, predicted, num_classes)

    def _check_adjustable(self, la_tau: float) -> None:
        if not la_tau >= 0:
            raise UsageError(f"la_tau is {la_tau}; it must be at least 0.")
        if not la_tau:
            return
        counts = self.record.data.train_counts
        assumed = assumed_prior(self.resolved.recipe, counts)
        if assumed.log_prior is None:
            raise UsageError(
                f"{self.folder}: {self.record.method}'s logits are under no known prior that could "
                f"be taken off: {assumed.reason}. Adjust a run of ce, for example."
            )
        if not np.allclose(assumed.log_prior, log_prior(counts)):
            raise UsageError(
                f"{self.folder}: {self.record.method} accounts for the class prior already, and "
                "adjusting its logits would do so twice. Adjust a run of ce, for example."
            )

    def _kept_classes(self, kept: Predictions, la_tau: float) -> npt.NDArray[np.int64]:
        """The predicted classes of kept predictions, adjusted or as they were."""
        if not la_tau:
            return kept.predicted
        if kept.logit_classes is not None:
            raise DataError(
                f"{self.folder} keeps the largest logits alone, and the adjustment may lift others "
                "above them; name the DATA, whose logits are then computed."
            )
        logits = self._adjusted(kept.logits.astype(np.float32), la_tau)
        return np.asarray(logits.argmax(1), np.int64)

    def _adjusted(self, logits: npt.NDArray[np.float32], la_tau: float) -> npt.NDArray[np.float32]:
        if not la_tau:
            return logits
        counts = torch.tensor(self.record.data.train_counts)
        adjusted = posthoc_logit_adjustment(torch.from_numpy(logits), counts, la_tau=la_tau)
        return adjusted.numpy()

    def predict(
        self, images: Sequence[str | Path] | npt.NDArray[np.generic], top_k: int = 1
    ) -> list[Prediction]:
        """The most probable classes of new pictures or vectors.

        Args:
            images: files, or an array uint8 [n, h, w, 3] or float [n, d] shaped as trained on.
            top_k: classes each, at least 1.

        Raises:
            DataError: an unreadable file, or an array of another shape.
        """
        inputs, names = self._inputs(images)
        if not len(inputs):
            return []
        logits = self.score(split_of(inputs, np.zeros(len(inputs), np.int64))).logits
        probabilities, classes = (
            torch.from_numpy(logits).softmax(1).topk(min(top_k, logits.shape[1]))
        )
        class_names = self.record.data.class_names
        return [
            Prediction(name, tuple(class_names[c] for c in best), tuple(shares))
            for name, best, shares in zip(
                names, classes.tolist(), probabilities.tolist(), strict=True
            )
        ]

    def score(self, split: Split) -> Scores:
        """Logits and embeddings of a split, on the CPU in the precision of training."""
        data = self.record.data
        if tuple(split.inputs.shape[1:]) != tuple(data.input_shape):
            raise DataError(
                f"The inputs have shape {tuple(split.inputs.shape[1:])}; this run was trained on "
                f"{tuple(data.input_shape)}."
            )
        return score(
            self.model,
            split,
            statistics=Normalisation(data.mean or (), data.std or ()),
            posthoc=self.resolved.recipe.posthoc,
            device=torch.device("cpu"),
            precision=self.record.decisions.precision,
        )

    def _test_split(self, data: str | Dataset) -> Split:
        known = self.record.data
        if isinstance(data, str):
            # Only class folders can be resized, and they must be, to what the model has seen.
            size = None if data in SOURCES or data.endswith(".npz") else known.image_size
            data = load_dataset(data, image_size=size)
        if data.class_names != known.class_names:
            raise DataError(
                f"{data.name} has {data.num_classes} classes ({', '.join(data.class_names[:5])}"
                f"...); this run knows {len(known.class_names)} "
                f"({', '.join(known.class_names[:5])}...)."
            )
        if data.test is None:
            raise DataError(f"{data.name} has no test split to evaluate on.")
        # A set that only training would divide is measured whole.
        return joined(data.train, data.test) if data.split_here else data.test

    def _inputs(
        self, images: Sequence[str | Path] | npt.NDArray[np.generic]
    ) -> tuple[npt.NDArray[np.generic], list[str]]:
        if isinstance(images, np.ndarray):
            return self._checked(images), [str(row) for row in range(len(images))]
        size = self.record.data.image_size
        if size is None:
            raise DataError("This run was trained on vectors; pass an array [n, d], not files.")
        decoded = [decode(Path(path), size) for path in images]
        return np.stack(decoded) if decoded else np.empty(0), [str(path) for path in images]

    def _checked(self, inputs: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """An array of the type that the run's own data have."""
        vectors = self.record.data.kind == "vector"
        fits = np.issubdtype(inputs.dtype, np.floating) if vectors else inputs.dtype == np.uint8
        if not fits:
            wanted = "float [n, d]" if vectors else "uint8 [n, h, w, 3]"
            raise DataError(f"The inputs are {inputs.dtype} {inputs.shape}; pass {wanted}.")
        if not vectors:
            return inputs
        bad = np.flatnonzero(~np.isfinite(inputs).reshape(len(inputs), -1).all(1))
        if bad.size:
            raise DataError(f"{bad.size} vectors are not finite, the first in row {bad[0]}.")
        return inputs.astype(np.float32)


def load(path: str | Path) -> Run:
    """A finished run from its folder.

    Raises:
        CheckpointError: no run, one that has not finished, or a corrupt record.
    """
    if not Path(path).is_dir():
        raise CheckpointError(f"{path}: no such run folder; name one that `longtail train` wrote.")
    return Run(Path(path), read_record(Path(path) / "record.json"))
