"""The baseline of self-reenactment: a portrait bent by its 68 landmarks, and nothing else.

A plain thin-plate spline (Bookstein, PAMI 11(6), 1989) takes the landmarks of the frame back to those of the portrait,
the border standing still. There is no cut between the lips, no mouth layer, no eyeball, no lids and no depth: what an
opening mouth shows is the stretched seam of the lips. The person is laid over the avatar's plate, as by the engine.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.artefacts.avatar import Avatar
from engine.errors import ConfigError
from engine.renderer.geometry import node_pixels, thin_plate
from engine.renderer.pixels import CELL, double, over
from engine.renderer.resampling import sampled
from models.spec import IMAGE_SIZE, LANDMARKS
from training.measured_drive import base_landmarks

SMOOTHING: Final = 1e-5
"""Ridge on the bending energy: lips that touch put two controls in one place, which no spline can tell apart."""
_BORDER_POINTS: Final = 5
"""On each side of the picture, corners included; they stay where they are."""

Floats = NDArray[np.floating[Any]]


class TpsRenderer:
    """Draws frames of one avatar by a thin-plate warp. After construction nothing changes."""

    def __init__(self, avatar: Avatar) -> None:
        """Prepare ``avatar``."""
        self._avatar = avatar
        share = avatar.matte.astype(np.float32)[..., None] / 255
        self._source = double(np.dstack([np.rint(avatar.image * share).astype(np.uint8), avatar.matte]))
        np.minimum(self._source[..., :3], self._source[..., 3:], out=self._source[..., :3])
        self._residual = avatar.source_points - avatar.project(base_landmarks(avatar))
        self._border = border_points()
        self._shown = np.concatenate([avatar.source_points, self._border])
        # One node beyond the picture on all sides, as the sampling of the engine wants them.
        self._nodes = node_pixels(CELL, beyond=1)

    def render(self, landmarks: Floats, pose: Floats, gaze: Floats) -> NDArray[np.uint8]:
        """Draw a frame.

        Args:
            landmarks: (68, 3) fu, displaced and posed, as for the engine's renderer.
            pose: Not used: the landmarks hold what a plain warp can know of it.
            gaze: Not used: the eyes have no balls.

        Returns:
            uint8 (512, 512, 3) RGB.

        Raises:
            ConfigError: The landmarks have the wrong shape or are not finite.
        """
        if np.shape(landmarks) != (LANDMARKS, 3) or not np.isfinite(landmarks).all():
            raise ConfigError(f"The renderer needs finite landmarks of shape ({LANDMARKS}, 3).")
        frame = np.concatenate([self._avatar.project(landmarks) + self._residual, self._border])
        weights = thin_plate(frame, self._nodes.reshape(-1, 2), SMOOTHING)
        # What the nodes are moved by, not where they come from: the ridge then never bends a frame at rest.
        moved = (weights @ (self._shown - frame)).reshape(self._nodes.shape) + self._nodes
        lattice = np.ascontiguousarray(moved, np.float32).view(np.complex64)[..., 0]
        return over(sampled(self._source, lattice), self._avatar.plate)


def border_points() -> NDArray[np.float32]:
    """Points along the picture's border, each once: float32 (16, 2) px."""
    line = np.linspace(0, IMAGE_SIZE - 1, _BORDER_POINTS)
    points = [(x, y) for x in line for y in line if x in (line[0], line[-1]) or y in (line[0], line[-1])]
    return np.array(points, np.float32)
