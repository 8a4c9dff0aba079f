"""Does a device say in its precision what torch says in float32, step after step, and draw what torch draws?

Torch runs the bundle's own float graphs on the processor (``export.torch_graph``); the device runs them in the
precision that is asked for. States are fed back for all steps; pictures are those of the avatars that ship, speaking
and turning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.bundle import Bundle, NetworkGeometry, default_bundle, pick_renderer
from engine.artefacts.picture_network import PictureNetwork
from engine.backends.device_graph import BATCH
from engine.backends.device_network import DeviceNetwork
from engine.backends.float_graph import to_floats
from engine.backends.half_graph import to_precision
from engine.backends.opening import open_step
from engine.backends.painter import Painter, encode_static, open_painter, painting_graph
from engine.backends.slotted import slotted
from engine.renderer.network_input import WINDOW_SIZE, source_input
from engine.renderer.sketch import SketchRenderer
from export.device_int8 import with_integers
from export.parity import STEPS
from export.picture_frames import drawn_faces, read_portraits
from export.torch_graph import TorchGraph
from models.spec import POSE_DIM

TOLERANCES: Final[Mapping[str, float]] = {"fp32": 2e-3, "fp16": 3e-3, "bf16": 2e-2, "int8": 3e-3}
"""Largest accepted RMS error of a tensor, as a share of its own RMS. Cards round float32 products to 19 bits (TF32);
in half precision only products are, and with int8 only the picture network computes in integers."""
LEAST_PSNR_DB: Final[Mapping[str, float]] = {"fp32": 55.0, "fp16": 45.0, "bf16": 38.0, "int8": 34.0}
"""Of pictures against torch's float32 ones."""
_NETWORKS: Final = ("apc", "motion", "headpose")
_SESSIONS: Final = 3
_SPREAD: Final[Mapping[str, tuple[float, Any]]] = {
    "mel": (0.35, 0.25),
    "pose": (0.0, np.repeat(np.array([0.05, 0.003], np.float32), POSE_DIM)),
    "features": (0.0, 0.4),
}


@dataclass(frozen=True)
class StepParity:
    """How far a network strays on a device.

    Attributes:
        precision: In which it computes there.
        steps: Steps run, with states fed back.
        worst: Largest RMS difference of any output or last state, as a share of its RMS.
    """

    precision: str
    steps: int
    worst: float

    @property
    def holds(self) -> bool:
        """Whether that is within the precision's tolerance."""
        return self.worst <= TOLERANCES[self.precision]


@dataclass(frozen=True)
class PictureQuality:
    """How far pictures stray on a device.

    Attributes:
        precision: In which the network computes there.
        frames: Pictures drawn.
        psnr_db: Of all of them against torch's.
        face_psnr_db: The same within the window of the face.
    """

    precision: str
    frames: int
    psnr_db: float
    face_psnr_db: float

    @property
    def holds(self) -> bool:
        """Whether the worse of both is good enough for the precision."""
        return min(self.psnr_db, self.face_psnr_db) >= LEAST_PSNR_DB[self.precision]


def verify_steps(bundle: Bundle, device: str, precision: str, steps: int = STEPS) -> dict[str, StepParity]:
    """Parity of the networks of sound and motion, several sessions at once.

    Args:
        bundle: As from ``load_bundle``.
        device: As ``engine.backends.devices.Choice`` names it, or ``torch`` for torch on the processor.
        precision: fp32, fp16 or bf16.
        steps: How many.

    Raises:
        ArtefactError: A graph cannot be run.
        MissingExtraError: A library is missing.
    """
    found = {}
    for name in _NETWORKS:
        geometry, graph = bundle.manifest.networks[name], to_floats(bundle.graphs[name])
        states = {state: shape.index(BATCH) for state, shape in geometry.state.items()}
        sizes: dict[str, Any] = {"buckets": (1, _SESSIONS + 1), "capacity": 3 * _SESSIONS}
        exact = DeviceNetwork(TorchGraph(slotted(graph, states)), states, **sizes)
        if device == "torch":
            half = to_precision(graph, precision, products_only=True)
            tried = DeviceNetwork(TorchGraph(slotted(half, states)), states, **sizes)
        else:
            tried = open_step(device, graph, states, precision=precision, **sizes)
        found[name] = StepParity(precision, steps, _stray(exact, tried, geometry, steps))
    return found


