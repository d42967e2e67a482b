"""How much the streamed kernel holds at a time, and slices of that much."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor


class Sizes(NamedTuple):
    """What is held at a time; a score is 4 bytes in float32.

    Attributes:
        rows: features of a block, whose scores are a square; and anchors that meet the prototypes
            at a time, at most.
        kept_scores: of features with each other, from the normaliser until its gradient.
        prototypes: multiplied with anchors at a time.
        prototype_scores: of some anchors with all prototypes, where they need room of their own.
        pulled_scores: turned into their gradient at a time.
    """

    rows: int
    kept_scores: int
    prototypes: int
    prototype_scores: int
    pulled_scores: int


# Measured (notes/LOG.md): blocks of a CPU's products lie in its caches.
ON_CPU = Sizes(512, 1 << 22, 2048, 1 << 21, 1 << 17)
# Small products leave an accelerator idle.
ON_ACCELERATOR = Sizes(2048, 1 << 26, 1 << 14, 1 << 25, 1 << 21)


def sizes(like: Tensor) -> Sizes:
    """The sizes that suit where a tensor lies."""
    return ON_CPU if like.device.type == "cpu" else ON_ACCELERATOR


def blocks(length: int, size: int) -> Iterator[slice]:
    """Slices of at most `size`, and at least 1, that cover the length in order.

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(1, size)
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


class Kept:
    """Blocks by where they begin: made when first asked for, and held while there is room.

    Args:
        make: (rows, columns) -> their block. It holds nothing that holds this, or the blocks would
            wait for Python to look for circles.
        room: numbers that are held at most.
    """

    def __init__(self, make: Callable[[slice, slice], Tensor], room: int) -> None:
        self._make = make
        self._room = room
        self._held: dict[tuple[int, int], Tensor] = {}

    def __call__(self, first: slice, second: slice) -> Tensor:
        """The block, to be read."""
        place = (first.start, second.start)
        if place in self._held:
            return self._held[place]
        block = self._make(first, second)
        if block.numel() <= self._room:
            self._room -= block.numel()
            self._held[place] = block
        return block

    def pop(self, first: slice, second: slice) -> Tensor:
        """The block to do with as one likes: it is not held any longer."""
        held = self._held.pop((first.start, second.start), None)
        return self._make(first, second) if held is None else held
