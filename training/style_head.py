"""How a manner moves the head: what it holds, what it does over and over, and the generator of all the rest.

A pose of the reference is taken apart: the pose about which the head moves while somebody speaks, a few oscillations
(nods on a beat, a slow sway) where the clip shows them clearly, and a remainder. The remainder is what the
probabilistic generator learns: its size by the scales in which it sees and says poses, its rhythm by likelihood
(eq. 3), and its size and smoothness again as the engine samples it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.artefacts.bundle import NetworkGeometry, PoseSettings
from engine.artefacts.style import StylePose, StyleRhythm
from engine.backend_onnx import OnnxNetwork
from engine.stages.head_pose import HeadPose
from models.headpose import HeadPoseNet, pose_loss
from models.spec import MOTION_HZ, POSE_DIM
from training.bundle_weights import GraphWeights
from training.style_compact import changed_graph, compact_changes

F64 = NDArray[np.float64]
Float = NDArray[np.float32]
Report = Callable[[float, float], None]
"""Called with the share of the steps that are done and the loss."""

POSE_CAPS: Final = np.array([0.22, 0.30, 0.17, 0.16, 0.12, 0.16])
"""Farther no picture can be turned or moved credibly, rad and fu."""
_CENTRE_CAP: Final = 0.16
_MIRRORED: Final = np.array([1, -1, -1, -1, 1, 1], np.float32)
"""What a mirror does to a pose."""
_LEAST_CYCLES: Final = 3.0
_FASTEST_HZ: Final = 4.0
_MOST_RHYTHMS: Final = 5
_CLEAR: Final = 0.30
"""Share of the poses' variance that an oscillation explains, for the first one to count."""
_ALSO_CLEAR: Final = 0.05
"""The same for those after it."""
_SMOOTHINGS: Final = (1.0, 2.0, 3.0, 4.5, 6.5, 9.0)
_SCALE_STEP: Final = (0.3, 4.0)


@dataclass(frozen=True)
class HeadManner:
    """A reference's head poses, taken apart.

    Attributes:
        centre: float64 (6,), rad and fu, what is held.
        rhythm: Oscillations.
        rest: float32 (n, 6), the remainder.
    """

    centre: F64
    rhythm: tuple[StyleRhythm, ...]
    rest: Float


def take_head_apart(pose: NDArray[np.floating], speaking: NDArray[np.bool_]) -> HeadManner:
    """Find what a head holds and what it does over and over.

    Args:
        pose: (n, 6), rad and fu, 0 at rest.
        speaking: bool (n,).
    """
    seen = pose[speaking] if speaking.sum() > MOTION_HZ else pose
    centre = np.clip(np.median(seen, 0), -_CENTRE_CAP, _CENTRE_CAP).astype(np.float64)
    moved = (pose - centre) * speaking[:, None] if speaking.sum() > MOTION_HZ else pose - centre
    reach = np.percentile(np.abs(moved), 98, axis=0)
    moved = moved * np.minimum(1, POSE_CAPS / np.maximum(reach, 1e-6))
    rhythm = find_rhythm(moved)
    rest = moved - swung(rhythm, len(moved)) * speaking[:, None]
    return HeadManner(centre, rhythm, np.asarray(rest, np.float32))


def find_rhythm(pose: NDArray[np.floating]) -> tuple[StyleRhythm, ...]:
    """Oscillations that a clip's poses (n, 6) show clearly, the strongest first; none, mostly."""
    frames = len(pose)
    time = np.arange(frames) / MOTION_HZ
    hertz = np.arange(_LEAST_CYCLES * MOTION_HZ / frames, _FASTEST_HZ, 0.25 * MOTION_HZ / frames)
    left = pose.astype(np.float64) - pose.mean(0)
    whole = float(np.square(left).sum())
    found: list[float] = []
    waves = np.zeros((frames, 0))
    angles = 2 * np.pi * hertz[:, None] * time
    table = np.stack([np.cos(angles), np.sin(angles)])
    while len(found) < _MOST_RHYTHMS and whole > 1e-9:
        explained = 2 / frames * np.square(table @ left).sum((0, 2)) / whole
        best = int(explained.argmax())
        if explained[best] < (_ALSO_CLEAR if found else _CLEAR):
            break
        found.append(float(hertz[best]))
        waves = np.concatenate([waves, table[:, best].T], axis=1)
        weights = np.linalg.lstsq(waves, pose - pose.mean(0), rcond=None)[0]
        left = pose - pose.mean(0) - waves @ weights
    if not found:
        return ()
    bounded = np.clip(weights, -0.3, 0.3)
    return tuple(
        StyleRhythm(hz=hz, cosine=tuple(bounded[2 * k].tolist()), sine=tuple(bounded[2 * k + 1].tolist()))
        for k, hz in enumerate(found)
    )


def swung(rhythm: tuple[StyleRhythm, ...], frames: int) -> F64:
    """What oscillations do to the head, (frames, 6)."""
    total, time = np.zeros((frames, POSE_DIM)), np.arange(frames) / MOTION_HZ
    for part in rhythm:
        angle = 2 * np.pi * part.hz * time[:, None]
        total += np.cos(angle) * np.array(part.cosine) + np.sin(angle) * np.array(part.sine)
    return total


