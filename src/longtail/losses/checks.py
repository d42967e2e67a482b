"""What every loss checks and how it widens its input, so that the formulas stay formulas."""

import torch
from torch import Tensor

from longtail.errors import DataError, UsageError


def wide(x: Tensor) -> Tensor:
    """Half precision raised to float32, where sums and exponentials are safe; float64 kept."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_logits(logits: Tensor, labels: Tensor) -> None:
    """Logits [b, c] with one label a row."""
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise DataError(
            f"logits have shape {tuple(logits.shape)} and labels {tuple(labels.shape)}; "
            "expected logits [batch, classes] and labels [batch] with a batch of at least 1."
        )


def check_features(features: Tensor, labels: Tensor) -> None:
    """Features [n, d] with one label a row."""
    if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
        raise DataError(
            f"features have shape {tuple(features.shape)} and labels {tuple(labels.shape)}; "
            "expected features [n, d] and labels [n] with n of at least 1. Concatenate the views: "
            "features = torch.cat([z1, z2]), labels = y.repeat(2)."
        )


def check_expert_logits(expert_logits: Tensor, labels: Tensor) -> None:
    """Logits [b, k, c] with one label a row."""
    if expert_logits.ndim != 3 or labels.shape != expert_logits.shape[:1] or not len(labels):
        raise DataError(
            f"expert_logits have shape {tuple(expert_logits.shape)} and labels "
            f"{tuple(labels.shape)}; expected expert_logits [batch, experts, classes] and labels "
            "[batch] with a batch of at least 1."
        )


def check_centres(name: str, centres: Tensor, features: Tensor) -> None:
    """A row [d] a class, as wide as the features."""
    if centres.ndim != 2 or centres.shape[1] != features.shape[1]:
        raise DataError(
            f"{name} have shape {tuple(centres.shape)}; expected [c, {features.shape[1]}]."
        )


def check_temperature(temperature: float) -> None:
    """What scores are divided by."""
    if not temperature > 0:
        raise UsageError(f"temperature is {temperature}; it must be above 0 (0.1 is usual).")


def check_one_a_class(name: str, values: Tensor, num_classes: int) -> None:
    """One value a class; `name` is what the caller knows the argument as."""
    if values.shape != (num_classes,):
        raise DataError(
            f"{name} has shape {tuple(values.shape)} but there are {num_classes} classes; "
            "pass one value a class, in the order of the class ids."
        )


def check_class_counts(class_counts: Tensor, num_classes: int) -> None:
    """One training count a class, whole; negative ones are looked for on the CPU only."""
    check_one_a_class("class_counts", class_counts, num_classes)
    # Rates lie below 1, where every class would count as one: plain cross-entropy, unnoticed.
    if class_counts.is_floating_point():
        raise DataError(f"class_counts have type {class_counts.dtype}; pass counts, not rates.")
    if _may_look(class_counts) and int(class_counts.min()) < 0:
        raise DataError(f"class_counts reach down to {int(class_counts.min())}; the least is 0.")


def check_class_weights(class_weights: Tensor, num_classes: int) -> None:
    """One weight a class; negative ones are looked for on the CPU only."""
    check_one_a_class("class_weights", class_weights, num_classes)
    if _may_look(class_weights) and not float(class_weights.min()) >= 0:
        raise DataError(
            f"class_weights reach down to {float(class_weights.min())}; 0 is the least."
        )


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Labels int64 in [0, num_classes); the range is looked at on the CPU only."""
    if labels.dtype != torch.int64:
        raise DataError(f"labels have type {labels.dtype}; pass labels.long().")
    if not _may_look(labels):
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise DataError(
            f"labels reach from {low} to {high} but there are {num_classes} classes; "
            f"they must lie in 0..{num_classes - 1}."
        )


def _may_look(values: Tensor) -> bool:
    """On an accelerator a look would make the host wait for the device at every step."""
    on_host = values.device.type == "cpu" and not torch.compiler.is_compiling()
    return on_host and values.numel() > 0
