"""Distances between rows."""

import torch
from torch import Tensor


def euclidean(left: Tensor, right: Tensor) -> Tensor:
    """||left_i - right_j||, float [n, m]; its gradient where they coincide is 0.

    Differences are squared and added up. The usual way by products would cancel where rows lie
    close to each other and far from the origin.
    """
    return torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")
