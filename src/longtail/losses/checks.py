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
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise DataError(
            f"logits have shape {tuple(logits.shape)} and labels {tuple(labels.shape)}; "
            "expected logits [batch, classes] and labels [batch]."
        )


def check_class_counts(class_counts: Tensor, num_classes: int) -> None:
    """One training count a class."""
    if class_counts.shape != (num_classes,):
        raise DataError(
            f"class_counts have shape {tuple(class_counts.shape)} but there are {num_classes} "
            "classes; pass one training count a class, in the order of the class ids."
        )


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Labels in [0, num_classes), looked at on the CPU only.

    On an accelerator the look would make the host wait for the device at every step.
    """
    if torch.compiler.is_compiling() or labels.device.type != "cpu" or not labels.numel():
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise DataError(
            f"labels reach from {low} to {high} but there are {num_classes} classes; "
            f"they must lie in 0..{num_classes - 1}."
        )
