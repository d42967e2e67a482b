"""A training step as a recorded graph: launched as one, not kernel by kernel.

A step of a small network is hundreds of kernels that each take less time than their launch. A
graph holds the memory of everything in it, so the batch must come in the same tensors every time,
and whatever else changes between steps (weights, momentum, learning rate, compression factors)
must change in place.
"""

import os
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from longtail.data.batches import Batch
from longtail.errors import UsageError

Step = Callable[[Batch], Tensor]
"""One step of training on a batch -> float32 [1 + terms], the total loss, then each term."""

WARM_UPS = 3
"""Steps taken before one is recorded: libraries choose kernels, momentum and workspaces appear."""

SWITCH = "LONGTAIL_CUDA_GRAPHS"
"""Environment variable; 0 takes every step as it is written, for finding faults."""


class Recorder(Protocol):
    """How a device takes a step as a recording would, and how it records one."""

    def aside(self, function: Callable[[], Tensor]) -> Tensor:
        """Call `function` where it will be recorded."""

    def record(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """What does the device's work of `function`, which is not done in recording it."""


class GraphedStep:
    """A step that is taken as it is at first, then recorded once and repeated.

    Every call is one step of training, the recording one too: no work is thrown away.

    Args:
        step: touches the host in nothing that a later call would have to repeat.
        recorder: of the device.
    """

    def __init__(self, step: Step, recorder: Recorder) -> None:
        self.step = step
        self.recorder = recorder
        self.calls = 0
        self.inputs: Batch | None = None
        self.replay: Callable[[], Tensor] | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """Take a step; the losses returned are overwritten by the next one."""
        self.calls += 1
        if self.inputs is None:
            self.inputs = Batch(*(torch.empty_like(tensor) for tensor in batch))
        inputs = self.inputs
        for static, given in zip(inputs, batch, strict=True):
            static.copy_(given)
        if self.calls <= WARM_UPS:
            return self.recorder.aside(lambda: self.step(inputs))
        if self.replay is None:
            self.replay = self.recorder.record(lambda: self.step(inputs))
        return self.replay()


class CudaRecorder:
    """Records CUDA graphs, all of its work on one stream beside the current one.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def aside(self, function: Callable[[], Tensor]) -> Tensor:
        """Call `function` on the stream, after what is queued and before what follows."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            value = function()
        current.wait_stream(self.stream)
        return value

    def record(self, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Record `function` as a graph.

        Raises:
            UsageError: it does what a graph cannot hold, such as wait for the device.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may go on allocating; by default that would break the recording.
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                value = function()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            # The end of a recording that has failed fails as well, and says nothing of the cause.
            cause = str(error.__context__ or error).splitlines()[0]
            raise UsageError(
                f"The training step cannot be recorded as a CUDA graph ({cause}); most likely the "
                f"backbone or a loss waits for the device. Type {SWITCH}=0 before the command to "
                "train without a graph."
            ) from error

        def replay() -> Tensor:
            graph.replay()
            return value

        return replay


def graphed(step: Step, device: torch.device) -> Step:
    """`step` as a graph where the device has them and `SWITCH` is not 0, else as it is."""
    if device.type != "cuda" or os.environ.get(SWITCH) == "0":
        return step
    return GraphedStep(step, CudaRecorder(device))
