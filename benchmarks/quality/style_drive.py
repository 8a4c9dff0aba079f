"""The engine's landmarks in a style, without drawing a picture: what the bench of styles measures by default."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.artefacts.bundle import Bundle
from engine.backend import Networks
from engine.pipeline import MotionFrame, Pipeline
from engine.stages.manifold import Manifold
from engine.stages.style_mix import Steering
from models.spec import INNER_LIP_PAIRS, MOTION_HZ

_UPPER, _LOWER = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))


@dataclass(frozen=True)
class Driven:
    """A face that was driven by sound.

    Attributes:
        points: float32 (pictures, 68, 2) px, through the avatar's camera.
        opening: float64 (pictures,), mean gap of the inner lips, fu.
    """

    points: NDArray[np.float32]
    opening: NDArray[np.float64]


@dataclass(frozen=True)
class Drive:
    """What all runs share.

    Attributes:
        bundle: The networks' artefact.
        networks: The same, opened.
        manifold: The bundle's.
    """

    bundle: Bundle
    networks: Networks
    manifold: Manifold

    def run(
        self, avatar: Avatar, samples: NDArray[np.float32], steering: Steering, fps: float, count: int, seed: int = 0
    ) -> Driven:
        """Let an avatar speak.

        Args:
            avatar: Who.
            samples: float32 (n,), 16 kHz mono.
            steering: In which style, from the first frame on.
            fps: Pictures a second of the result.
            count: How many.
            seed: Of head, eyes and blinks.
        """
        pipeline = Pipeline(self.bundle, avatar, seed=seed, networks=self.networks, manifold=self.manifold)
        frames, state = pipeline.step(samples, pipeline.init_state(), steering)
        frames += pipeline.flush(state, steering)
        return sampled(frames, avatar, fps, count)


def sampled(frames: list[MotionFrame], avatar: Avatar, fps: float, count: int) -> Driven:
    """Motion at 60 Hz as pictures at ``fps`` would show it: linear between frames, held beyond the end."""
    world = np.stack([frame.landmarks for frame in frames])
    flat = world @ avatar.camera[:, :3].T + avatar.camera[:, 3]
    points = flat[..., :2] / flat[..., 2:]
    moved = np.stack([frame.displacement for frame in frames])
    opening = (moved[:, _LOWER, 1] - moved[:, _UPPER, 1]).mean(axis=1).astype(np.float64)
    place = np.clip(np.arange(count) / fps * MOTION_HZ, 0, len(frames) - 1)
    left = np.minimum(place.astype(int), len(frames) - 2) if len(frames) > 1 else np.zeros(count, int)
    right = np.minimum(left + 1, len(frames) - 1)
    share = place - left
    shown = points[left] + share[:, None, None] * (points[right] - points[left])
    return Driven(shown.astype(np.float32), opening[left] + share * (opening[right] - opening[left]))
