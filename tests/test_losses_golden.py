"""What the authors' own code returns on fixed inputs; golden/losses.json names code and revision.

Their SupConLoss is taken with base_temperature equal to temperature: it scales the loss otherwise.
"""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from longtail.losses.catalogue import LOSSES

CASES = json.loads((Path(__file__).parent / "golden" / "losses.json").read_text())["cases"]
NEAR = {"rtol": 1e-5, "atol": 2e-6}  # theirs ran in float32


@pytest.fixture(params=CASES, ids=lambda case: f"{case['classes']} classes")
def case(request: pytest.FixtureRequest) -> dict:
    return request.param


def leaf(case: dict, name: str) -> Tensor:
    return torch.tensor(case[name], dtype=torch.float64).requires_grad_()


def expected(case: dict, author_loss: str) -> dict:
    (found,) = (case[key] for key in case if key.startswith(author_loss))
    return found


def assert_golden(value: Tensor, golden: dict, *inputs: Tensor) -> None:
    assert_close(value.item(), golden["loss"], **NEAR)
    grads = torch.autograd.grad(value, inputs)
    for grad, kept in zip(grads, golden["grads"], strict=True):
        assert_close(grad, torch.tensor(kept, dtype=torch.float64), **NEAR)


def contrastive(case: dict, name: str, *prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of unit features that are flattened view by view, and the features [b, 2, d]."""
    features, labels = leaf(case, "features"), torch.tensor(case["labels"])
    loss = LOSSES[name].bind(
        torch.tensor(case["counts"]), temperature=case["temperature"], normalize=False
    )
    return loss(features.transpose(0, 1).flatten(0, 1), labels.repeat(2), *prototypes), features


def test_bcl_is_the_balscl_of_its_authors(case):
    prototypes = leaf(case, "prototypes")
    value, features = contrastive(case, "bcl", prototypes)
    assert_golden(value, expected(case, "BalSCL"), features, prototypes)


def test_scl_is_the_supcon_of_its_authors(case):
    value, features = contrastive(case, "scl")
    assert_golden(value, expected(case, "SupConLoss"), features)


def test_logit_adjustment_is_that_of_bcls_authors(case):
    logits, labels = leaf(case, "logits"), torch.tensor(case["labels"])
    loss = LOSSES["logit-adjustment"].bind(torch.tensor(case["counts"]), la_tau=1.3)
    assert_golden(loss(logits, labels), expected(case, "LogitAdjust"), logits)


def test_ldam_is_that_of_its_authors(case):
    """Theirs multiplies cosines by the scale; here the classifier has done so."""
    cosines, labels = leaf(case, "cosines"), torch.tensor(case["labels"])
    loss = LOSSES["ldam"].bind(torch.tensor(case["counts"]), max_margin=0.5, scale=30.0)
    assert_golden(loss(30.0 * cosines, labels), expected(case, "LDAMLoss"), cosines)
