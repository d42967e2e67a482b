"""The Triton kernel against the plain one: natively where there is CUDA, else interpreted."""

import itertools
import os
import sys
import weakref
from collections.abc import Iterator
from types import ModuleType
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from longtail.errors import UsageError
from longtail.losses import contrastive_loss, kernels
from longtail.losses.instances import Contrast, make_contrast

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
COUNTS = [7, 500, 2, 31, 1]
LABELS = [1, 1, 0, 3, 1, 0, 3, 2, 1, 0] * 3 + [1, 4, 0]  # 33 anchors, three tiles; 4 has no mate
SWITCHES = list(itertools.product([False, True], repeat=3))  # prototypes, rebalance, average
needs_cuda = pytest.mark.skipif(DEVICE == "cpu", reason="no CUDA device")


@pytest.fixture(scope="module", autouse=True)
def _kernels() -> Iterator[None]:
    """Triton as it is on CUDA; else a copy that interprets, beside the one others have imported.

    Triton decides as it is imported, its own library too; only its extension cannot come twice.
    """
    pytest.importorskip("triton", reason="Triton is not installed")
    if DEVICE == "cuda":
        yield
        return
    with patch.dict(os.environ, {"TRITON_INTERPRET": "1"}):
        as_they_were = _taken_out()
        try:
            _skip_where_the_interpreter_is_broken()
            yield
        finally:
            # At exit the extension calls what is alive a leak, unless it is freed with its module.
            interpreted = _taken_out()
            sys.modules.update({f"interpreted {name}": m for name, m in interpreted.items()})
            sys.modules.update(as_they_were)


def _skip_where_the_interpreter_is_broken() -> None:
    """Triton 3.6 interprets nothing on numpy 2.5, which no longer reads [1] as a number."""
    try:
        contrastive_loss(torch.eye(16), torch.zeros(16, dtype=torch.int64), kernel="triton")
    except Exception as error:
        if "only 0-dimensional arrays" not in str(error):
            raise
        pytest.skip("Triton's interpreter does not run on this numpy")


def _taken_out() -> dict[str, ModuleType]:
    """The modules that will be imported anew; all others stay, what they import meanwhile too."""
    return {name: sys.modules.pop(name) for name in filter(_decided_on_import, list(sys.modules))}


def _decided_on_import(module: str) -> bool:
    ours = module.startswith("longtail.losses.fused")
    return ours or (module.split(".")[0] == "triton" and "._C" not in module)


