"""From the graphs of an artefact to networks on the device that was chosen."""

import functools
import importlib.metadata
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.artefacts.bundle import Bundle, NetworkGeometry
from engine.backend import Network, Networks
from engine.backend_onnx import OnnxNetwork, open_networks
from engine.backends.cards import Card, cards
from engine.backends.device_graph import BATCH, DeviceGraph
from engine.backends.device_network import BUCKETS, CAPACITY, DeviceNetwork
from engine.backends.devices import PLUGINS, Choice, choose, detect
from engine.backends.engine_cache import Recipe, cache_folder, engine_key, graph_digest
from engine.backends.float_graph import to_floats
from engine.backends.graph_ends import ends_of, settled
from engine.backends.graph_writer import GraphWriter
from engine.backends.half_graph import to_precision
from engine.backends.ort_graph import OrtGraph, cuda_provider, tensorrt_provider
from engine.backends.profiles import Lengths, as_options, batches_of, profile
from engine.backends.slotted import BOUND, PLACES, slotted
from engine.backends.tensorrt_build import engine_for, library_versions
from engine.backends.tensorrt_graph import TensorRtGraph
from engine.errors import ArtefactError, ConfigError, MienError, MissingExtraError

logger = logging.getLogger(__name__)

NetworkOpener = Callable[[bytes, NetworkGeometry], Network]
"""Opens a graph of a bundle or a style."""


@dataclass(frozen=True)
class Wanted:
    """How a graph shall be run.

    Attributes:
        lengths: Its free lengths beside the batch, by name.
        buckets: Sizes of batches.
        precision: That of the graph: fp32, fp16, bf16 or int8.
        cuda_graphs: Record each call and replay it.
        cache: Folder of engines.
    """

    lengths: Lengths
    buckets: Sequence[int] = BUCKETS
    precision: str = "fp32"
    cuda_graphs: bool = True
    cache: Path = Path()


GraphOpener = Callable[[str, bytes, Wanted], DeviceGraph]
"""What a plug-in is: of a device's name, an ONNX graph and how to run it."""


def open_graph(device: str, graph: bytes, wanted: Wanted) -> DeviceGraph:
    """Put a graph on a device.

    Args:
        device: As ``Choice`` names it.
        graph: ONNX, with operators that the device has.
        wanted: How to run it.

    Raises:
        ArtefactError: The graph cannot be loaded there.
        ConfigError: The processor is asked for half precision.
        MissingExtraError: A library is missing.
    """
    graph = settled(graph, wanted.lengths)
    if device == "cpu":
        if wanted.precision in ("fp16", "bf16"):
            # onnxruntime has few kernels for them there, and ends the process on some of our graphs (1.31).
            raise ConfigError(
                f"The processor computes in fp32, not in {wanted.precision}: ask for fp32, or for a card."
            )
        return OrtGraph(graph)
    if device == "cuda":
        return _open_cuda(graph, wanted)
    if device in ("tensorrt", "native-tensorrt"):
        return _open_tensorrt(device, graph, wanted)
    for entry in importlib.metadata.entry_points(group=PLUGINS):
        if entry.name == device:
            opener: GraphOpener = entry.load()
            return opener(device, graph, wanted)
    raise MissingExtraError(f"{device} is a plug-in of Mien that is not registered: install Mien again.")


def _open_tensorrt(device: str, graph: bytes, wanted: Wanted) -> DeviceGraph:
    ends, batches = ends_of(graph), batches_of(wanted.buckets)
    shapes, card = profile(ends.inputs, batches, wanted.lengths), _card()
    if device == "native-tensorrt":
        plan = engine_for(graph, shapes, wanted.precision, card, wanted.cache)
        return TensorRtGraph(plan, free={**ends.inputs, **ends.outputs})
    cache, sizes = str(wanted.cache), as_options(shapes)
    options = tuple((name, " ".join(each)) for name, each in sorted(sizes.items()))
    key = engine_key(Recipe(graph_digest(graph), wanted.precision, batches, options), card, library_versions())
    return OrtGraph(graph, tensorrt_provider(cache, key, shapes=sizes))


def _open_cuda(graph: bytes, wanted: Wanted) -> OrtGraph:
    """A graph whose calls are recorded where that is wanted and onnxruntime can; else one whose calls are not.

    Raises:
        ArtefactError: It cannot be loaded in either way.
        MissingExtraError: A library is missing.
    """
    if wanted.cuda_graphs:
        try:
            return OrtGraph(graph, cuda_provider(cuda_graphs=True), cuda_graphs=True)
        except ArtefactError as error:
            # It refuses graphs of which it would run a node on the processor.
            logger.warning("Calls are not recorded (%s): each is asked for anew.", error.__cause__)
    return OrtGraph(graph, cuda_provider())


