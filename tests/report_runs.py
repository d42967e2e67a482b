"""Run folders as training leaves them, made without training: reports read nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from longtail.metrics import summarise
from longtail.prior import groups
from longtail.record import (
    BestOnTest,
    DataSummary,
    Decisions,
    Hardware,
    Provenance,
    Record,
    RunMetrics,
    predictions_of,
)

HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    '=HYPERLINK("http://evil","x")',
    "tab\tnew\nline\x1b[31m\x00null",
    "$x^2_\\frac{1}$ </script><!--",
    "{{ 7 * 7 }} {% raw %}",
    "naïve café 日本語 \u202ereversed",
    "x" * 200,
    "",
    "ordinary",
)


def counts_of(num_classes: int, largest: int = 500, ratio: float = 100) -> tuple[int, ...]:
    """An exponential long tail."""
    shares = np.arange(num_classes) / max(1, num_classes - 1)
    return tuple(int(max(1, largest * ratio**-share)) for share in shares)


def make_run(
    folder: Path,
    num_classes: int = 10,
    *,
    per_class: int = 20,
    method: str = "rcl",
    seed: int = 0,
    skill: float = 0.7,
    names: Sequence[str] | None = None,
    counts: Sequence[int] | None = None,
    embeddings: bool = True,
    prototypes: bool = False,
    thumbnails: bool = True,
    holdout: bool = False,
    epochs: int = 8,
    changes: dict[str, Any] | None = None,
) -> Path:
    """Write record.json, log.jsonl, config.json and predictions of a run that never happened.

    A class is recognised the better the more training samples it has; `skill` is the best class's
    share. Mistakes go to classes of nearby ids, towards the head.

    Args:
        folder: to write into.
        num_classes, per_class: classes, and test samples of each.
        names: of the classes; class-000, ... when left out.
        counts: training samples a class; an exponential long tail when left out.
        changes: fields of the record to replace.
    """
    rng = np.random.default_rng(seed + 1000 * num_classes)
    train = np.asarray(counts if counts is not None else counts_of(num_classes))
    folder.mkdir(parents=True, exist_ok=True)
    splits = {"test": rng} | ({"holdout": np.random.default_rng(seed + 1)} if holdout else {})
    metrics = {"test": None, "holdout": None}
    for split, draws in splits.items():
        labels, logits, features, means, pictures = _outcomes(train, per_class, skill, draws)
        predictions = predictions_of(
            np.arange(len(labels)),
            labels,
            logits,
            embeddings=features if embeddings else None,
            prototypes=means if prototypes else None,
            thumbnails=pictures if thumbnails else None,
        )
        predictions.write(folder / f"predictions-{split}.npz")
        metrics[split] = summarise(labels, predictions.predicted, train)
    test = metrics["test"]
    shared = {k: getattr(test, k) for k in BestOnTest.__dataclass_fields__ if k != "epoch"}
    settings = {"epochs": epochs, "batch_size": 64, "lr": 0.1, "schedule": "cosine"}
    values: dict[str, Any] = dict(
        method=method,
        recipe="common",
        knobs={"la_tau": 1.3} if method != "ce" else {},
        settings=settings,
        backbone="resnet8",
        seed=seed,
        data=DataSummary(
            name=f"made-{num_classes}",
            source="made for a test",
            hash=f"{num_classes:064x}",
            kind="photo" if thumbnails else "vector",
            class_names=tuple(names or (f"class-{c:03}" for c in range(num_classes))),
            train_counts=tuple(int(n) for n in train),
            groups={name: tuple(ids) for name, ids in groups(train).items()},
            test_size=num_classes * per_class,
            holdout="0.1" if holdout else None,
            input_shape=(32, 32, 3) if thumbnails else (16,),
            image_size=32 if thumbnails else None,
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            notes=("Made for a test.",),
        ),
        decisions=Decisions(precision="fp32", threads=2, compile=False, device="cpu"),
        provenance=Provenance(
            source_hash="0" * 64,
            numeric_hash="1" * 64,
            revision="2" * 40,
            versions={"longtail": "0.1.0", "torch": "2.15.0", "python": "3.11.7"},
            hardware=Hardware(cpu="A processor", cores=2, gpu=None),
            seconds=61.5,
            images_per_second=1234.5,
            parameters=78_000,
            steps=epochs * 20,
        ),
        metrics=RunMetrics(**metrics),
        selected_epoch=epochs,
        selection="last epoch",
        best_on_test=BestOnTest(epoch=epochs - 1, **shared),
        command=f"longtail train made-{num_classes} --method {method} --seed {seed}",
        created="2026-01-01T00:00:00+00:00",
    )
    Record(**(values | (changes or {}))).write(folder / "record.json")
    _write_log(folder, test, epochs)
    (folder / "config.json").write_text(
        json.dumps({"method": method, "seed": seed, "settings": settings, "backbone": "resnet8"})
    )
    return folder


def _outcomes(train: np.ndarray, per_class: int, skill: float, rng: np.random.Generator) -> tuple:
    num_classes = len(train)
    labels = np.repeat(np.arange(num_classes), per_class)
    share = skill * (np.log1p(train) / np.log1p(train.max()))
    right = rng.random(len(labels)) < share[labels]
    towards = np.maximum(0, labels - rng.integers(1, max(2, min(5, num_classes)), len(labels)))
    towards = np.where(towards == labels, (labels + 1) % num_classes, towards)
    predicted = np.where(right, labels, towards)
    logits = rng.normal(0, 1, (len(labels), num_classes)).astype(np.float32)
    logits[np.arange(len(labels)), predicted] = logits.max(1) + rng.exponential(2, len(labels))
    means = rng.normal(0, 1, (num_classes, 16)).astype(np.float32)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    features = means[predicted] + 0.25 * rng.normal(0, 1, (len(labels), 16))
    hue = (np.arange(num_classes) * 37 % 200 + 40).astype(np.uint8)
    pictures = rng.integers(0, 40, (len(labels), 32, 32, 3)).astype(np.uint8)
    pictures[..., 0] += hue[labels][:, None, None]
    return labels, logits, features.astype(np.float32), means, pictures


def _write_log(folder: Path, test: Any, epochs: int) -> None:
    with (folder / "log.jsonl").open("w") as file:
        for epoch in range(1, epochs + 1):
            done = epoch / epochs
            line: dict[str, Any] = {
                "epoch": epoch,
                "step": 20 * epoch,
                "lr": 0.05 * (1 + np.cos(np.pi * done)),
                "loss": 3 - 2 * done,
                "terms": {"logit": 2 - done, "contrastive": 1 - done / 2},
                "seconds": 7.5 * epoch,
                "images_per_second": 1200.0,
            }
            if epoch % 2 == 0:
                names = ("accuracy", "balanced_accuracy", "harmonic_mean_accuracy")
                shown = {n: getattr(test, n) for n in (*names, "many", "medium", "few")}
                accuracy = {
                    n: None if value is None else value * done for n, value in shown.items()
                }
                zeros = {"zero_classes": 0, "absent_classes": 0}
                each = {"per_class": [a and a * done for a in test.per_class]}
                line |= {"split": "test", "accuracy": accuracy | zeros | each}
            file.write(json.dumps(line) + "\n")
