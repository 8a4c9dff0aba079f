"""Graphs in ONNX Runtime with their memory bound: on the processor, or on a card by CUDA or by TensorRT's provider.

Buffers are ``OrtValue`` and stay where they are; a call binds them and runs, so that nothing is allocated or copied to
the host between launches. With CUDA graphs a call is recorded the first time and replayed from then on, by each thread
for itself: ONNX Runtime keeps what it records with the thread. Calls still have to come one after another.
"""

import contextlib
import io
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engine.backends.device_graph import Dtype, TensorSpec
from engine.backends.tensorrt_build import load_tensorrt
from engine.backends.turnstile import CARD
from engine.errors import ArtefactError, ConfigError, MissingExtraError

Place = Literal["cpu", "cuda"]
Provider = tuple[str, dict[str, str]]
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
_TYPES: Mapping[str, Dtype] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
}


class OrtGraph:
    """A ``DeviceGraph`` in an ONNX Runtime session."""

    def __init__(
        self,
        graph: bytes,
        providers: Sequence[Provider] = ((CPU, {}),),
        *,
        threads: int = 1,
        cuda_graphs: bool = False,
    ) -> None:
        """Load a graph.

        Args:
            graph: The ONNX file's bytes.
            providers: Names and options, most wanted first; the first one decides where buffers lie.
            threads: Threads that one call may use on the processor.
            cuda_graphs: Record each call and replay it; on a card alone, and the provider must be told as well.

        Raises:
            ArtefactError: The graph cannot be loaded.
            ConfigError: ``threads`` is not positive.
            MissingExtraError: The first provider cannot be used on this machine.
        """
        if threads < 1:
            raise ConfigError(f"A network needs at least one thread, not {threads}.")
        wanted = providers[0][0]
        _require(wanted)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        _load_libraries(wanted)
        self._place: Place = "cpu" if wanted == CPU else "cuda"
        try:
            with self._using():
                self._session = ort.InferenceSession(graph, options, providers=list(providers))
        except Exception as error:  # onnxruntime's exceptions share no base class of their own.
            reason = (str(error).strip().splitlines() or ["no reason was given"])[0]
            raise ArtefactError(f"A graph cannot be loaded by {wanted} ({reason}); export it again.") from error
        # Where a provider's own libraries cannot be loaded, the runtime says so in its log and goes on without it.
        if wanted not in self._session.get_providers():
            raise MissingExtraError(unusable(wanted))
        self._cuda_graphs = cuda_graphs and self._place == "cuda"
        self.inputs = {tensor.name: _spec(tensor) for tensor in self._session.get_inputs()}
        self.outputs = {tensor.name: _spec(tensor) for tensor in self._session.get_outputs()}
        self._bindings: dict[int, Any] = {}
        self._recordings: dict[tuple[int, int], int] = {}

    def buffer(self, shape: tuple[int, ...], dtype: Dtype) -> Any:
        """Memory on the device, filled with zeros, that stays where it is."""
        with self._using():
            return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype), self._place, 0)

    def write(self, buffer: Any, array: NDArray[Any]) -> None:
        """Copy ``array``, of the buffer's shape and type, from the host."""
        assert list(array.shape) == list(buffer.shape()), f"{array.shape} into {buffer.shape()}"
        with self._using():
            buffer.update_inplace(np.ascontiguousarray(array))

    def read(self, buffer: Any) -> NDArray[Any]:
        """Copy a buffer to the host."""
        with self._using():
            array: NDArray[Any] = buffer.numpy()
        # On the processor that is a view of memory that the next call writes to.
        return array.copy() if self._place == "cpu" else array

    def execute(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], call: int) -> None:
        """Run once, from buffers to buffers; calls of one number always bring the same buffers."""
        binding = self._bindings.get(call)
        if binding is None:
            binding = self._bindings[call] = self._session.io_binding()
            for name, value in inputs.items():
                binding.bind_ortvalue_input(name, value)
            for name, value in outputs.items():
                binding.bind_ortvalue_output(name, value)
        options, recorded = None, len(self._recordings)
        if self._cuda_graphs:
            options = ort.RunOptions()
            options.add_run_config_entry("gpu_graph_id", str(self.recording(call)))
        with self._using() if recorded == len(self._recordings) else CARD.alone():
            binding.synchronize_inputs()
            self._session.run_with_iobinding(binding, options)
            binding.synchronize_outputs()

    def recording(self, call: int) -> int:
        """Number, from 1 on, under which the thread that asks records a call: threads share no recording."""
        return self._recordings.setdefault((threading.get_ident(), call), len(self._recordings) + 1)

    def _using(self) -> AbstractContextManager[None]:
        """While the card is used; see ``engine.backends.turnstile``."""
        return contextlib.nullcontext() if self._place == "cpu" else CARD.passing()

    def wait(self) -> None:
        """Nothing: a call ends when the device has done it."""


