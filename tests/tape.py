"""A CPU's stand-in for a CUDA graph: the operations of a step on tape, repeated without its Python.

As on a GPU, a replay works in the memory that was recorded and sees nothing else: a number that a
step takes from Python, or a tensor that is replaced and not filled, stays what it was.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Writes down every operation beneath autograd, and what the memory it found held before."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Callable[..., Any], Any, Any, Any]] = []
        self.before: list[tuple[Tensor, Tensor]] = []
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for tensor in tensors_of((args, kwargs)):
            if memory_of(tensor) not in self.known:
                # All of the memory, of which this tensor may be a part.
                whole = tensor.new_empty(0).set_(tensor.untyped_storage())
                self.before.append((whole, whole.clone()))
                self.known.add(memory_of(tensor))
        made = func(*args, **kwargs)
        # The tape holds what was made, so that no other tensor gets its memory.
        self.operations.append((func, args, kwargs, made))
        self.known.update(map(memory_of, tensors_of(made)))
        return made

    @torch.no_grad()
    def rewind(self) -> None:
        """Undo what recording has done, which on a GPU does nothing."""
        for tensor, held in self.before:
            tensor.copy_(held)

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, made in self.operations:
            again = func(*args, **kwargs)
            for place, value in zip(tensors_of(made), tensors_of(again), strict=True):
                if place.data_ptr() != value.data_ptr():  # else a view, or written in place
                    place.detach().copy_(value)


def tensors_of(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def memory_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class TapeRecorder:
    """A recorder (`training.graph.Recorder`) that records on tape."""

    def __init__(self) -> None:
        self.aside_calls = 0
        self.tapes: list[Tape] = []

    def aside(self, function: Callable[[], Tensor]) -> Tensor:
        self.aside_calls += 1
        return function()

    def record(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        tape = Tape()
        self.tapes.append(tape)
        with tape:
            value = function()
        tape.rewind()

        def replay() -> Tensor:
            tape.replay()
            return value

        return replay
