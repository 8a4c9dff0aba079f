"""Cameras: a pinhole in front of the face, as a 3x4 matrix from face coordinates to pixels and for a graphics card."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import LANDMARKS

_FACE_SHARE: Final = 0.345
"""Brow to chin over the height of the picture, as the engine crops portraits."""
_FACE_CENTRE: Final = (0.50, 0.475)
NEAR_FAR: Final = (1.5, 40.0)
"""fu."""


@dataclass(frozen=True)
class Camera:
    """A camera that looks along +z.

    Attributes:
        matrix: float64 (3, 4), world face coordinates to homogeneous pixels; a pixel's centre is a whole number.
        distance: fu from the origin of the face coordinates to the camera.
    """

    matrix: NDArray[np.float64]
    distance: float

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Pixels (..., 2) of world points (..., 3)."""
        flat = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        return (flat[..., :2] / flat[..., 2:]).astype(np.float32)

    def clip_matrix(self, size: int) -> NDArray[np.float32]:
        """World to clip coordinates, float32 (4, 4), for a square picture of ``size`` pixels."""
        across, down, depth = self.matrix
        near, far = NEAR_FAR
        clip = np.zeros((4, 4))
        # A pixel's centre is at a whole number here and at a half for the card.
        clip[0] = 2 / size * across + (1 / size - 1) * depth
        clip[1] = -2 / size * down + (1 - 1 / size) * depth
        clip[2] = (far + near) / (far - near) * depth
        clip[2, 3] -= 2 * far * near / (far - near)
        clip[3] = depth
        return clip.astype(np.float32)

    @property
    def eye(self) -> NDArray[np.float32]:
        """Where the camera is in the world, float32 (3,)."""
        return np.array([0, 0, -self.distance], np.float32)


def frame_face(
    template: NDArray[np.float32], size: int, distance: float, zoom: float, shift: tuple[float, float]
) -> Camera:
    """A camera that shows a face at rest as large as the engine's portraits do.

    Args:
        template: float32 (68, 3) fu.
        size: Pixels of the square picture.
        distance: fu to the camera.
        zoom: Factor on the usual size.
        shift: Of the face's place, as shares of the picture.
    """
    assert template.shape == (LANDMARKS, 3)
    brow, chin = template[[19, 24]].mean(0), template[8]
    # Two points at different depths: their heights on a plane at distance 1.
    top, bottom = (point[1] / (point[2] + distance) for point in (brow, chin))
    focal = zoom * _FACE_SHARE * size / max(float(bottom - top), 1e-6)
    middle = template[:, 0].mean() / (template[27:36, 2].mean() + distance)
    target = (np.array(_FACE_CENTRE) + shift) * size - 0.5
    cx, cy = target - focal * np.array([middle, (top + bottom) / 2])
    matrix = np.array([[focal, 0, cx, cx * distance], [0, focal, cy, cy * distance], [0, 0, 1, distance]], np.float64)
    return Camera(matrix, distance)


def draw_camera(rng: np.random.Generator, template: NDArray[np.float32], size: int) -> Camera:
    """A random camera: from an arm's length (8 fu, 0.7 m) to a long lens."""
    distance = float(np.exp(rng.uniform(np.log(7.0), np.log(20.0))))
    zoom = float(np.exp(np.clip(rng.normal(0, 0.12), -0.3, 0.3)))
    shift = np.clip(rng.normal(0, 0.02, 2), -0.05, 0.05)
    return frame_face(template, size, distance, zoom, (float(shift[0]), float(shift[1])))
