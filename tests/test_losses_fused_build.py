"""The Triton kernels built for GPUs that need not be there: what the compiler makes of each."""

import itertools
from importlib import import_module

import pytest
import torch

from longtail.losses.kernels import TRITON_DTYPES

triton = pytest.importorskip("triton", reason="Triton is not installed")

NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
KERNELS = ("forward_kernel", "features_kernel", "prototypes_kernel")
SHARED_BYTES = 99 * 1024
"""What a block may have on sm_86 and sm_89, the least of the GPUs that `triton_builds` accepts."""
SIZES = [(768, 3), (768, 64), (768, 128), (1000, 256), (5000, 64), (5000, 128), (5000, 256)]
GPUS = [80, 86, 89, 90, 100, 120]


def built(name: str, n: int, d: int, dtype: torch.dtype, gpu: int):
    """A kernel as `fused` launches it for features [n, d] on a GPU of this compute capability."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    # As an attribute of the package it may be what another test has had interpreted.
    fused = import_module("longtail.losses.fused")
    kernel = getattr(fused, name)
    features = torch.empty(n, d, dtype=dtype, device="meta")
    tiles = fused.tiles_for(features)
    constants = fused.constants_of(kernel, features, tiles)
    rows = dict.fromkeys(("features", "prototypes", "gradient"), f"*{NAMES[dtype]}")
    known = rows | {"labels": "*i64", "n": "i32", "c": "i32"}
    types = {name: known.get(name, "*fp32") for name in kernel.arg_names}
    types |= dict.fromkeys(constants, "constexpr")
    # What torch allocates begins at multiples of 16 bytes, and Triton builds for that.
    places = [p for p, name in enumerate(kernel.arg_names) if types[name].startswith("*")]
    aligned = {(place,): [["tt.divisibility", 16]] for place in places}
    source = ASTSource(kernel, types, constants, aligned)
    return triton.compile(
        source, target=GPUTarget("cuda", gpu, 32), options=fused.options_of(tiles)
    )


def check(name: str, n: int, d: int, dtype: torch.dtype, gpu: int) -> None:
    made = built(name, n, d, dtype, gpu)
    assert made.metadata.shared <= SHARED_BYTES
    code = made.asm["ptx"]
    assert f"sm_{gpu}" in code
    assert made.asm["cubin"]
    # Rows in float32 never see TF32; others are multiplied by tensor cores.
    if dtype == torch.float32:
        assert "tf32" not in code
        assert "mma" not in code
    else:
        assert "mma" in code


@pytest.mark.parametrize("dtype", TRITON_DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_each_kernel_builds_for_an_h100(name, dtype):
    check(name, 768, 128, dtype, 90)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("gpu", GPUS)
@pytest.mark.parametrize("dtype", TRITON_DTYPES)
def test_every_size_builds_for_every_gpu_it_is_taken_on(dtype, gpu):
    for name, (n, d) in itertools.product(KERNELS, SIZES):
        check(name, n, d, dtype, gpu)
