"""Features to displacements of mouth, eyes and nose by the motion generator (paper 3.2).

::

    features of frame      0  1  2  ...  a    ...  d    d+1
    the network moves      -  -  -  ...  0    ...  d-a  d-a+1
    motion of frame        -  -  -  ...  -    ...  0    1

d is the session's lookahead in frames, a what the network is asked for: no more than it speaks best with. What a
session hears beyond that is used to smooth: each frame is a weighted mean of its neighbours, as many after it as
before, so that nothing comes late and nothing is heard beyond d. A style whose own smoothing is causal, and which was
trained to speak so much earlier, is asked for all of d and is not smoothed a second time.
"""

import math
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
_BASE = "base"


@dataclass(frozen=True)
class MotionState:
    """Where the stream is.

    Attributes:
        frame: Feature frames heard so far.
        network: The recurrent state of the network.
        voices: Those of the styles.
        smooth: By slot, float32 (2, 123), the poles of the smoothing that a style's motion goes through.
        recent: By slot and for ``base``, float32 (n, 123), the newest outputs, the last frame's last.
    """

    frame: int
    network: NetworkState
    voices: Voices
    smooth: Mapping[str, NDArray[np.float32]]
    recent: Mapping[str, NDArray[np.float32]]


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
        heard_frames: int | None = None,
        smoothing_frames: float = 0.0,
    ) -> None:
        """Set up.

        Args:
            network: The motion generator.
            mean: float32 (123,) fu.
            scale: fu per unit of the network's output.
            lookahead_frames: Frames of 60 Hz that the motion hears ahead.
            max_lookahead_frames: The most that the network was trained for.
            heard_frames: The most that the network is asked for; all of the lookahead by default.
            smoothing_frames: Standard deviation, in frames, of the smoothing for which the rest of the lookahead is
                used; 0 for none.

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
        self._heard = lookahead_frames if heard_frames is None else min(lookahead_frames, heard_frames)
        self._kernel = _kernel(lookahead_frames - self._heard, smoothing_frames)
        self._span = lookahead_frames - self._heard + len(self._kernel) // 2 + 1

    @property
    def lookahead_ticks(self) -> int:
        """The lookahead on the media clock."""
        return self.lookahead_frames * TICKS_PER_MOTION

    def init_state(self) -> MotionState:
        """Zero recurrent state, nothing heard."""
        network = self._server.network.init_state()
        return MotionState(
            0,
            network,
            no_voices(network),
            dict.fromkeys(SLOTS, np.zeros((_POLES, MOTION_DIM), np.float32)),
            dict.fromkeys((_BASE, *SLOTS), np.zeros((self._span, MOTION_DIM), np.float32)),
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
        inputs = self._question(x, self._heard)
        outputs, network = yield from self._server.ask(inputs, state.network)
        servers = [(share, share.style.motion) for share in shares]
        even = [server for server in servers if not server[0].style.motion_keep]
        early = [server for server in servers if server[0].style.motion_keep]
        styled, voices = yield from ask_styles(even, inputs, state.network, state.voices)
        sooner = self._question(x, self.lookahead_frames)
        trailing, voices = yield from ask_styles(early, sooner, state.network, voices)
        recent = {**state.recent, _BASE: self._remembered(state.recent[_BASE], outputs, state.frame)}
        base = self._settled(recent[_BASE])
        parts, smooth = self._styled([*styled, *trailing], base, recent, state)
        following = MotionState(state.frame + 1, network, voices, smooth, recent)
        if state.frame < self.lookahead_frames:
            return np.zeros((0, MOTION_POINT_COUNT, 3), np.float32), following
        displacement = mixed(base, parts) * self._scale + self._mean
        return displacement.reshape(1, MOTION_POINT_COUNT, 3), following

    def _styled(
        self,
        answers: Sequence[tuple[Share, Tensors]],
        base: NDArray[np.float32],
        recent: dict[str, NDArray[np.float32]],
        state: MotionState,
    ) -> tuple[list[tuple[float, NDArray[np.float32]]], Mapping[str, NDArray[np.float32]]]:
        """Weight and motion (123,) of each style, and where the poles are now; ``recent`` takes in what is new."""
        parts, smooth = [], dict(state.smooth)
        for share, answer in answers:
            # A style that has just begun comes from where the base is.
            slot, begun = share.slot, state.voices[share.slot].run == share.run
            if share.style.motion_keep:
                smooth[slot] = _poles(share.style.motion_keep, smooth[slot] if begun else base, answer)
                parts.append((share.weight, smooth[slot][1]))
            else:
                before = state.recent[slot if begun else _BASE]
                recent[slot] = self._remembered(before, answer, state.frame)
                parts.append((share.weight, self._settled(recent[slot])))
        return parts, smooth

    def flush(self, state: MotionState) -> NDArray[np.float32]:
        """No motion: what is owed needs features of the silence after the sound, which the chunker's tail gives."""
        return np.zeros((0, MOTION_POINT_COUNT, 3), np.float32)

    def _question(self, x: NDArray[np.float32], lookahead: int) -> Tensors:
        return {"features": x.reshape(1, 1, -1), "lookahead": np.array([lookahead], np.int64)}

    def _remembered(self, recent: NDArray[np.float32], outputs: Tensors, frame: int) -> NDArray[np.float32]:
        """The newest outputs after one more; up to the stream's first frame there is nothing but the newest."""
        newest = outputs["displacement"][0]
        kept = np.broadcast_to(newest, recent.shape) if frame <= self._heard else recent
        return np.concatenate([kept[1:], newest])

    def _settled(self, recent: NDArray[np.float32]) -> NDArray[np.float32]:
        """The motion (123,) of the frame that is now given out."""
        smoothed: NDArray[np.float32] = self._kernel @ recent[: len(self._kernel)]
        return smoothed


def _kernel(room: int, deviation: float) -> NDArray[np.float32]:
    """Weights of a frame's neighbours: a Gaussian of ``deviation`` frames, cut off at three and at ``room`` frames."""
    reach = min(room, math.ceil(3 * deviation))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / max(deviation, 1e-6)) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def _poles(keep: float, before: NDArray[np.float32], outputs: Tensors) -> NDArray[np.float32]:
    """Where a style's two poles are after one more frame; ``before`` is where they were, or (123,) where both begin."""
    poles = np.broadcast_to(before, (_POLES, MOTION_DIM))
    first = keep * poles[0] + (1 - keep) * outputs["displacement"][0, 0]
    second = keep * poles[1] + (1 - keep) * first
    return np.stack([first, second]).astype(np.float32)
