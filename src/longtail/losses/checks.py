"""What every loss checks and how it widens its input, so that the formulas stay formulas."""

import torch
from torch import Tensor

from longtail.errors import DataError


def wide(x: Tensor) -> Tensor:
    """Half precision raised to float32, where sums and exponentials are safe; float64 kept."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def log_counts(class_counts: Tensor, dtype: torch.dtype) -> Tensor:
    """Log n_j, float [c]; a class without a picture counts as one, since log 0 is no number."""
    return class_counts.clamp(min=1).to(dtype).log()


def check_logits(logits: Tensor, labels: Tensor) -> None:
    """Logits [b, c] with one label a row."""
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise DataError(
            f"logits have shape {tuple(logits.shape)} and labels {tuple(labels.shape)}; "
            "expected logits [batch, classes] and labels [batch] with a batch of at least 1."
        )


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
