"""The device plug-ins that keep torch: the same ONNX graphs, run by torch, compiled and recorded.

=================  ===================================================================================
``cuda-graph``     torch's own kernels, each call recorded once as a CUDA graph and replayed
``torch-compile``  fused by torch.compile for the shapes of each call, then recorded
``torch-tensorrt`` the same by torch-TensorRT
=================  ===================================================================================

They need no checkpoints and no ONNX Runtime on the card: what a bundle holds is enough. The runtime finds them by the
entry points ``mien.backends`` and never imports torch itself.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from engine.backends.device_graph import BATCH, Dtype, TensorSpec
from engine.backends.graph_ends import ends_of
from engine.backends.opening import Wanted
from engine.backends.turnstile import CARD
from engine.errors import ConfigError, MissingExtraError
from export.torch_operators import Value, operator

WARM_UPS = 3
"""Runs before a call is recorded: libraries choose their kernels in them."""
_HOST_ELEMENTS = 64
"""Whole numbers of no more elements are shapes and axes and stay on the host."""
KINDS = ("eager", "cuda-graph", "torch-compile", "torch-tensorrt")


class TorchStep(nn.Module):
    """An ONNX graph as a torch module: inputs in the graph's order to outputs in its order."""

    def __init__(self, graph: bytes, device: str = "cpu") -> None:
        """Read the graph.

        Raises:
            ArtefactError: It has an operator that torch is not told of.
        """
        super().__init__()
        model = onnx.ModelProto.FromString(graph).graph
        self._inputs = [value.name for value in model.input]
        self._outputs = [value.name for value in model.output]
        self._host: dict[str, NDArray[Any]] = {}
        self._weights: dict[str, str] = {}
        self._device = device
        self._moved: dict[tuple[str, bytes], Tensor] = {}
        for tensor in model.initializer:
            self._keep(tensor.name, tensor)
        self._nodes = []
        for node in model.node:
            attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            if node.op_type == "Constant":
                self._keep(node.output[0], attributes["value"])
                continue
            if node.op_type == "ConstantOfShape" and "value" in attributes:
                attributes["value"] = numpy_helper.to_array(attributes["value"])
            self._nodes.append(
                (node.op_type, operator(node.op_type), tuple(node.input), tuple(node.output), attributes)
            )
        self._keep_filters()

    def _keep(self, name: str, stored: onnx.TensorProto) -> None:
        if stored.data_type == onnx.TensorProto.BFLOAT16:
            # Numpy has no such type: the bits are moved by way of float32.
            tensor = torch.from_numpy(numpy_helper.to_array(stored).astype(np.float32)).to(torch.bfloat16)
        else:
            array = numpy_helper.to_array(stored)
            if array.dtype.kind in "iub" and array.size <= _HOST_ELEMENTS:
                self._host[name] = array
                return
            tensor = torch.from_numpy(array.copy())
        key = f"weight{len(self._weights)}"
        self.register_buffer(key, tensor.to(self._device))
        self._weights[name] = key

    def _keep_filters(self) -> None:
        """Filters in the layout in which cards convolve fastest; scales of a Resize on the host."""
        for kind, _, inputs, _, _ in self._nodes:
            if kind == "Conv" and inputs[1] in self._weights:
                key = self._weights[inputs[1]]
                setattr(self, key, getattr(self, key).to(memory_format=torch.channels_last))
            for place, name in enumerate(inputs):
                if (kind == "Resize" and place in (1, 2)) or (kind == "Clip" and place):
                    if name in self._weights:
                        self._host[name] = getattr(self, self._weights[name]).float().cpu().numpy()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the nodes in order."""
        values: dict[str, Value] = dict(zip(self._inputs, inputs, strict=True))
        values |= {name: getattr(self, key) for name, key in self._weights.items()}
        for kind, run, given, made, attributes in self._nodes:
            taken = [self._taken(kind, place, name, values) for place, name in enumerate(given)]
            if any(isinstance(each, Tensor) for each in taken) and kind not in _ON_HOST:
                taken = self._on_device(kind, taken)
            results = run(taken, attributes)
            several = results if isinstance(results, tuple) else (results,)
            # Of arrays of no dimension numpy makes plain numbers.
            values.update(
                (name, np.asarray(each) if isinstance(each, np.generic) else each)
                for name, each in zip(made, several, strict=True)
            )
        found = [values[name] for name in self._outputs]
        return tuple(each if isinstance(each, Tensor) else self._tensor(each) for each in found)

    def _taken(self, kind: str, place: int, name: str, values: Mapping[str, Value]) -> Value:
        if not name:
            return None
        if name in self._host and (name not in values or kind in ("Resize", "Clip")):
            return self._host[name]
        return values[name]

    def _on_device(self, kind: str, taken: list[Any]) -> list[Any]:
        """Numbers that meet tensors become tensors; those that say how stay."""
        stay = _SAY_HOW.get(kind, ())
        return [
            self._tensor(each) if isinstance(each, np.ndarray) and place not in stay else each
            for place, each in enumerate(taken)
        ]

    def _tensor(self, array: Any) -> Tensor:
        """A host value on the device, moved once: while a call is recorded nothing can be copied there."""
        array = np.ascontiguousarray(array)
        key = (f"{array.dtype}{array.shape}", array.tobytes())
        found = self._moved.get(key)
        if found is None:
            found = self._moved[key] = torch.from_numpy(array.copy()).to(self._device)
        return found


_ON_HOST = {"Shape"}
_SAY_HOW: Mapping[str, Sequence[int]] = {
    "Slice": (1, 2, 3, 4),
    "Reshape": (1,),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "Resize": (1, 2, 3),
    "ReduceSum": (1,),
    "Expand": (1,),
    "Clip": (1, 2),
    "Gather": (1,),
}


class TorchGraph:
    """A ``DeviceGraph`` run by torch."""

    def __init__(self, graph: bytes, kind: str = "eager", device: str = "cpu", cache: Path | None = None) -> None:
        """Read a graph.

        Args:
            graph: ONNX.
            kind: One of KINDS.
            device: As torch names it.
            cache: Folder in which torch-TensorRT keeps its engines.

        Raises:
            ArtefactError: It has an operator that torch is not told of.
            ConfigError: There is no such kind.
        """
        if kind not in KINDS:
            raise ConfigError(f"Torch runs graphs as {', '.join(KINDS)}, not {kind!r}.")
        ends = ends_of(graph)
        self.inputs: Mapping[str, TensorSpec] = ends.inputs
        self.outputs: Mapping[str, TensorSpec] = ends.outputs
        self._kind, self._device, self._cache = kind, torch.device(device), cache
        if self._device.type == "cuda":
            # Shapes stay as they are, so the fastest convolutions are worth looking for.
            torch.backends.cudnn.benchmark = True
        self._step = TorchStep(graph, device).eval()
        self._calls: dict[int, Callable[[], None]] = {}
        # Calls run one after another and leave nothing behind but their outputs, so that they can share what they use.
        self._pool = torch.cuda.graph_pool_handle() if self._device.type == "cuda" else None

    def buffer(self, shape: tuple[int, ...], dtype: Dtype) -> Tensor:
        """Memory on the device, filled with zeros, that stays where it is."""
        with CARD.passing():
            return torch.zeros(shape, dtype=getattr(torch, dtype), device=self._device)

    def write(self, buffer: Tensor, array: NDArray[Any]) -> None:
        """Copy ``array``, of the buffer's shape and type, from the host."""
        with CARD.passing():
            buffer.copy_(torch.from_numpy(np.ascontiguousarray(array)))

    def read(self, buffer: Tensor) -> NDArray[Any]:
        """Copy a buffer to the host, after what was asked of the device before."""
        with CARD.passing():
            array: NDArray[Any] = buffer.cpu().numpy()
        return array.copy() if self._device.type == "cpu" else array

    def execute(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], call: int) -> None:
        """Run once; the first time a call is set up, and on a card recorded."""
        run = self._calls.get(call)
        if run is None:
            with CARD.alone():
                run = self._calls[call] = self._set_up([inputs[name] for name in self.inputs], outputs)
        with CARD.passing():
            run()

    def wait(self) -> None:
        """Until all that was asked of the device is done."""
        if self._device.type == "cuda":
            with CARD.passing():
                torch.cuda.synchronize()

    def _set_up(self, given: list[Tensor], outputs: Mapping[str, Tensor]) -> Callable[[], None]:
        function, made = self._built(given), [outputs[name] for name in self.outputs]

        @torch.inference_mode()
        def run() -> None:
            for buffer, result in zip(made, function(*given), strict=True):
                buffer.copy_(result)

        if self._device.type != "cuda":
            return run
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(aside)
        recorded = torch.cuda.CUDAGraph()
        # Other threads go on using the card meanwhile, which by default would break the recording off.
        with torch.cuda.graph(recorded, pool=self._pool, capture_error_mode="thread_local"):
            run()
        replay: Callable[[], None] = recorded.replay
        return replay

    def _built(self, given: list[Tensor]) -> Callable[..., Any]:
        """The step for the shapes of one call."""
        if self._kind in ("eager", "cuda-graph"):
            return self._step
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Once beforehand: numbers that lie on the host then are on the device already, and no call copies them.
            self._step(*given)
            traced = make_fx(self._step)(*given)
        if self._kind == "torch-compile":
            compiled: Callable[..., Any] = torch.compile(traced, dynamic=False)
            return compiled
        try:
            import torch_tensorrt
        except (ImportError, OSError) as error:
            raise MissingExtraError(
                "torch-tensorrt needs the package torch-tensorrt: pip install 'mien[torch-tensorrt]'."
            ) from error
        kept = {}
        if self._cache is not None:
            kept = {
                "cache_built_engines": True,
                "reuse_cached_engines": True,
                # Only engines whose weights can be replaced are kept.
                "immutable_weights": False,
                "engine_cache_dir": str(self._cache / "torch-tensorrt"),
                "timing_cache_path": str(self._cache / "torch-tensorrt.timings"),
            }
        # Types are the graph's own; releases from 2.13 on know no other way and pass the option over.
        built: Callable[..., Any] = torch_tensorrt.dynamo.compile(
            torch.export.export(traced, tuple(given)), inputs=given, use_explicit_typing=True, min_block_size=1, **kept
        )
        return built


def open_graph(device: str, graph: bytes, wanted: Wanted) -> TorchGraph:
    """The plug-in: see ``engine.backends.opening.GraphOpener``.

    Raises:
        MissingExtraError: torch sees no card.
    """
    if not torch.cuda.is_available():
        raise MissingExtraError(f"{device} needs a card that torch sees, and it sees none (torch.cuda).")
    return TorchGraph(graph, device, "cuda", wanted.cache)


def build_all(graph: bytes, wanted: Wanted) -> None:
    """Let torch-TensorRT build the engines of every bucket, so that the next start finds them in its cache.

    Raises:
        MissingExtraError: torch sees no card, or torch-TensorRT is missing.
    """
    opened = open_graph("torch-tensorrt", graph, wanted)
    for call, batch in enumerate(wanted.buckets):
        lengths = {name: each if isinstance(each, int) else batch * each[0] for name, each in wanted.lengths.items()}
        lengths[BATCH] = batch
        inputs, outputs = (
            {name: opened.buffer(spec.sized(**lengths), spec.dtype) for name, spec in ends.items()}
            for ends in (opened.inputs, opened.outputs)
        )
        opened.execute(inputs, outputs, call)
