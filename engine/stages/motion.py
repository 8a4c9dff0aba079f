"""Features to displacements of mouth, eyes and nose by the motion generator (paper 3.2).

::

    features of frame     0  1  2  ...  d    d+1
    motion of frame       -  -  -  ...  0    1        d: the session's lookahead in frames
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.backend import Network, NetworkState, Tensors
from engine.batching import NetworkServer, Place, Work, drive
from engine.errors import ConfigError
from engine.stages.style_mix import SLOTS, Share, Voices, ask_styles, mixed, no_voices
from models.spec import MOTION_DIM, MOTION_POINT_COUNT, TICKS_PER_MOTION

_POLES = 2


@dataclass(frozen=True)
class MotionState:
    """Where the stream is.

    Attributes:
        frame: Feature frames heard so far.
        network: The recurrent state of the network.
        voices: Those of the styles.
        smooth: By slot, float32 (2, 123), the poles of the smoothing that a style's motion goes through.
    """

    frame: int
    network: NetworkState
    voices: Voices
    smooth: Mapping[str, NDArray[np.float32]]


class Motion:
    """One frame of features in; the motion of the frame ``lookahead_frames`` earlier out."""

    def __init__(
        self,
        network: Network,
        *,
        mean: NDArray[np.float32],
        scale: float,
        lookahead_frames: int,
        max_lookahead_frames: int,
    ) -> None:
        """Set up.

        Args:
            network: The motion generator.
            mean: float32 (123,) fu.
            scale: fu per unit of the network's output.
            lookahead_frames: Frames of 60 Hz that the motion hears ahead.
            max_lookahead_frames: The most that the network was trained for.

        Raises:
            ConfigError: The lookahead is out of range.
        """
        if not 0 <= lookahead_frames <= max_lookahead_frames:
            raise ConfigError(
                f"The lookahead must be 0 to {max_lookahead_frames} frames of 1/60 s, not {lookahead_frames}."
            )
        self._server = NetworkServer(network, Place.MOTION)
        self._mean, self._scale = mean, np.float32(scale)
        self.lookahead_frames = lookahead_frames
        self._lookahead = np.array([lookahead_frames], np.int64)

    @property
    def lookahead_ticks(self) -> int:
        """The lookahead on the media clock."""
        return self.lookahead_frames * TICKS_PER_MOTION

    def init_state(self) -> MotionState:
        """Zero recurrent state, nothing heard."""
        network = self._server.network.init_state()
        return MotionState(
            0, network, no_voices(network), dict.fromkeys(SLOTS, np.zeros((_POLES, MOTION_DIM), np.float32))
        )

    def step(
        self, x: NDArray[np.float32], state: MotionState, shares: Sequence[Share] = ()
    ) -> tuple[NDArray[np.float32], MotionState]:
        """Hear one more frame.

        Args:
            x: float32 (2, 512), the features of the frame's two mel frames.
            state: As from ``init_state`` or the last step.
            shares: Styles that lead the motion away from the network's own.

        Returns:
            float32 (1, 41, 3) in fu, or (0, 41, 3) while the stream's first frame is still ahead; the next state.
        """
        return drive(self.work(x, state, shares))

    def work(
        self, x: NDArray[np.float32], state: MotionState, shares: Sequence[Share] = ()
    ) -> Work[tuple[NDArray[np.float32], MotionState]]:
        """As ``step``, asking the network with others."""
        inputs: Tensors = {"features": x.reshape(1, 1, -1), "lookahead": self._lookahead}
        outputs, network = yield from self._server.ask(inputs, state.network)
        servers = [(share, share.style.motion) for share in shares]
        styled, voices = yield from ask_styles(servers, inputs, state.network, state.voices)
        parts, smooth = self._smoothed(styled, state, outputs["displacement"])
        following = MotionState(state.frame + 1, network, voices, smooth)
        if state.frame < self.lookahead_frames:
            return np.zeros((0, MOTION_POINT_COUNT, 3), np.float32), following
        displacement = mixed(outputs["displacement"], parts)[0] * self._scale + self._mean
        return displacement.reshape(1, MOTION_POINT_COUNT, 3), following

    def _smoothed(
        self, styled: Sequence[tuple[Share, Tensors]], state: MotionState, base: NDArray[np.float32]
    ) -> tuple[list[tuple[float, NDArray[np.float32]]], Mapping[str, NDArray[np.float32]]]:
        """Weight and motion of each style, through its smoothing; and where that is now."""
        parts, smooth = [], dict(state.smooth)
        for share, answer in styled:
            moved, keep = answer["displacement"], share.style.motion_keep
            if keep:
                # A style that has just begun comes from where the base is.
                begun = state.voices[share.slot].run == share.run
                first, second = smooth[share.slot] if begun else (base[0, 0], base[0, 0])
                first = keep * first + (1 - keep) * moved[0, 0]
                second = keep * second + (1 - keep) * first
                smooth[share.slot] = np.stack([first, second]).astype(np.float32)
                moved = smooth[share.slot][None, 1:]
            parts.append((share.weight, moved))
        return parts, smooth

    def flush(self, state: MotionState) -> NDArray[np.float32]:
        """No motion: what is owed needs features of the silence after the sound, which the chunker's tail gives."""
        return np.zeros((0, MOTION_POINT_COUNT, 3), np.float32)
