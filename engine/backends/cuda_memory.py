"""Memory, streams and recorded calls of a card, by the CUDA runtime's own bindings."""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.backends.device_graph import Dtype
from engine.errors import MienError, MissingExtraError


def load_cuda() -> Any:
    """The runtime's bindings.

    Raises:
        MissingExtraError: They are not installed.
    """
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise MissingExtraError("Native TensorRT needs the package cuda-bindings: pip install 'mien[gpu]'.") from error
    return runtime


class Memory:
    """Memory on a card; freed with the object."""

    def __init__(self, cuda: Any, bytes_: int) -> None:
        self._cuda, self.bytes = cuda, max(1, bytes_)
        self.address = int(checked(cuda, cuda.cudaMalloc(self.bytes)))

    def __del__(self) -> None:
        # Where making it failed half-way, there is less to free.
        if hasattr(self, "address"):
            self._cuda.cudaFree(self.address)


class Buffer(Memory):
    """An array's memory on a card, with as much on the host that it is copied by."""

    def __init__(self, cuda: Any, shape: tuple[int, ...], dtype: Dtype) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        super().__init__(cuda, int(np.prod(shape)) * self.dtype.itemsize)
        # Page-locked: a copy from elsewhere goes by way of such memory anyway, and the processor waits for it.
        self.host_address = int(checked(cuda, cuda.cudaMallocHost(self.bytes)))
        self.host = host_view(self.host_address, shape, self.dtype)

    def __del__(self) -> None:
        if hasattr(self, "host_address"):
            self._cuda.cudaFreeHost(self.host_address)
        super().__del__()


class Stream:
    """A queue of work on the card, apart from all others."""

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self.handle = checked(cuda, cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking))

    def clear(self, buffer: Buffer) -> None:
        """Fill with zeros."""
        checked(self._cuda, self._cuda.cudaMemsetAsync(buffer.address, 0, buffer.bytes, self.handle))

    def upload(self, buffer: Buffer, array: NDArray[Any]) -> None:
        """Copy ``array`` to the card. The last copy from this buffer has ended by now: a read waits for the stream."""
        buffer.host[...] = array
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        call = self._cuda.cudaMemcpyAsync(buffer.address, buffer.host_address, buffer.bytes, kind, self.handle)
        checked(self._cuda, call)

    def download(self, buffer: Buffer) -> NDArray[Any]:
        """Copy a buffer to the host and wait for it."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        call = self._cuda.cudaMemcpyAsync(buffer.host_address, buffer.address, buffer.bytes, kind, self.handle)
        checked(self._cuda, call)
        self.wait()
        array: NDArray[Any] = buffer.host.copy()
        return array

    def wait(self) -> None:
        """Until all that was asked is done."""
        checked(self._cuda, self._cuda.cudaStreamSynchronize(self.handle))

    def record(self, work: Any) -> Any:
        """What ``work()`` asks of this stream, to be replayed; it is not done now."""
        cuda = self._cuda
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        checked(cuda, cuda.cudaStreamBeginCapture(self.handle, mode))
        try:
            work()
        finally:
            graph = checked(cuda, cuda.cudaStreamEndCapture(self.handle))
        recorded = checked(cuda, cuda.cudaGraphInstantiate(graph, 0))
        checked(cuda, cuda.cudaGraphDestroy(graph))
        return recorded

    def replay(self, recorded: Any) -> None:
        """Do what was recorded."""
        checked(self._cuda, self._cuda.cudaGraphLaunch(recorded, self.handle))


def checked(cuda: Any, answer: tuple[Any, ...]) -> Any:
    """The result of a call of the runtime.

    Raises:
        MienError: It failed; the message has the runtime's own reason.
    """
    error, *results = answer
    if int(error) != 0:
        _, text = cuda.cudaGetErrorString(error)
        reason = text.decode() if isinstance(text, bytes) else str(text)
        raise MienError(f"The card refused a call ({reason}): look at nvidia-smi for its driver and free memory.")
    return results[0] if results else None


def host_view(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Memory of the host at an address, as an array that does not own it."""
    count = int(np.prod(shape))
    memory = (ctypes.c_byte * max(1, count * dtype.itemsize)).from_address(address)
    view: NDArray[Any] = np.ctypeslib.as_array(memory)[: count * dtype.itemsize].view(dtype).reshape(shape)
    return view
