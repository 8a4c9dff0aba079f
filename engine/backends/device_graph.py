"""What a graph on a device looks like to the rest: named tensors, memory of its own, one call.

The same slotted graph (``engine.backends.slotted``) is run by ONNX Runtime on any of its providers, by TensorRT
itself, or by torch; ``DeviceNetwork`` does not know by which. A buffer is whatever the implementation makes it: it is
only ever handed back to the graph that made it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

BATCH = "batch"
"""The free length of a shape."""

Dtype = Literal["float32", "float16", "int64", "int32", "uint8"]


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of a graph's input or output; the free dimensions are named."""

    dtype: Dtype
    shape: tuple[int | str, ...]

    def sized(self, **lengths: int) -> tuple[int, ...]:
        """The shape with its free dimensions filled in.

        Raises:
            KeyError: One of them is not given.
        """
        return tuple(lengths[length] if isinstance(length, str) else length for length in self.shape)


class DeviceGraph(Protocol):
    """A graph with its weights on a device."""

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """What it takes, by name."""
        ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """What it gives, by name."""
        ...

    def buffer(self, shape: tuple[int, ...], dtype: Dtype) -> Any:
        """Memory on the device, filled with zeros, that stays where it is."""
        ...

    def write(self, buffer: Any, array: NDArray[Any]) -> None:
        """Copy ``array``, of the buffer's shape and type, from the host."""
        ...

    def read(self, buffer: Any) -> NDArray[Any]:
        """Copy a buffer to the host, after what was asked of the device before."""
        ...

    def execute(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], call: int) -> None:
        """Run once, from buffers to buffers.

        Args:
            inputs: A buffer for each input.
            outputs: One for each output; none of them is an input.
            call: Which set of buffers this is: calls of one number always bring the same, so that a call can be
                recorded once and replayed (CUDA graphs).
        """
        ...

    def wait(self) -> None:
        """Until all that was asked of the device is done."""
        ...
