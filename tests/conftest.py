"""Fixtures that every test file may ask for."""

import pytest
import torch

# How far a result may lie from its reference, by the precision it was computed in.
TOLERANCES = {
    torch.float64: {"rtol": 1e-10, "atol": 1e-10},
    torch.float32: {"rtol": 1e-5, "atol": 1e-6},
    torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2},
    torch.float16: {"rtol": 2e-3, "atol": 2e-3},
}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny tensors are slower on more, and several workers share the machine."""
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def tolerances() -> dict[torch.dtype, dict[str, float]]:
    return TOLERANCES
