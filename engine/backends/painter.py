"""Draws frames of several sessions in one launch: sketches go to the card, finished pictures come back."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.picture_network import PictureNetwork
from engine.backends.device_graph import BATCH, DeviceGraph
from engine.backends.device_network import BUCKETS, Bound, bucket_of
from engine.backends.engine_cache import cache_folder
from engine.backends.float_graph import to_floats
from engine.backends.frame_graph import LINED, PATCHED, frame_graph
from engine.backends.half_graph import to_precision
from engine.backends.opening import Wanted, open_graph
from engine.backends.ort_graph import OrtGraph
from engine.backends.profiles import Lengths, batches_of
from engine.backends.slots import Slots
from engine.backends.slotted import BOUND
from engine.errors import CapacityError
from engine.renderer.network_input import WINDOW_SIZE
from engine.renderer.pixels import U8
from engine.renderer.sketch import Sketch
from models.spec import IMAGE_SIZE

PATCH_STEP: Final = 16_384
"""Pixels of mouth and eyes a frame that are allowed for at once; twice, four times as many where they are more."""
LINE_STEP: Final = 8192
"""The same of the facial map."""
AVATARS: Final = 17
"""Places for portraits, some 5 MB each; the first is not used."""
_AREA = IMAGE_SIZE * IMAGE_SIZE


def open_painter(
    device: str,
    network: PictureNetwork | None,
    *,
    buckets: Sequence[int] = BUCKETS,
    avatars: int = AVATARS,
    precision: str | None = None,
    cuda_graphs: bool = True,
    cache: Path | None = None,
) -> "Painter":
    """Put what draws frames on a device.

    Args:
        device: As ``engine.backends.devices.Choice`` names it.
        network: Refines the pictures; None for the geometric renderer's alone.
        buckets: Sizes of batches, rising.
        avatars: Places for portraits.
        precision: In which the network computes: fp32, fp16 or bf16; by default fp32 on the processor, fp16 on cards.
        cuda_graphs: Record each call and replay it.
        cache: Folder of engines; by default that of the user.

    Raises:
        ArtefactError: The graph cannot be loaded there.
        MissingExtraError: A library is missing.
    """
    size = WINDOW_SIZE if network is None else network.geometry.size
    chosen = precision or ("fp32" if device == "cpu" else "fp16")
    graph = painting_graph(network, chosen)
    folder = cache_folder() if cache is None else cache
    wanted = Wanted(frame_lengths(buckets, avatars), tuple(buckets), chosen, cuda_graphs, folder)
    return Painter(open_graph(device, graph, wanted), buckets=buckets, avatars=avatars, size=size)


def frame_lengths(buckets: Sequence[int], avatars: int) -> Lengths:
    """The free lengths of a frame graph, beside the batch."""
    least, usual, most = batches_of(buckets)
    return {
        BOUND: avatars,
        # Twice as many as are allowed for at first: faces that fill their picture.
        PATCHED: (least * PATCH_STEP, usual * PATCH_STEP, 2 * most * PATCH_STEP),
        LINED: (least * LINE_STEP, usual * LINE_STEP, 2 * most * LINE_STEP),
    }


def painting_graph(network: PictureNetwork | None, precision: str = "fp32") -> bytes:
    """The graph that draws frames, with a network of a bundle in it.

    Args:
        network: As the bundle holds it, in any of its precisions.
        precision: In which the network computes; what is around it needs float32. With int8 it is taken as it is.

    Raises:
        MissingExtraError: The ``onnx`` package is not installed.
    """
    if network is None:
        return frame_graph(None, WINDOW_SIZE, (1, 1, 1))
    drawn = network.graph if precision == "int8" else to_precision(to_floats(network.graph), precision)
    return frame_graph(drawn, network.geometry.size, network.geometry.static)


def encode_static(network: PictureNetwork, source: U8, patterns: U8 | None = None) -> NDArray[np.float32]:
    """What a picture network computes once of a portrait and a style, float32 (1, C, h, w).

    Args:
        network: As a bundle holds it.
        source: uint8 (4, S, S), as from ``source_input``.
        patterns: uint8 (12, 256, 256), the style's; by default the network's neutral ones.

    Raises:
        ArtefactError: Its graph cannot be loaded.
    """
    graph = OrtGraph(network.static_graph)
    given = {"source": source[None], "patterns": (network.patterns if patterns is None else patterns)[None]}
    # A network that refines warped frames does not look at the portrait, and its graph does not take it.
    inputs = {name: graph.buffer(given[name].shape, "uint8") for name in graph.inputs}
    for name, buffer in inputs.items():
        graph.write(buffer, given[name])
    outputs = {"static": graph.buffer((1, *network.geometry.static), "float32")}
    graph.execute(inputs, outputs, 0)
    return graph.read(outputs["static"])


class Painter:
    """One frame graph and what is bound to it. Calls may come from several threads; they run one after another."""

    def __init__(
        self,
        graph: DeviceGraph,
        *,
        buckets: Sequence[int] = BUCKETS,
        avatars: int = AVATARS,
        size: int = WINDOW_SIZE,
    ) -> None:
        """Lay out the memory.

        Args:
            graph: As from ``frame_graph``, on a device.
            buckets: Sizes of batches, rising.
            avatars: Places for portraits.
            size: Pixels along a side of what the network draws.
        """
        self._graph, self._buckets, self._size = graph, tuple(buckets), size
        self._lock = threading.Lock()
        self._places = Slots(avatars)
        self._banks: dict[str, Any] = {}
        self._kept: dict[str, NDArray[Any]] = {}
        for name, spec in graph.inputs.items():
            if name.startswith("bank."):
                shape = spec.sized(**{BOUND: avatars})
                self._banks[name] = graph.buffer(shape, spec.dtype)
                self._kept[name] = np.zeros(shape, spec.dtype)
        self._moved = False
        """Whether something was bound that is not on the device yet."""
        self._calls: dict[tuple[int, ...], tuple[int, dict[str, Any], dict[str, Any]]] = {}
        self.launches = 0
        """Calls of the graph so far."""

    def bind(self, source: U8, plate: U8, static: NDArray[np.float32] | None = None) -> Bound:
        """Take a portrait; it goes to the device before the next launch, with all that came meanwhile.

        Args:
            source: uint8 (1024, 1024, 4), as of ``SketchRenderer.source``.
            plate: uint8 (512, 512, 3), the background.
            static: float32 (1, C, h, w), as from ``encode_static``, where there is a network.

        Raises:
            CapacityError: All places are taken.
        """
        with self._lock:
            try:
                handle = Bound(self._places)
            except IndexError as error:
                raise CapacityError("No more portraits fit on the card: end a session first.") from error
            self._kept["bank.source"][:, handle.place] = source.transpose(2, 0, 1)
            self._kept["bank.plate"][handle.place] = plate.transpose(2, 0, 1)
            if static is not None and "bank.static" in self._kept:
                self._kept["bank.static"][handle.place] = static[0]
            self._moved = True
        return handle

    def draw(self, sketches: Sequence[Sketch], who: Sequence[Bound]) -> list[U8]:
        """Draw frames, all that fit into one bucket in one launch.

        Args:
            sketches: One a frame.
            who: Whose each is.

        Returns:
            uint8 (512, 512, 3) RGB each.
        """
        most = self._buckets[-1]
        drawn: list[U8] = []
        with self._lock:
            for start in range(0, len(sketches), most):
                drawn += self._launch(sketches[start : start + most], who[start : start + most])
        return drawn

    def _launch(self, sketches: Sequence[Sketch], who: Sequence[Bound]) -> list[U8]:
        if self._moved:
            self._moved = False
            for name, array in self._kept.items():
                self._graph.write(self._banks[name], array)
        bucket = bucket_of(len(sketches), self._buckets)
        # Rows beside those asked for are the last frame once more: its patches are put in there too, for nothing.
        padded = [*sketches, *[sketches[-1]] * (bucket - len(sketches))]
        bound = [*who, *[who[-1]] * (bucket - len(sketches))]
        patch_places = _joined([sketch.patch_places for sketch in padded], _AREA)
        map_places = _joined([sketch.map_places for sketch in padded], self._size**2)
        patched = _room(len(patch_places), bucket * PATCH_STEP)
        lined = _room(len(map_places), bucket * LINE_STEP)
        call, taken, given = self._call(bucket, patched, lined)
        values = {
            "positions": np.stack([sketch.positions for sketch in padded]),
            "patch_places": _filled(patch_places, patched),
            "patch_pixels": _filled(np.concatenate([sketch.patch_pixels for sketch in padded]), patched),
            "map_places": _filled(map_places, lined),
            "map_values": _filled(np.concatenate([sketch.map_values for sketch in padded]), lined),
            "corner": np.stack([sketch.corner for sketch in padded]),
            "who": np.array([each.place for each in bound], np.int64),
        }
        for name, array in values.items():
            if name in taken:
                self._graph.write(taken[name], array)
        self._graph.execute(taken, given, call)
        self.launches += 1
        frames: U8 = self._graph.read(given["frame"])
        return list(frames[: len(sketches)])

    def _call(self, bucket: int, patched: int, lined: int) -> tuple[int, dict[str, Any], dict[str, Any]]:
        """The buffers of a call, which stay the same."""
        found = self._calls.get((bucket, patched, lined))
        if found is None:
            lengths = {BATCH: bucket, PATCHED: patched, LINED: lined}
            taken = dict(self._banks)
            for name, spec in self._graph.inputs.items():
                if name not in taken:
                    taken[name] = self._graph.buffer(spec.sized(**lengths), spec.dtype)
            given = {
                name: self._graph.buffer(spec.sized(**lengths), spec.dtype)
                for name, spec in self._graph.outputs.items()
            }
            found = self._calls[bucket, patched, lined] = len(self._calls), taken, given
        return found


def _joined(places: Sequence[NDArray[np.int32]], area: int) -> NDArray[np.int32]:
    """Places in single frames as places in all frames of a launch."""
    return np.concatenate([each + np.int32(number * area) for number, each in enumerate(places)])


def _room(count: int, step: int) -> int:
    """The smallest of step, 2 step, 4 step ... that holds ``count``."""
    room = step
    while room < count:
        room *= 2
    return room


def _filled(array: NDArray[Any], length: int) -> NDArray[Any]:
    """``array`` with its last row repeated up to ``length``: to put the same pixel in twice changes nothing."""
    if not len(array):
        return np.zeros((length, *array.shape[1:]), array.dtype)
    result = np.empty((length, *array.shape[1:]), array.dtype)
    result[: len(array)], result[len(array) :] = array, array[-1]
    return result
