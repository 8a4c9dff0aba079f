"""Networks run by ONNX Runtime on the CPU."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engine.artefacts.bundle import STYLE_MAPPING_FILE, Bundle, NetworkGeometry
from engine.artefacts.picture_network import PictureNetwork, check_patterns, file_names
from engine.backend import Networks, NetworkState, Tensors
from engine.errors import ArtefactError, ConfigError
from engine.renderer.network_input import DYNAMIC_CHANNELS
from engine.renderer.pixels import merge_into

_BATCH = "batch"
_TYPES = {"tensor(float)": "float32", "tensor(int64)": "int64"}


class OnnxNetwork:
    """One graph of a bundle in an ONNX Runtime session.

    Weights stored as fp16 or int8 are expanded once, here, by constant folding. Calls may come from several
    threads.
    """

    def __init__(self, graph: bytes, geometry: NetworkGeometry, *, threads: int = 1) -> None:
        """Load a graph and hold it against the geometry that its manifest declares.

        Args:
            graph: The ONNX file's bytes.
            geometry: Names and shapes from the bundle's manifest.
            threads: Threads that one call may use.

        Raises:
            ArtefactError: The graph cannot be loaded or is not what the manifest says.
            ConfigError: ``threads`` is not positive.
        """
        self._session = _open(graph, geometry.file, threads)
        self._state_shapes = geometry.state
        self._outputs = list(geometry.outputs)
        self._check(geometry)
        self._fetch = [*self._outputs, *(f"next.{name}" for name in self._state_shapes)]

    def _check(self, geometry: NetworkGeometry) -> None:
        """Compare the graph's ends with the manifest's."""
        states = geometry.state.items()
        expected_in = {**geometry.inputs, **{f"state.{name}": shape for name, shape in states}}
        expected_out = {**geometry.outputs, **{f"next.{name}": shape for name, shape in states}}
        found_in = {tensor.name: tensor for tensor in self._session.get_inputs()}
        found_out = {tensor.name: tensor for tensor in self._session.get_outputs()}
        sound = found_in.keys() == expected_in.keys() and found_out.keys() == expected_out.keys()
        if sound:
            sound = all(
                tuple(found_in[name].shape) == shape
                and _TYPES.get(found_in[name].type) == geometry.dtypes.get(name, "float32")
                for name, shape in expected_in.items()
            )
        if not sound:
            raise ArtefactError(
                f"The bundle's graph {geometry.file} is not the one that its manifest describes; "
                "export or install the bundle again."
            )

    def init_state(self, batch: int = 1) -> NetworkState:
        """Zeros in the shape of the state, for ``batch`` sessions that run together."""
        return {
            name: np.zeros([batch if length == _BATCH else int(length) for length in shape], np.float32)
            for name, shape in self._state_shapes.items()
        }

    def run(self, inputs: Tensors, state: NetworkState) -> tuple[Tensors, NetworkState]:
        """Run one step; return its outputs and the next state, both by name."""
        feed = {**inputs, **{f"state.{name}": array for name, array in state.items()}}
        results = self._session.run(self._fetch, feed)
        count = len(self._outputs)
        return (
            dict(zip(self._outputs, results[:count], strict=True)),
            dict(zip(self._state_shapes, results[count:], strict=True)),
        )


class OnnxPictureNetwork:
    """A picture network with one portrait and one style bound to it.

    What does not change is computed here, once. Frames go through buffers that stay: several threads may draw at
    once, each with buffers of its own.

    Attributes:
        size: Pixels that the network draws along a side.
    """

    def __init__(
        self, network: PictureNetwork, source: NDArray[np.uint8], patterns: NDArray[np.uint8], *, threads: int = 1
    ) -> None:
        """Load both graphs and run the one that runs once.

        Args:
            network: As a bundle holds it.
            source: uint8 (4, S, S), as from ``engine.renderer.network_input.source_input``.
            patterns: uint8 (12, 256, 256), the style's.
            threads: Threads that one call may use.

        Raises:
            ArtefactError: A graph cannot be loaded, or is not what the manifest says.
            ConfigError: ``threads`` is not positive.
        """
        self.size = network.geometry.size
        self._file, static_file, _ = file_names(network.name)
        self._session = _open(network.graph, self._file, threads)
        once = _open(network.static_graph, static_file, threads)
        given = {"source": source[None], "patterns": patterns[None]}
        # A graph has no input that it makes nothing of.
        wanted = {tensor.name for tensor in once.get_inputs()}
        try:
            (static,) = once.run(["static"], {name: array for name, array in given.items() if name in wanted})
        except Exception as error:
            raise self._unfit(static_file) from error
        if static.shape != (1, *network.geometry.static) or static.dtype != np.float32:
            raise self._unfit(static_file)
        self._static = np.ascontiguousarray(static)
        self._idle: list[PictureBuffers] = []

    def draw(self, compose: Callable[[NDArray[np.uint8]], None], out: NDArray[np.uint8]) -> None:
        """Draw one picture.

        Args:
            compose: Fills what the network sees of the frame, uint8 (6, S, S).
            out: uint8 (S, S, 3) RGB, where to put the picture; any view whose pixels are contiguous.

        Raises:
            ArtefactError: The graph is not what the manifest says.
        """
        buffers = self._idle.pop() if self._idle else self._bind()
        compose(buffers.dynamic[0])
        try:
            self._session.run_with_iobinding(buffers.binding)
        except Exception as error:
            raise self._unfit(self._file) from error
        merge_into(buffers.picture[0], out)
        self._idle.append(buffers)

    def _bind(self) -> "PictureBuffers":
        dynamic = np.empty((1, DYNAMIC_CHANNELS, self.size, self.size), np.uint8)
        picture = np.empty((1, 3, self.size, self.size), np.uint8)
        binding = self._session.io_binding()
        try:
            for name, array in (("dynamic", dynamic), ("static", self._static)):
                binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
            binding.bind_output("picture", "cpu", 0, picture.dtype.type, picture.shape, picture.ctypes.data)
        except Exception as error:
            raise self._unfit(self._file) from error
        return PictureBuffers(dynamic, picture, binding)

    @staticmethod
    def _unfit(file: str) -> ArtefactError:
        return ArtefactError(
            f"The bundle's graph {file} is not the one that its manifest describes; export or install the bundle again."
        )


@dataclass(frozen=True)
class PictureBuffers:
    """What one frame goes through: input, output, and the binding of both to the graph."""

    dynamic: NDArray[np.uint8]
    picture: NDArray[np.uint8]
    binding: ort.IOBinding


def _open(graph: bytes, file: str, threads: int) -> ort.InferenceSession:
    """Load a graph, which is called ``file`` in what is said of it."""
    if threads < 1:
        raise ConfigError(f"A network needs at least one thread, not {threads}.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # A thread that spins between two 60 Hz steps burns a core for nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class of their own.
        raise ArtefactError(
            f"The bundle's graph {file} cannot be loaded; export or install the bundle again."
        ) from error


def draw_patterns(graph: bytes, references: NDArray[np.uint8], *, threads: int = 1) -> NDArray[np.uint8]:
    """Draw Intermediate Style Patterns with a bundle's style mapping.

    Args:
        graph: ONNX bytes.
        references: uint8 (4, 3, 256, 256) RGB, a style's reference images.
        threads: Threads to use.

    Returns:
        uint8 (12, 256, 256).

    Raises:
        ArtefactError: The graph cannot be loaded, or is no style mapping.
    """
    session = _open(graph, STYLE_MAPPING_FILE, threads)
    try:
        (drawn,) = session.run(["patterns"], {"references": references})
        check_patterns(drawn)
    except Exception as error:
        raise ArtefactError(
            f"The bundle's graph {STYLE_MAPPING_FILE} is no style mapping; export or install the bundle again."
        ) from error
    return cast(NDArray[np.uint8], drawn)


def available_providers() -> list[str]:
    """What this build of onnxruntime can compute on, by its own names, such as ``CPUExecutionProvider``."""
    return list(ort.get_available_providers())


def open_networks(bundle: Bundle, *, threads: int = 1) -> Networks:
    """Load the networks of a bundle; any number of pipelines may share them.

    Args:
        bundle: As from ``load_bundle``.
        threads: Threads that one call may use.

    Raises:
        ArtefactError: A graph cannot be loaded or is not what the manifest says.
        ConfigError: ``threads`` is not positive.
    """
    graphs: Mapping[str, bytes] = bundle.graphs

    def load(name: str) -> OnnxNetwork:
        return OnnxNetwork(graphs[name], bundle.manifest.networks[name], threads=threads)

    return Networks(apc=load("apc"), motion=load("motion"), headpose=load("headpose"))
