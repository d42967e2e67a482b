"""Randomness as a pure function of its key: no generator, no state, no order of calls.

A key is an int64 tensor (any shape) of 32-bit values that names one draw: the run's seed, the
epoch, the sample's index, the view, the purpose. The same key gives the same numbers whatever the
device, the batch layout, the number of workers or the point of resumption. All arithmetic is
int64, masked to 32 bits after every step: int64 products wrap modulo 2**64 on every device, so
their low 32 bits are exact.
"""

import math
import zlib

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # odd, from the golden ratio: spreads consecutive integers over 32 bits


def _mix(x: Tensor | int) -> Tensor | int:
    """A bijection of 32-bit integers in which each input bit flips each output bit half the time.

    Two rounds of xor-shift and multiply; the constants are those of C. Wellons' search for
    low-bias 32-bit hashes ("lowbias32", 2018). A number stays a number: an operation on a tensor of
    one costs microseconds, and on an accelerator a copy.
    """
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def fold(key: Tensor | int, *parts: Tensor | int | str) -> Tensor:
    """A new key from a key and further parts; tensors broadcast, strings name a purpose.

    Args:
        key: int64 tensor of any shape, or an integer such as the run's seed.
        parts: integers, int64 tensors, or strings (hashed by their bytes).

    Returns:
        int64 tensor of the broadcast shape, values in [0, 2**32).
    """
    folded = _mix(key & _MASK)
    for part in parts:
        number = zlib.crc32(part.encode()) if isinstance(part, str) else part
        if isinstance(folded, Tensor) and isinstance(number, Tensor):
            folded = folded.to(number.device)
        # Adding a constant before mixing makes (0, 0) differ from (0); order of parts matters.
        folded = _mix((folded * 3 + _mix((number + _GOLDEN) & _MASK)) & _MASK)
    return folded if isinstance(folded, Tensor) else torch.tensor(folded)


def uniform(key: Tensor, draws: int) -> Tensor:
    """Independent numbers in [0, 1), float32 [*key.shape, draws], multiples of 2**-24."""
    return (_bits(key, draws) >> 8).to(torch.float32) * 2.0**-24


def integers(key: Tensor, draws: int, high: int) -> Tensor:
    """Independent integers in [0, high), int64 [*key.shape, draws]; high is at most 2**24."""
    return (_bits(key, draws) * high) >> 32


def normal(key: Tensor, draws: int) -> Tensor:
    """Independent standard normal numbers, float32 [*key.shape, draws] (Box-Muller)."""
    u = uniform(fold(key, "radius"), draws)
    v = uniform(fold(key, "angle"), draws)
    return torch.sqrt(-2.0 * torch.log1p(-u)) * torch.cos(2.0 * math.pi * v)


def permutation(key: Tensor, size: int) -> Tensor:
    """A shuffle of range(size) that depends on the scalar key alone, int64 [size]."""
    order = torch.arange(size, device=key.device)
    # The index in the low half breaks ties between equal hashes, so the sort has one answer.
    # One bit of the hash is dropped to stay within a signed 64-bit integer.
    return torch.argsort(((fold(key, order) >> 1) << 32) | order)


def _bits(key: Tensor, draws: int) -> Tensor:
    """`draws` independent 32-bit values a key."""
    return fold(key.unsqueeze(-1), torch.arange(draws, device=key.device))