@pytest.fixture(autouse=True)
def _small_tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest that Triton multiplies, so that few rows make several."""
    if "gpu" not in request.keywords:
        from longtail.losses import fused

        monkeypatch.setattr(fused, "tiles_for", lambda features: fused.Tiles(16, 16, 4))


def problem(
    labels: list[int] = LABELS, *, d: int = 19, classes: int = 5, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Features, labels and prototypes."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(len(labels) + classes, d, generator=generator).to(DEVICE)
    return drawn[: len(labels)], torch.tensor(labels, device=DEVICE), drawn[len(labels) :]


def value_and_grads(
    kernel: str, features: Tensor, labels: Tensor, prototypes: Tensor | None, **knobs
) -> list[Tensor]:
    """The value times 3, then the gradient of each input: an upstream gradient that is not 1."""
    leaves = [x.detach().clone().requires_grad_() for x in (features, prototypes) if x is not None]
    centres = leaves[1] if len(leaves) == 2 else None
    value = 3 * contrastive_loss(leaves[0], labels, centres, kernel=kernel, **knobs)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def assert_as_plain(
    features: Tensor, labels: Tensor, prototypes: Tensor | None = None, **knobs
) -> None:
    """Value to float32's tolerance, and gradients to that of their type, relative to the largest.

    A cast to bfloat16 cuts off in the interpreter and rounds on a GPU.
    """
    results = value_and_grads("triton", features, labels, prototypes, **knobs)
    expected = value_and_grads("plain", features, labels, prototypes, **knobs)
    rounding = {torch.float32: 1e-5, torch.bfloat16: 8e-3, torch.float16: 2e-3}
    for result, reference in zip(results, expected, strict=True):
        assert result.dtype == reference.dtype
        assert torch.isfinite(result).all()
        error = (result.double() - reference.double()).abs().max()
        size = reference.double().abs().max()
        assert error <= rounding[result.dtype] * size + 5e-6, f"{error:.2e} of {size:.2e}"


def switched(prototypes: Tensor, switches: tuple[bool, bool, bool]) -> tuple[Tensor | None, dict]:
    complement, rebalance, average = switches
    counts = torch.tensor(COUNTS, device=DEVICE) if rebalance else None
    knobs = {"class_counts": counts, "class_average": average, "num_classes": 5}
    return prototypes if complement else None, knobs


@pytest.mark.parametrize("switches", SWITCHES)
def test_each_combination_of_switches_equals_the_plain_kernel(switches):
    features, labels, prototypes = problem()
    centres, knobs = switched(prototypes, switches)
    assert_as_plain(features, labels, centres, temperature=0.2, **knobs)


@pytest.mark.parametrize("switches", [(False, False, False), (True, True, True)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_equals_the_plain_kernel_on_the_same_rows(switches, dtype):
    features, labels, prototypes = problem()
    centres, knobs = switched(prototypes.to(dtype), switches)
    assert_as_plain(features.to(dtype), labels, centres, temperature=0.2, **knobs)


@pytest.mark.parametrize("scale_on", ["both", "anchors", "keys"])
@pytest.mark.parametrize("switches", [(True, True, True), (False, True, False)])
def test_compression_equals_the_plain_kernel(switches, scale_on):
    features, labels, prototypes = problem()
    centres, knobs = switched(prototypes, switches)
    scale = torch.tensor([0.5, 1.0, 0.005, 2.0, 1.5], device=DEVICE)
    assert_as_plain(features, labels, centres, class_scale=scale, scale_on=scale_on, **knobs)


@pytest.mark.parametrize(
    "labels",
    [[2], [2, 2], [0, 2], [3] * 17, list(range(5)), [0] * 15 + [4], [1, 0] * 16],
    ids=lambda labels: f"n={len(labels)}",
)
@pytest.mark.parametrize("complement", [False, True])
def test_ragged_batches_equal_the_plain_kernel(labels, complement):
    features, y, prototypes = problem(labels)
    knobs = {"num_classes": 5, "class_average": True}
    assert_as_plain(features, y, prototypes if complement else None, **knobs)


@pytest.mark.parametrize("d", [1, 16, 33])
def test_rows_of_any_length_equal_the_plain_kernel(d):
    assert_as_plain(*problem(d=d), temperature=0.5)


def test_several_tiles_of_prototypes_equal_the_plain_kernel():
    assert_as_plain(*problem(classes=37), class_average=True)


def test_tiles_of_different_sizes_equal_the_plain_kernel(monkeypatch):
    from longtail.losses import fused

    for block, tile in ((16, 32), (32, 16)):
        monkeypatch.setattr(fused, "tiles_for", lambda _, b=block, t=tile: fused.Tiles(b, t, 4))
        assert_as_plain(*problem(classes=20), class_average=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_rows_taken_as_they_are_equal_the_plain_kernel(dtype):
    features, labels, prototypes = problem()
    rows = (features * 0.3).to(dtype), labels, (prototypes * 0.3).to(dtype)
    assert_as_plain(*rows, normalize=False, temperature=0.5)


def test_rows_too_short_to_be_normalised_equal_the_plain_kernel():
    features, labels, prototypes = problem()
    features[3], features[5], prototypes[1] = 0, 1e-13 * features[5], 0
    results = value_and_grads("triton", features, labels, prototypes)
    expected = value_and_grads("plain", features, labels, prototypes)
    assert_close(results[0], expected[0], rtol=1e-5, atol=0)
    for result, reference in zip(results[1:], expected[1:], strict=True):
        # The gradients of these rows are some 1e12 times those of the others: row by row, then.
        error, size = (result - reference).abs().amax(1), reference.abs().amax(1)
        assert (error <= 1e-4 * size).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_cold_softmax_of_long_rows_equals_the_plain_kernel(dtype):
    features, labels, prototypes = problem()
    rows = (features * 1e3).to(dtype), labels, prototypes.to(dtype)
    assert_as_plain(*rows, temperature=0.01, class_average=True)


def test_weights_below_the_reach_of_float16_are_not_lost():
    """Long rows and many anchors: every weight lies below the 6e-8 where float16 ends."""
    features, labels, _ = problem([0, 1] * 80, d=8, classes=2)
    features = (features * 8 + 80 * (labels * 2 - 1)[:, None]).half()
    others = torch.tensor([20000, 1], device=DEVICE)
    assert_as_plain(features, labels, class_counts=others, temperature=0.2)


def test_rows_that_are_not_contiguous_equal_the_plain_kernel():
    features, labels, prototypes = problem(d=8)
    twice = torch.stack([labels, labels], 1)
    assert_as_plain(features.T.contiguous().T, twice[:, 0], prototypes.T.contiguous().T)


def test_a_hidden_gradient_is_not_computed_and_the_others_are_the_same():
    features, labels, prototypes = problem()
    frozen = contrastive_loss(
        moving := features.clone().requires_grad_(), labels, prototypes, kernel="triton"
    )
    fixed = contrastive_loss(
        features, labels, centres := prototypes.clone().requires_grad_(), kernel="triton"
    )
    expected = value_and_grads("triton", features, labels, prototypes)
    assert torch.equal(3 * torch.autograd.grad(frozen, moving)[0], expected[1])
    assert torch.equal(3 * torch.autograd.grad(fixed, centres)[0], expected[2])


def test_without_grad_mode_there_is_no_graph():
    features, labels, prototypes = problem()
    with torch.no_grad():
        value = contrastive_loss(features.requires_grad_(), labels, prototypes, kernel="triton")
    assert not value.requires_grad


def test_the_gradient_can_be_differentiated_like_that_of_the_plain_kernel():
    features, labels, prototypes = problem()
    inputs = (features.requires_grad_(), prototypes.requires_grad_())
    found = []
    for kernel in ("triton", "plain"):
        value = contrastive_loss(features, labels, prototypes, kernel=kernel)
        gradients = torch.autograd.grad(value, inputs, create_graph=True)
        penalty = sum(g.square().sum() for g in gradients)
        found.append(torch.autograd.grad(penalty, inputs))
    for ours, expected in zip(*found, strict=True):
        assert (ours - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_twice_the_same_batch_is_the_same_to_the_last_bit():
    first, second = (value_and_grads("triton", *problem()) for _ in range(2))
    assert all(map(torch.equal, first, second))


@pytest.mark.parametrize(("dtype", "d"), [(torch.float64, 8), (torch.float32, 257)])
def test_what_the_kernel_cannot_take_is_refused_by_name_and_left_by_auto(dtype, d):
    features, labels, _ = problem(d=d)
    features = features.to(dtype)
    with pytest.raises(UsageError, match=r"kernel 'triton' takes .* kernel='auto'"):
        contrastive_loss(features, labels, kernel="triton")
    assert contrastive_loss(features, labels).dtype == dtype


def test_cpu_features_are_refused_without_the_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    features, labels, _ = problem()
    with pytest.raises(UsageError, match="runs on CUDA, and the features are on cpu"):
        contrastive_loss(features.cpu(), labels.cpu(), kernel="triton")


def test_a_missing_triton_is_said_so(monkeypatch):
    monkeypatch.setattr(kernels, "_installed", lambda: False)
    with pytest.raises(UsageError, match="pip install triton"):
        contrastive_loss(*problem(), kernel="triton")


class OnCuda(Tensor):
    """A tensor that says it lies on a GPU; nothing is computed with it."""

    @property
    def device(self) -> torch.device:
        return torch.device("cuda", 0)


def pretended(n: int, d: int, dtype: torch.dtype) -> Contrast:
    contrast = make_contrast(
        torch.zeros(n, d, dtype=dtype),
        torch.zeros(n, dtype=torch.int64),
        torch.zeros(3, d, dtype=dtype),
        num_classes=3,
        class_counts=None,
        class_average=False,
        temperature=0.1,
        class_scale=None,
        scale_anchors=True,
        scale_keys=True,
        normalize=True,
    )
    return contrast._replace(features=contrast.features.as_subclass(OnCuda))


@pytest.mark.parametrize(
    ("n", "d", "dtype", "works", "expected"),
    [
        (64, 128, torch.bfloat16, True, "triton"),
        (64, 256, torch.float32, True, "triton"),
        (64, 257, torch.float32, True, "plain"),
        (64, 128, torch.float64, True, "plain"),
        (64, 128, torch.bfloat16, False, "plain"),
        (4096, 1, torch.bfloat16, False, "streamed"),
    ],
)
def test_auto_takes_the_kernel_that_suits_the_batch(monkeypatch, n, d, dtype, works, expected):
    monkeypatch.setattr(kernels, "triton_builds", lambda device: works)
    monkeypatch.setattr(kernels, "_installed", lambda: True)
    assert kernels.suited(pretended(n, d, dtype)) == expected


def test_the_rows_are_let_go_after_the_backward_pass():
    features, labels, prototypes = problem()
    rows = [2 * x.requires_grad_() for x in (features, prototypes)]
    value = contrastive_loss(rows[0], labels, rows[1], kernel="triton")
    value.backward()
    gone = [weakref.ref(row) for row in rows]
    del rows
    assert [reference() for reference in gone] == [None, None]
    assert torch.isfinite(value)


def test_auto_does_not_ask_for_triton_on_the_cpu(monkeypatch):
    monkeypatch.setattr(kernels, "_unfit", lambda features: pytest.fail("asked"))
    features, labels, _ = problem()
    contrastive_loss(features.cpu(), labels.cpu())


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("n", "d"), [(768, 128), (5000, 128), (1000, 256), (4500, 200)])
def test_batches_of_the_usual_sizes_equal_the_plain_kernel(n, d, dtype):
    features, labels, prototypes = problem([i * i % 97 for i in range(n)], d=d, classes=100)
    assert_as_plain(features.to(dtype), labels, prototypes.to(dtype), class_average=True)


@pytest.mark.gpu
@needs_cuda
def test_a_cuda_graph_holds_the_kernel():
    features, labels, prototypes = problem([i % 10 for i in range(512)], d=128, classes=10)
    eager = value_and_grads("triton", features, labels, prototypes)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        value_and_grads("triton", features, labels, prototypes)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = value_and_grads("triton", features, labels, prototypes)
    graph.replay()
    assert all(map(torch.equal, recorded, eager))


@pytest.mark.gpu
@needs_cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_nothing_makes_the_host_wait():
    batch = problem()
    value_and_grads("triton", *batch)
    try:
        torch.cuda.set_sync_debug_mode("error")
        value_and_grads("triton", *batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