def cuda_provider(*, cuda_graphs: bool = False, device: int = 0) -> list[Provider]:
    """Options of the CUDA provider."""
    options = {
        "device_id": str(device),
        # Convolutions of few shapes: searched for once, and then the fastest.
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "cudnn_conv_use_max_workspace": "1",
        "enable_cuda_graph": "1" if cuda_graphs else "0",
    }
    return [(CUDA, options), (CPU, {})]


def tensorrt_provider(
    cache: str,
    key: str,
    *,
    shapes: Mapping[str, tuple[str, str, str]] | None = None,
    device: int = 0,
) -> list[Provider]:
    """Options of TensorRT's provider, with the CUDA provider for what it leaves. Precision is the graph's own.

    Calls are not recorded: it keeps one recording a session, and would replay that of one batch for all others.

    Args:
        cache: Folder of engines and timings.
        key: Of this graph on this card (``engine.backends.engine_cache``): the prefix of its engines.
        shapes: By input, smallest, usual and largest shape, each as "1x80x512".
        device: Number of the card.
    """
    options = {
        "device_id": str(device),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": cache,
        "trt_engine_cache_prefix": key,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": cache,
        "trt_cuda_graph_enable": "0",
    }
    for number, name in enumerate(("min", "opt", "max")):
        if shapes:
            options[f"trt_profile_{name}_shapes"] = ",".join(f"{key}:{each[number]}" for key, each in shapes.items())
    return [(TENSORRT, options), *cuda_provider(device=device)]


def available() -> list[str]:
    """Providers that this build of onnxruntime holds, by its own names; whether they run is another question."""
    return list(ort.get_available_providers())


def unusable(provider: str) -> str:
    """What to do where a provider is there but does not run."""
    needs = "CUDA 12 or 13 and cuDNN 9" if provider == CUDA else "TensorRT 10 (not 11), CUDA and cuDNN"
    return (
        f"onnxruntime has {provider} but cannot load it: it needs an NVIDIA driver and {needs} "
        "(pip install 'onnxruntime-gpu[cuda,cudnn]' brings them; TensorRT comes with pip install 'mien[gpu]')."
    )


def _load_libraries(provider: str) -> None:
    """Load what a provider links to from where pip puts it: a folder that the system does not look into.

    Whatever is not there is looked for by the provider itself, which says so if it cannot be found.
    """
    if provider == CPU:
        return
    # It tells on standard output what it does not find.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(AttributeError, RuntimeError, OSError):
        ort.preload_dlls()
    if provider == TENSORRT:
        with contextlib.suppress(MissingExtraError):
            load_tensorrt()


def _require(provider: str) -> None:
    if provider not in available():
        raise MissingExtraError(
            f"This onnxruntime has no {provider}: pip uninstall -y onnxruntime, then pip install onnxruntime-gpu "
            "(both are one module, and must not be installed together)."
        )


def _spec(tensor: Any) -> TensorSpec:
    dtype = _TYPES.get(tensor.type)
    if dtype is None:
        raise ArtefactError(f"The graph's {tensor.name} is {tensor.type}, which no device here takes; export it again.")
    return TensorSpec(dtype, tuple(tensor.shape))