def tune_headpose(
    network: HeadPoseNet,
    features: Tensor,
    pose: Float,
    steps: int,
    rate: float,
    seed: int,
    noise: float = 0.1,
    report: Report = lambda share, loss: None,
) -> list[float]:
    """Make the head-pose generator likely to move as the reference did (eq. 3), in place.

    Args:
        network: The generator, its scales set to the reference's.
        features: float32 (n, 512), what is heard in each frame.
        pose: float32 (n, 6), the reference's.
        steps: How many.
        rate: Learning rate; it follows a cosine to zero.
        seed: Of all that is drawn.
        noise: On the poses heard from, in steps' deviations, so that sampling does not drift.
        report: Called after every step.

    Returns:
        Negative log-likelihood, step by step.
    """
    torch.manual_seed(seed)
    rng, history = np.random.default_rng(seed), list[float]()
    network.requires_grad_(True)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate, betas=(0.9, 0.99))
    frames, poses = min(len(pose), 15 * MOTION_HZ), torch.from_numpy(pose)
    for step in range(steps):
        start = int(rng.integers(0, len(pose) - frames + 1))
        seen = poses[start : start + frames]
        # Nobody's head prefers a side of the picture.
        seen = torch.stack([seen, seen * torch.from_numpy(_MIRRORED)])
        moves = seen.diff(dim=1)
        jitter = torch.randn_like(moves[:, :-1]) * network.step_scale * noise
        inputs = torch.cat([seen[:, 1:-1] + jitter, moves[:, :-1] + jitter], dim=2)
        heard = features[start + 2 : start + frames].expand(2, -1, -1)
        mean, sigma, *_ = network(inputs, heard, *network.init_state(2))
        target = (moves[:, 1:] - jitter) / network.step_scale
        loss = pose_loss(mean / network.step_scale, sigma / network.step_scale, target)
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.5 + 0.5 * float(np.cos(np.pi * step / steps)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        history.append(float(loss.detach()))
        report((step + 1) / steps, history[-1])
    network.requires_grad_(False)
    return history


def scale_poses(network: HeadPoseNet, factors: NDArray[np.float64]) -> None:
    """Let the head go as far again, number by number: a generator in other units is the same generator, larger."""
    assert factors.shape == (POSE_DIM,)
    by = torch.from_numpy(factors.astype(np.float32))
    network.pose_scale.mul_(by)
    network.step_scale.mul_(by)


class HeadStudio:
    """Draws poses from a tuned generator as the engine will, and brings them to the reference's size."""

    def __init__(
        self, parts: GraphWeights, geometry: NetworkGeometry, settings: PoseSettings, rank: int, features: Tensor
    ) -> None:
        """Set up.

        Args:
            parts: Of the bundle's graph.
            geometry: Of the same.
            settings: The bundle's.
            rank: At which a style's changes are stored.
            features: float32 (n, 512), what is heard meanwhile; as many poses are drawn.
        """
        self._parts, self._geometry, self._settings, self._rank = parts, geometry, settings, rank
        self._features = features.numpy()

    def draw(self, network: HeadPoseNet, limits: tuple[float, ...], seed: int) -> Float:
        """Poses without smoothing, float32 (n - 60, 6): the first second fades in."""
        changes = compact_changes(self._parts, network.state_dict(), self._rank, {})
        drawn = OnnxNetwork(changed_graph(self._parts, changes), self._geometry)
        temperature = self._settings.temperature
        stage = HeadPose(drawn, temperature=temperature, limits=limits, smoothing_frames=0, seed=seed)
        state, poses = stage.init_state(), []
        for feature in self._features:
            pose, state = stage.step(feature, state)
            poses.append(pose)
        return np.stack(poses)[MOTION_HZ:]

    def usual(self, network: HeadPoseNet, seed: int) -> F64:
        """Deviation of each number of a pose as the bundle draws and smooths it, (6,)."""
        return np.asarray(
            smoothed(self.draw(network, self._settings.limits, seed), self._settings.smoothing_frames).std(0)
        )

    def calibrate(self, network: HeadPoseNet, manner: HeadManner, seed: int) -> StylePose:
        """Size and smoothness of what is drawn, brought to the reference's by the network's scales and by smoothing."""
        reach = 1.1 * np.percentile(np.abs(manner.rest), 99, axis=0)
        limits = tuple(np.clip(reach, 0.5 * np.array(self._settings.limits), POSE_CAPS).tolist())
        target, wanted = manner.rest.std(0), liveliness(manner.rest)
        smoothing = self._settings.smoothing_frames
        for _ in range(3):
            poses = self.draw(network, limits, seed)
            speeds = {each: liveliness(smoothed(poses, each)) for each in _SMOOTHINGS}
            smoothing = min(speeds, key=lambda each: abs(np.log(speeds[each] / wanted)))
            found = smoothed(poses, smoothing).std(0)
            scale_poses(network, np.clip(target / np.maximum(found, 1e-5), *_SCALE_STEP))
        return StylePose(
            temperature=self._settings.temperature,
            limits=limits,
            centre=tuple(manner.centre.tolist()),
            smoothing_frames=smoothing,
            rhythm=manner.rhythm,
        )


def smoothed(pose: Float, frames: float) -> Float:
    """Poses (n, 6) through the two poles of the engine's smoothing."""
    keep = float(np.exp(-1 / frames)) if frames > 0 else 0.0
    first = second = pose[0].astype(np.float64)
    result = np.empty_like(pose)
    for number, each in enumerate(pose):
        first = keep * first + (1 - keep) * each
        second = keep * second + (1 - keep) * first
        result[number] = second
    return result


def liveliness(pose: NDArray[np.floating]) -> float:
    """Mean speed of a head's rotation over its deviation, 1/s."""
    turn = pose[:, :3] - pose[:, :3].mean(0)
    speed = float(np.linalg.norm(np.diff(turn, axis=0), axis=1).mean() * MOTION_HZ)
    return max(speed, 1e-6) / max(float(np.sqrt(np.square(turn).sum(1).mean())), 1e-6)
