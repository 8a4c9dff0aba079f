"""Stand-ins for CUDA's runtime and for TensorRT: memory is the host's, and an engine doubles what it is given.

They hold the calls to what the libraries document: which results come back, what is done at once and what is only
recorded, and that an address must be one that was allocated.
"""

import ctypes
import types

import numpy as np

STREAM = 5
SCRATCH = 64
"""Bytes that an engine needs beside its inputs and outputs."""


class FakeCuda:
    """The part of ``cuda.bindings.runtime`` that is used."""

    cudaStreamNonBlocking = 1
    cudaMemcpyKind = types.SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = types.SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self):
        self.memory = {}
        self.recording = None
        self.log = []
        self.fails = 0

    def _allocate(self, size):
        memory = (ctypes.c_byte * size)()
        address = ctypes.addressof(memory)
        self.memory[address] = memory
        return self.fails, address

    cudaMalloc = cudaMallocHost = _allocate

    def _free(self, address):
        del self.memory[address]
        return (0,)

    cudaFree = cudaFreeHost = _free

    def cudaGetErrorString(self, error):
        return 0, b"out of memory"

    def cudaStreamCreateWithFlags(self, flags):
        return 0, STREAM

    def do(self, what):
        if self.recording is None:
            what()
        else:
            self.recording.append(what)
        return (0,)

    def cudaMemsetAsync(self, address, value, size, stream):
        return self.do(lambda: ctypes.memset(address, value, size))

    def cudaMemcpyAsync(self, to, from_, size, kind, stream):
        assert len(self.memory[to]) == size == len(self.memory[from_])
        self.log.append(kind)
        return self.do(lambda: ctypes.memmove(to, from_, size))

    def cudaStreamSynchronize(self, stream):
        assert self.recording is None, "nothing can be waited for while calls are recorded"
        return (0,)

    def cudaStreamBeginCapture(self, stream, mode):
        self.recording = []
        return (0,)

    def cudaStreamEndCapture(self, stream):
        recorded, self.recording = self.recording, None
        return 0, recorded

    def cudaGraphInstantiate(self, graph, flags):
        return 0, graph

    def cudaGraphDestroy(self, graph):
        self.log.append("destroy")
        return (0,)

    def cudaGraphLaunch(self, graph, stream):
        self.log.append("replay")
        for what in graph:
            what()
        return (0,)


class FakeContext:
    def __init__(self, trt, strategy):
        self.trt, self.strategy, self.shapes, self.addresses = trt, strategy, {}, {}

    def set_input_shape(self, name, shape):
        least, _, most = self.trt.shapes[name]
        self.shapes[name] = shape
        return all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True))

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return name in ("x", "y")

    def set_device_memory(self, address, size):
        assert self.strategy == "user" and size == SCRATCH
        self.scratch = self.trt.cuda.memory[address]

    def execute_async_v3(self, stream):
        assert stream == STREAM and len(self.scratch) == SCRATCH
        memory, shape = self.trt.cuda.memory, self.shapes["x"]

        def double():
            taken = np.frombuffer(memory[self.addresses["x"]], np.float32).reshape(shape)
            np.frombuffer(memory[self.addresses["y"]], np.float32).reshape(shape)[:] = 2 * taken

        self.trt.cuda.do(double)
        return True


class FakeTensorRt:
    """The part of ``tensorrt`` that is used."""

    __version__ = "10.13.3"
    NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)
    MemoryPoolType = types.SimpleNamespace(WORKSPACE="workspace")
    ExecutionContextAllocationStrategy = types.SimpleNamespace(USER_MANAGED="user")
    TensorIOMode = types.SimpleNamespace(INPUT="in", OUTPUT="out")

    class Logger:
        WARNING = 2

        def __init__(self, severity):
            pass

    def __init__(self, cuda):
        self.cuda, self.shapes, self.flags, self.builds, self.timings = cuda, {}, None, 0, []
        self.readable = self.loadable = self.buildable = True

    def nptype(self, dtype):
        return {"kFLOAT": np.float32}[dtype]

    def Builder(self, log):
        return types.SimpleNamespace(
            create_network=lambda flags: setattr(self, "flags", flags),
            create_builder_config=self._config,
            create_optimization_profile=lambda: types.SimpleNamespace(
                set_shape=lambda name, *shapes: self.shapes.__setitem__(name, shapes)
            ),
            build_serialized_network=self._build,
        )

    def _build(self, network, config):
        self.builds += 1
        return b"plan" if self.buildable else None

    def _config(self):
        return types.SimpleNamespace(
            set_memory_pool_limit=lambda pool, size: None,
            add_optimization_profile=lambda profile: 0,
            create_timing_cache=lambda data: self.timings.append(data) or "cache",
            set_timing_cache=lambda cache, ignore_mismatch: True,
            get_timing_cache=lambda: types.SimpleNamespace(serialize=lambda: b"measured"),
        )

    def OnnxParser(self, network, log):
        return types.SimpleNamespace(
            parse=lambda graph: self.readable,
            num_errors=1,
            get_error=lambda number: types.SimpleNamespace(desc=lambda: "no such operator"),
        )

    def Runtime(self, log):
        return types.SimpleNamespace(deserialize_cuda_engine=lambda plan: self._engine() if self.loadable else None)

    def _engine(self):
        return types.SimpleNamespace(
            num_io_tensors=2,
            get_tensor_name=lambda number: "xy"[number],
            get_tensor_mode=lambda name: "in" if name == "x" else "out",
            get_tensor_dtype=lambda name: "kFLOAT",
            get_tensor_shape=lambda name: (-1, 3),
            device_memory_size_v2=SCRATCH,
            create_execution_context=lambda strategy: FakeContext(self, strategy),
        )