def verify_pictures(
    bundle: Bundle, preset: str, device: str, precision: str, *, each: int = 2, network: PictureNetwork | None = None
) -> PictureQuality:
    """Pictures of the avatars that ship, those of all avatars in one launch.

    Args:
        bundle: As from ``load_bundle``.
        preset: ``lite``, ``paper`` or ``warp``.
        device: As for ``verify_steps``.
        precision: fp32, fp16, bf16, or int8, for which the network is scaled by the avatars that ship.
        each: Faces of each avatar.
        network: Draws instead of the bundle's own.

    Raises:
        ArtefactError: A graph cannot be run.
        ConfigError: The bundle does not hold the preset.
        MissingExtraError: A library is missing.
    """
    drawn = network or pick_renderer(bundle, preset)
    computed = in_precision(drawn, precision)
    size = WINDOW_SIZE if drawn is None else drawn.geometry.size
    avatars = read_portraits(_portraits())
    sketchers = [SketchRenderer(avatar, size=size) for avatar in avatars]
    statics = [None if drawn is None else encode_static(drawn, source_input(avatar, size)) for avatar in avatars]
    sizes: dict[str, Any] = {"buckets": (len(avatars),), "avatars": len(avatars) + 1}
    exact = Painter(TorchGraph(painting_graph(drawn)), size=size, **sizes)
    if device == "torch":
        graph = TorchGraph(painting_graph(computed, precision))
        tried = Painter(graph, size=size, **sizes)
    else:
        tried = open_painter(device, computed, precision=precision, **sizes)
    squared, face, count = 0.0, 0.0, 0
    bound = [
        [
            painter.bind(sketcher.source, avatar.plate, static)
            for sketcher, avatar, static in zip(sketchers, avatars, statics, strict=True)
        ]
        for painter in (exact, tried)
    ]
    for faces in zip(*(drawn_faces(avatar, each, seed) for seed, avatar in enumerate(avatars)), strict=True):
        sketches = [sketcher.sketch(*each_face) for sketcher, each_face in zip(sketchers, faces, strict=True)]
        pictures = [painter.draw(sketches, who) for painter, who in zip((exact, tried), bound, strict=True)]
        for truth, ours, sketch in zip(*pictures, sketches, strict=True):
            errors = (ours.astype(np.float64) - truth) ** 2
            row, column = sketch.corner
            squared, face = squared + errors.mean(), face + errors[row : row + size, column : column + size].mean()
            count += 1
    return PictureQuality(precision, count, _psnr(squared / count), _psnr(face / count))


def in_precision(network: PictureNetwork | None, precision: str) -> PictureNetwork | None:
    """A picture network as a device is given it: in integers for int8, else as it is.

    Raises:
        ArtefactError: The avatars that ship are missing.
    """
    if network is None or precision != "int8":
        return network
    return with_integers(replace(network, graph=to_floats(network.graph)))


def step_precision(device: str, precision: str) -> str:
    """In which the networks of sound and motion compute: with int8 the picture network alone computes in integers."""
    if precision != "int8":
        return precision
    return "fp32" if device == "cpu" else "fp16"


def _portraits() -> Path:
    return default_bundle().parent / "avatars"


def _psnr(squared: float) -> float:
    return min(100.0, float(10 * np.log10(255**2 / max(squared, 1e-12))))


def _stray(exact: DeviceNetwork, tried: DeviceNetwork, geometry: NetworkGeometry, steps: int) -> float:
    """The worst of all outputs and last states."""
    rng = np.random.default_rng(0)
    ours, theirs = ([network.init_state() for _ in range(_SESSIONS)] for network in (exact, tried))
    said: dict[str, list[NDArray[np.float32]]] = {name: [] for name in geometry.outputs}
    heard: dict[str, list[NDArray[np.float32]]] = {name: [] for name in geometry.outputs}
    for _ in range(steps):
        inputs = step_inputs(geometry, rng, _SESSIONS)
        truth, ours = exact.run_many(inputs, ours)
        found, theirs = tried.run_many(inputs, theirs)
        for name in geometry.outputs:
            said[name].append(truth[name])
            heard[name].append(found[name])
    pairs = [(np.stack(said[name]), np.stack(heard[name])) for name in geometry.outputs]
    pairs += [(one[name], other[name]) for one, other in zip(ours, theirs, strict=True) for name in geometry.state]
    return max(share(truth, found) for truth, found in pairs)


def step_inputs(geometry: NetworkGeometry, rng: np.random.Generator, sessions: int) -> dict[str, NDArray[Any]]:
    """What a step is given, in the range of real ones, a row a session; sessions differ."""
    inputs: dict[str, NDArray[Any]] = {}
    for name, shape in geometry.inputs.items():
        if name in geometry.dtypes:
            inputs[name] = np.linspace(0, 18, sessions).astype(np.int64)
            continue
        sizes = [sessions if length == BATCH else int(length) for length in shape]
        mean, deviation = _SPREAD[name]
        inputs[name] = (mean + deviation * rng.standard_normal(sizes)).astype(np.float32)
    return inputs


def share(truth: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """RMS of the difference as a share of the truth's."""
    exact = truth.astype(np.float64)
    return float(np.sqrt(np.square(found - exact).mean() / max(np.square(exact).mean(), 1e-30)))


class Verdict(Protocol):
    """What was found out about a device."""

    @property
    def holds(self) -> bool:
        """Whether it is good enough."""
        ...


def failures(found: Sequence[tuple[str, Verdict]]) -> list[str]:
    """Names of what does not hold."""
    return [name for name, each in found if not each.holds]
