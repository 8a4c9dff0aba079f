"""Graphs run by TensorRT itself: engines, a stream of their own, memory that stays bound, calls that are recorded.

Memory is the CUDA runtime's (``cuda-bindings``); torch is not needed. Built against the interface of TensorRT 10 and
11, and tested against a stand-in for both libraries: docs/gpu.md says on what it has run.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.backends.cuda_memory import Buffer, Memory, Stream, load_cuda
from engine.backends.device_graph import BATCH, Dtype, TensorSpec
from engine.backends.tensorrt_build import load_tensorrt
from engine.errors import ArtefactError, MienError


class TensorRtGraph:
    """A ``DeviceGraph`` on a TensorRT engine."""

    def __init__(
        self, plan: bytes, *, trt: Any = None, cuda: Any = None, free: Mapping[str, TensorSpec] | None = None
    ) -> None:
        """Load an engine.

        Args:
            plan: As from ``engine_for``.
            trt: The library; by default the one that is installed.
            cuda: The CUDA runtime's bindings; by default those that are installed.
            free: Names of the free lengths, as the graph declares them: an engine itself only knows that they are.

        Raises:
            ArtefactError: The engine is of another version or card.
            MissingExtraError: A library is not installed.
        """
        trt, self._cuda = trt or load_tensorrt(), cuda or load_cuda()
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ArtefactError("An engine of TensorRT cannot be loaded here: empty the engine cache and start again.")
        self._stream = Stream(self._cuda)
        self.inputs: dict[str, TensorSpec] = {}
        self.outputs: dict[str, TensorSpec] = {}
        for number in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(number)
            entering = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (self.inputs if entering else self.outputs)[name] = self._spec(trt, name, free or {})
        # Calls run one after another, so that all contexts can compute in the same memory.
        self._strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        self._scratch = Memory(self._cuda, int(self._engine.device_memory_size_v2))
        self._contexts: dict[int, Any] = {}
        self._recorded: dict[int, Any] = {}

    def _spec(self, trt: Any, name: str, free: Mapping[str, TensorSpec]) -> TensorSpec:
        if name in free:
            return free[name]
        dtype = np.dtype(trt.nptype(self._engine.get_tensor_dtype(name))).name
        shape = (BATCH if length < 0 else int(length) for length in self._engine.get_tensor_shape(name))
        return TensorSpec(dtype, tuple(shape))

    def buffer(self, shape: tuple[int, ...], dtype: Dtype) -> Buffer:
        """Memory on the card, filled with zeros, that stays where it is."""
        buffer = Buffer(self._cuda, shape, dtype)
        self._stream.clear(buffer)
        return buffer

    def write(self, buffer: Buffer, array: NDArray[Any]) -> None:
        """Copy ``array``, of the buffer's shape and type, from the host."""
        self._stream.upload(buffer, array)

    def read(self, buffer: Buffer) -> NDArray[Any]:
        """Copy a buffer to the host, after what was asked of the card before."""
        return self._stream.download(buffer)

    def execute(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], call: int) -> None:
        """Run once; the first run of a call sets it up, the second records it, and from then on it is replayed."""
        context = self._contexts.get(call)
        if context is None:
            self._contexts[call] = self._bind(inputs, outputs)
            self._enqueue(call)
            return
        if call not in self._recorded:
            self._recorded[call] = self._stream.record(lambda: self._enqueue(call))
        self._stream.replay(self._recorded[call])

    def wait(self) -> None:
        """Until all that was asked of the card is done."""
        self._stream.wait()

    def _bind(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer]) -> Any:
        """A context of its own for a call: what is recorded holds on to its memory."""
        context = self._engine.create_execution_context(self._strategy)
        if context is None:
            raise MienError("TensorRT cannot prepare a call: look at nvidia-smi for the card's free memory.")
        for name, buffer in inputs.items():
            if not context.set_input_shape(name, buffer.shape):
                raise MienError(f"TensorRT's engine takes no {name} of shape {buffer.shape}: build it for that batch.")
        for name, buffer in (*inputs.items(), *outputs.items()):
            if not context.set_tensor_address(name, buffer.address):
                raise MienError(f"TensorRT's engine has no {name}: empty the engine cache and start again.")
        context.set_device_memory(self._scratch.address, self._scratch.bytes)
        return context

    def _enqueue(self, call: int) -> None:
        if not self._contexts[call].execute_async_v3(int(self._stream.handle)):
            raise MienError("TensorRT could not run an engine: its log says why.")
