"""Networks run by ONNX Runtime on the CPU."""

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from engine.artefacts.bundle import Bundle, NetworkGeometry
from engine.backend import Networks, NetworkState, Tensors
from engine.errors import ArtefactError, ConfigError

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
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class of their own.
            raise ArtefactError(
                f"The bundle's graph {geometry.file} cannot be loaded; export or install the bundle again."
            ) from error
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