def _card() -> Card:
    found = cards()
    if not found:
        raise MissingExtraError("TensorRT needs an NVIDIA card, and no driver here shows one (nvidia-smi).")
    return found[0]


def open_step(
    device: str,
    graph: bytes,
    states: Mapping[str, int],
    statics: Mapping[str, int] | None = None,
    *,
    buckets: Sequence[int] = BUCKETS,
    capacity: int = CAPACITY,
    bound: int = 64,
    precision: str = "fp32",
    cache: Path | None = None,
) -> DeviceNetwork:
    """Put a step with its states and what does not change on a device.

    Args:
        device: As ``Choice`` names it.
        graph: ONNX with inputs ``state.<name>`` and outputs ``next.<name>``, the batch free, in float32.
        states: The batch axis of each state, by name.
        statics: The same of the inputs that do not change during a session.
        buckets: Sizes of batches, rising.
        capacity: Places for states.
        bound: Places for what does not change.
        precision: Of its products: fp32, fp16 or bf16; all else and the states stay float32.
        cache: Folder of engines; by default that of the user.

    Raises:
        ArtefactError: The graph cannot be loaded there.
        MissingExtraError: A library is missing.
    """
    wanted = Wanted(
        {PLACES: capacity, BOUND: bound}, tuple(buckets), precision, cache=cache_folder() if cache is None else cache
    )
    opened = open_graph(device, slotted(to_precision(graph, precision, products_only=True), states, statics), wanted)
    return DeviceNetwork(opened, states, statics, buckets=buckets, capacity=capacity, bound=bound)


def network_opener(device: str, **options: Any) -> NetworkOpener:
    """What opens the graphs of bundles and styles on a device.

    Args:
        device: As ``Choice`` names it.
        options: As of ``open_step``; on the processor there are none, and each call has one thread.
    """
    if device == "cpu":
        return OnnxNetwork

    def opened(graph: bytes, geometry: NetworkGeometry) -> Network:
        states = {name: shape.index(BATCH) for name, shape in geometry.state.items()}
        return open_step(device, to_floats(graph), states, **options)

    return opened


def open_networks_on(device: str, bundle: Bundle, **options: Any) -> Networks:
    """The networks of a bundle on a device; any number of pipelines may share them.

    Args:
        device: As ``Choice`` names it.
        bundle: As from ``load_bundle``.
        options: As of ``open_step``.

    Raises:
        ArtefactError: A graph cannot be loaded or is not what the manifest says.
        MissingExtraError: A library is missing.
    """
    if device == "cpu":
        return open_networks(bundle)
    opened = network_opener(device, **options)
    apc, motion, headpose = (
        opened(bundle.graphs[name], bundle.manifest.networks[name]) for name in ("apc", "motion", "headpose")
    )
    return Networks(apc=apc, motion=motion, headpose=headpose)


def resolve(device: str, say: Callable[[str], object] = logger.warning) -> Choice:
    """What computes on this machine when ``device`` is asked for: it was tried, and can.

    Args:
        device: One of ``engine.backends.devices.DEVICES``.
        say: Told in sentences what is missing, and what is taken instead; by default they are logged.

    Raises:
        ConfigError: There is no such device.
    """
    if device == "cpu":
        # What everybody has; nothing is looked for.
        return Choice(device)
    machine, broken = detect(), dict[str, str]()
    while True:
        choice = choose(device, machine, broken)
        reason = None if choice.device == "cpu" else _failure(choice.device)
        if reason is None:
            break
        broken[choice.device] = reason
    for sentence in choice.sentences:
        say(sentence)
    return choice


@functools.cache
def _failure(device: str) -> str | None:
    """Why a device on which all is installed does not compute, in a sentence; None where it does."""
    shape = (1, 4)
    try:
        graph = open_graph(device, _doubling(), Wanted({}, (1,), cuda_graphs=False, cache=cache_folder()))
        taken, given = graph.buffer(shape, "float32"), graph.buffer(shape, "float32")
        graph.write(taken, np.ones(shape, np.float32))
        graph.execute({"x": taken}, {"y": given}, 0)
        right = bool((graph.read(given) == 2).all())
    except MienError as error:
        return f"{device} does not run here: {error}"
    except Exception as error:  # a driver's and a library's share no class.
        what = str(error).strip().splitlines() or [type(error).__name__]
        return f"{device} is installed and does not run here ({what[0]}): see docs/gpu.md for what belongs together."
    return None if right else f"{device} does not compute what it should: update the driver of the card."


def _doubling() -> bytes:
    """The smallest graph that computes: y is twice x."""
    write = GraphWriter("doubling")
    write.input("x", "float32", (BATCH, 4))
    write.output(write("Add", "x", "x"), "y", "float32", (BATCH, 4))
    return write.finish()
