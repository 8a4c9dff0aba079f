"""Styles made ready to run: opened once, tried out, and shared by all sessions that wear them."""

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.bundle import Bundle, NetworkGeometry
from engine.artefacts.style import Style
from engine.artefacts.style_arrays import STYLE_NETWORKS
from engine.backend import Network, Tensors
from engine.backend_onnx import OnnxNetwork
from engine.backends.opening import NetworkOpener
from engine.batching import NetworkServer, Place, Work
from engine.errors import ArtefactError
from engine.hearing import MotionPipeline
from engine.pipeline import MotionFrame
from engine.stages.liveliness import Manner, Rhythm
from engine.stages.style_mix import NO_STYLE, OpenStyle, Steering, pole_keep
from models.spec import APC_UNITS, MELS_PER_MOTION, MOTION_DIM, POSE_DIM

KEPT: Final = 4
"""Styles that stay open although nobody wears them."""
_TRIAL_STEPS = 3


class Wardrobe:
    """The styles that are worn, on one bundle. Not thread-safe.

    The same style is opened once, however many sessions wear it. It is let go with the last of them, but the ``KEPT``
    styles that were asked for last stay open: opening one takes a tenth of a second of a core, and whoever steers a
    live session goes back and forth between a few.
    """

    def __init__(self, bundle: Bundle, opened: NetworkOpener = OnnxNetwork) -> None:
        self._bundle, self._opened = bundle, opened
        self._open: weakref.WeakValueDictionary[tuple[str, ...], OpenStyle] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[tuple[str, ...], OpenStyle] = OrderedDict()

    def open(self, style: Style) -> OpenStyle:
        """Make a style ready to run.

        Raises:
            ArtefactError: It belongs to another bundle, cannot be run, or gives what is no motion.
        """
        key = _identity(style)
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = open_style(style, self._bundle, self._opened)
        self._recent[key] = found
        self._recent.move_to_end(key)
        if len(self._recent) > KEPT:
            self._recent.popitem(last=False)
        return found


def open_style(style: Style, bundle: Bundle, opened: NetworkOpener = OnnxNetwork) -> OpenStyle:
    """Load a style's networks and try them out.

    Args:
        style: As from ``load_style``.
        bundle: The bundle that it shall run beside.
        opened: Opens its networks; by default on the processor.

    Raises:
        ArtefactError: It belongs to another bundle, cannot be run, or gives what is no motion.
    """
    graphs = style.graphs(bundle)
    motion, head_pose = (
        _open_network(style, name, graphs[name], bundle.manifest.networks[name], opened) for name in STYLE_NETWORKS
    )
    still = np.zeros((1, 1, 2 * POSE_DIM), np.float32)
    feature = np.zeros((1, 1, APC_UNITS), np.float32)
    pair = np.zeros((1, 1, MELS_PER_MOTION * APC_UNITS), np.float32)
    _try(style, "motion", motion, {"features": pair, "lookahead": np.zeros(1, np.int64)}, {"displacement": MOTION_DIM})
    _try(style, "headpose", head_pose, {"pose": still, "features": feature}, {"mean": POSE_DIM, "sigma": POSE_DIM})
    settings = style.manifest
    return OpenStyle(
        name=style.name,
        motion=NetworkServer(motion, Place.STYLE_MOTION),
        head_pose=NetworkServer(head_pose, Place.STYLE_HEAD_POSE),
        temperature=settings.pose.temperature,
        limits=np.array(settings.pose.limits, np.float64),
        manner=Manner(
            **settings.life.model_dump(),
            rhythm=tuple(Rhythm(part.hz, part.cosine, part.sine) for part in settings.pose.rhythm),
        ),
        centre=np.array(settings.pose.centre, np.float64),
        smoothing_frames=settings.pose.smoothing_frames,
        motion_keep=pole_keep(settings.motion.smoothing_frames),
        rest=style.arrays.rest,
    )


@dataclass(frozen=True)
class Styled:
    """A pipeline in a style from its first frame on, whatever it is told: to measure what that takes."""

    pipeline: MotionPipeline
    style: OpenStyle

    @property
    def latency_ticks(self) -> int:
        """As of the pipeline."""
        return self.pipeline.latency_ticks

    def init_state(self) -> object:
        """As of the pipeline."""
        return self.pipeline.init_state()

    def work(
        self, block: NDArray[np.float32], state: object, steering: Steering
    ) -> Work[tuple[list[MotionFrame], object]]:
        """As of the pipeline, in the style."""
        frames, following = yield from self.pipeline.work(block, state, NO_STYLE.wearing(self.style))
        return list(frames), following

    def go_back(self, states: Sequence[object], frame: int) -> object:
        """As of the pipeline."""
        return self.pipeline.go_back(states, frame)


def _open_network(style: Style, name: str, graph: bytes, geometry: NetworkGeometry, opened: NetworkOpener) -> Network:
    try:
        return opened(graph, geometry)
    except ArtefactError as error:
        raise ArtefactError(
            f"The style {style.name!r}: its network {name} cannot be loaded; fetch or train the style again."
        ) from error


def _try(style: Style, name: str, network: Network, inputs: Tensors, widths: dict[str, int]) -> None:
    """Run a few steps on nothing: what fails or is no number fails here, and not in the midst of a session."""
    state, sound = network.init_state(), True
    try:
        for _ in range(_TRIAL_STEPS):
            outputs, state = network.run(inputs, state)
            sound = sound and all(outputs[key].shape == (1, 1, width) for key, width in widths.items())
            sound = sound and all(bool(np.isfinite(array).all()) for array in (*outputs.values(), *state.values()))
    except Exception as error:  # onnxruntime's exceptions share no base class of their own.
        raise ArtefactError(f"The style {style.name!r}: its network {name} cannot be run; train it again.") from error
    if not sound:
        raise ArtefactError(f"The style {style.name!r}: its network {name} gives no motion; train it again.")


def _identity(style: Style) -> tuple[str, ...]:
    """What tells a style from every other: its manifest and its arrays."""
    return style.manifest.model_dump_json(), hashlib.sha256(style.packed).hexdigest()
