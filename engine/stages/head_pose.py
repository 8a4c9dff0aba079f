"""Head pose drawn frame by frame from the probabilistic network (paper 3.2, eq. 3).

x_t = x_{t-1} + mean + temperature * sigma * noise, with the mean and sigma that the network gives for the last
255 poses and the sound of frame t. The network keeps the inputs that its dilated convolutions still need, so one
frame costs one column of every layer and not 255.

A sampled walk has no memory of the centre. Two springs give it one: a weak one everywhere (seconds), and one
beyond the declared limits (tenths of a second). Whatever the network says, a pose never leaves 1.5 limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.backend import Network, NetworkState
from engine.batching import NetworkServer, Place, Work, drive
from engine.stages.noise import normals
from engine.stages.style_mix import Share, Voices, ask_styles, mixed, no_voices, pole_keep
from models.spec import MOTION_HZ, POSE_DIM

_STREAM = 1
_CENTRE_PULL = 1 / (8.0 * MOTION_HZ)
"""Share of a pose taken back each frame: a time constant of 8 s, slower than any gesture."""
_LIMIT_PULL = 0.12
_HARD_FACTOR = 1.5
_LEAST_SIGMA = 0.1
"""Of the network's own deviation, what is left under any style."""
_LEAST_LIMIT = 0.1
"""The same of the limits."""
_MOST_LIMIT = 0.4
"""Further no style turns a head, rad and fu: a picture shows one side of it."""
_CENTRE_MOVE = 1 / (0.5 * MOTION_HZ)
"""Share of the way to a style's centre that the head goes in a frame: half a second, a calm movement."""
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
        voices: What those of the styles need.
        centre: float64 (6,), the pose about which a style holds the head, on its way there.
    """

    seed: int
    frame: int
    pose: NDArray[np.float64]
    step: NDArray[np.float64]
    smooth: NDArray[np.float64]
    network: NetworkState
    voices: Voices
    centre: NDArray[np.float64]


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
        self._server = NetworkServer(network, Place.HEAD_POSE)
        self._temperature, self._seed = temperature, seed
        self._limits, self._amplitude = np.asarray(limits, np.float64), amplitude
        self._smoothing = smoothing_frames

    def init_state(self) -> HeadPoseState:
        """The neutral pose, before the first frame."""
        zero, network = np.zeros(POSE_DIM), self._server.network.init_state()
        return HeadPoseState(self._seed, 0, zero, zero, np.zeros((2, POSE_DIM)), network, no_voices(network), zero)

    def step(
        self, x: NDArray[np.float32], state: HeadPoseState, shares: Sequence[Share] = ()
    ) -> tuple[NDArray[np.float32], HeadPoseState]:
        """Draw the next pose.

        Args:
            x: float32 (512,), the feature of the frame.
            state: As from ``init_state`` or the last step.
            shares: Styles that lead the distribution away from the network's own.

        Returns:
            float32 (6,), rotation vector in rad and translation in fu, and the next state.
        """
        return drive(self.work(x, state, shares))

    def work(
        self, x: NDArray[np.float32], state: HeadPoseState, shares: Sequence[Share] = ()
    ) -> Work[tuple[NDArray[np.float32], HeadPoseState]]:
        """As ``step``, asking the network with others."""
        seen = np.concatenate([state.pose, state.step]).astype(np.float32)
        inputs = {"pose": seen[None, None], "features": x[None, None]}
        outputs, network = yield from self._server.ask(inputs, state.network)
        servers = [(share, share.style.head_pose) for share in shares]
        # Every style sees the poses that were shown: they are one head's.
        styled, voices = yield from ask_styles(servers, inputs, state.network, state.voices)
        mean = mixed(outputs["mean"], [(share.weight, answer["mean"]) for share, answer in styled])
        sigma = mixed(outputs["sigma"], [(share.weight, answer["sigma"]) for share, answer in styled])
        # Beyond a full share the difference is prolonged, and could lead through zero.
        sigma = np.maximum(sigma, np.float32(_LEAST_SIGMA) * outputs["sigma"])
        temperature, limits, centre = self._settings(shares)
        centre = state.centre + (centre - state.centre) * _CENTRE_MOVE
        noise = normals(state.seed, _STREAM, state.frame, POSE_DIM)
        pose = _move(state.pose, mean[0, 0] + temperature * sigma[0, 0] * noise, limits)
        keep = self._keep(shares)
        first = keep * state.smooth[0] + (1 - keep) * pose
        second = keep * state.smooth[1] + (1 - keep) * first
        following = replace(
            state,
            frame=state.frame + 1,
            pose=pose,
            step=pose - state.pose,
            smooth=np.stack([first, second]),
            network=network,
            voices=voices,
            centre=centre,
        )
        shown = (second + centre) * (self._amplitude * _fade(state.frame))
        return shown.astype(np.float32), following

    def flush(self, state: HeadPoseState) -> NDArray[np.float32]:
        """No poses: nothing is held back."""
        return np.zeros((0, POSE_DIM), np.float32)

    def _keep(self, shares: Sequence[Share]) -> float:
        """What each pole of the smoothing keeps in a frame."""
        frames = self._smoothing
        for share in shares:
            own = share.style.smoothing_frames
            frames += share.weight * ((self._smoothing if own is None else own) - self._smoothing)
        return pole_keep(frames)

    def _settings(self, shares: Sequence[Share]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Temperature, limits and centre of a head that has these shares of styles."""
        if not shares:
            return self._temperature, self._limits, np.zeros(POSE_DIM)
        temperature = self._temperature
        for share in shares:
            temperature += share.weight * (share.style.temperature - self._temperature)
        limits = mixed(self._limits, [(share.weight, share.style.limits) for share in shares])
        limits = np.clip(limits, _LEAST_LIMIT * self._limits, np.maximum(self._limits, _MOST_LIMIT))
        centre = sum((share.weight * share.style.centre for share in shares), np.zeros(POSE_DIM))
        return max(0.0, temperature), limits, np.clip(centre, -_MOST_LIMIT, _MOST_LIMIT)


def _move(pose: NDArray[np.float64], step: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The next pose: the wanted step, bounded, and both springs."""
    beyond = pose - np.clip(pose, -limits, limits)
    step = np.clip(step, -_MAX_STEP, _MAX_STEP) - _CENTRE_PULL * pose - _LIMIT_PULL * beyond
    hard = _HARD_FACTOR * limits
    # From within wider limits, as those of a style that is being left, the head comes back without a jump.
    hard = np.maximum(hard, np.abs(pose) - _MAX_STEP)
    return np.clip(pose + step, -hard, hard)


def _fade(frame: int) -> float:
    """0 at the stream's start, 1 after a second, smooth at both ends."""
    ramp = min(frame / _FADE_FRAMES, 1.0)
    return ramp * ramp * (3 - 2 * ramp)
