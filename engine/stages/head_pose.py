"""Head pose drawn frame by frame from the probabilistic network (paper 3.2, eq. 3).

x_t = x_{t-1} + mean + temperature * sigma * noise, with the mean and sigma that the network gives for the last
255 poses and the sound of frame t. The network keeps the inputs that its dilated convolutions still need, so one
frame costs one column of every layer and not 255.

A sampled walk has no memory of the centre. Two springs give it one: a weak one everywhere (seconds), and one
beyond the declared limits (tenths of a second). Whatever the network says, a pose never leaves 1.5 limits.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.backend import Network, NetworkState
from engine.stages.noise import normals
from models.spec import MOTION_HZ, POSE_DIM

_STREAM = 1
_CENTRE_PULL = 1 / (8.0 * MOTION_HZ)
"""Share of a pose taken back each frame: a time constant of 8 s, slower than any gesture."""
_LIMIT_PULL = 0.12
_HARD_FACTOR = 1.5
_MAX_STEP = np.array([0.03, 0.03, 0.03, 0.012, 0.012, 0.012])
"""Largest change in one frame, rad and fu: 1.8 rad/s is a quick turn of a head."""
_FADE_FRAMES = MOTION_HZ
"""A stream begins at the neutral pose and takes a second to move fully."""


@dataclass(frozen=True)
class HeadPoseState:
    """Where the walk is.

    Attributes:
        seed: Of the noise.
        frame: Poses drawn so far; also the noise's counter.
        pose: float64 (6,), rotation vector in rad and translation in fu, as sampled.
        step: float64 (6,), the change that led to it.
        smooth: float64 (2, 6), the two poles of the causal smoothing.
        network: What the convolutions still need.
    """

    seed: int
    frame: int
    pose: NDArray[np.float64]
    step: NDArray[np.float64]
    smooth: NDArray[np.float64]
    network: NetworkState


class HeadPose:
    """Features of a frame in, the head pose of that frame out."""

    lookahead_ticks = 0

    def __init__(
        self,
        network: Network,
        *,
        temperature: float,
        limits: tuple[float, ...],
        smoothing_frames: float,
        seed: int = 0,
        amplitude: float = 1.0,
    ) -> None:
        """Set up.

        Args:
            network: The head pose network.
            temperature: Factor on its deviation; 0 follows the mean.
            limits: Six, in rad and fu, beyond which the pose is pulled back.
            smoothing_frames: Time constant of each of the two causal poles that what is shown goes through.
                The head then trails its sample by about twice that; it is not late against the sound in any
                way that can be seen, for no head pose belongs to one instant of it.
            seed: Of a stream that begins with ``init_state``.
            amplitude: Factor on the poses that are shown.
        """
        self._network, self._temperature, self._seed = network, temperature, seed
        self._limits, self._amplitude = np.asarray(limits, np.float64), amplitude
        self._keep = math.exp(-1 / smoothing_frames) if smoothing_frames > 0 else 0.0

    def init_state(self) -> HeadPoseState:
        """The neutral pose, before the first frame."""
        zero = np.zeros(POSE_DIM)
        return HeadPoseState(self._seed, 0, zero, zero, np.zeros((2, POSE_DIM)), self._network.init_state())

    def step(self, x: NDArray[np.float32], state: HeadPoseState) -> tuple[NDArray[np.float32], HeadPoseState]:
        """Draw the next pose.

        Args:
            x: float32 (512,), the feature of the frame.
            state: As from ``init_state`` or the last step.

        Returns:
            float32 (6,), rotation vector in rad and translation in fu, and the next state.
        """
        seen = np.concatenate([state.pose, state.step]).astype(np.float32)
        outputs, network = self._network.run({"pose": seen[None, None], "features": x[None, None]}, state.network)
        mean, sigma = outputs["mean"][0, 0], outputs["sigma"][0, 0]
        noise = normals(state.seed, _STREAM, state.frame, POSE_DIM)
        pose = self._move(state.pose, mean + self._temperature * sigma * noise)
        first = self._keep * state.smooth[0] + (1 - self._keep) * pose
        second = self._keep * state.smooth[1] + (1 - self._keep) * first
        following = replace(
            state,
            frame=state.frame + 1,
            pose=pose,
            step=pose - state.pose,
            smooth=np.stack([first, second]),
            network=network,
        )
        shown = second * (self._amplitude * _fade(state.frame))
        return shown.astype(np.float32), following

    def flush(self, state: HeadPoseState) -> NDArray[np.float32]:
        """No poses: nothing is held back."""
        return np.zeros((0, POSE_DIM), np.float32)

    def _move(self, pose: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
        """The next pose: the wanted step, bounded, and both springs."""
        beyond = pose - np.clip(pose, -self._limits, self._limits)
        step = np.clip(step, -_MAX_STEP, _MAX_STEP) - _CENTRE_PULL * pose - _LIMIT_PULL * beyond
        hard = _HARD_FACTOR * self._limits
        return np.clip(pose + step, -hard, hard)


def _fade(frame: int) -> float:
    """0 at the stream's start, 1 after a second, smooth at both ends."""
    ramp = min(frame / _FADE_FRAMES, 1.0)
    return ramp * ramp * (3 - 2 * ramp)
