"""The facial map: the landmarks as lines in the picture, which steers the image generator (paper, section 4.3)."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.renderer.pixels import polylines
from models.spec import IMAGE_SIZE, LANDMARKS

GROUPS: Final[tuple[tuple[tuple[tuple[int, ...], bool], ...], ...]] = (
    (((*range(17),), False),),
    (((*range(17, 22),), False),),
    (((*range(22, 27),), False),),
    (((*range(27, 31),), False), ((*range(31, 36),), False)),
    (((*range(36, 42),), True),),
    (((*range(42, 48),), True),),
    (((*range(48, 60),), True),),
    (((*range(60, 68),), True),),
)
"""The eight semantic groups - jaw, brows, nose (bridge and base), eyes, outer and inner lips - as lines of landmark
numbers and whether each is closed."""
LINE_PX: Final = 2


class FacialMap:
    """Draws landmarks through a camera."""

    def __init__(self, camera: NDArray[np.floating[Any]]) -> None:
        """Keep the camera.

        Args:
            camera: (3, 4), face coordinates to homogeneous pixels.

        Raises:
            ConfigError: It is no finite 3x4 matrix.
        """
        self._camera = np.asarray(camera, np.float32)
        if self._camera.shape != (3, 4) or not np.isfinite(self._camera).all():
            raise ConfigError(f"A camera is a finite 3x4 matrix, not {self._camera.shape}.")

    def draw(self, landmarks: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Draw one frame's map.

        Args:
            landmarks: (68, 3) fu, displaced and posed.

        Returns:
            uint8 (512, 512): lines of thickness 2 (as OpenCV understands it), anti-aliased, 255 on 0, placed to
            1/16 px.

        Raises:
            ConfigError: Another shape, or not finite.
        """
        points = np.asarray(landmarks, np.float32)
        if points.shape != (LANDMARKS, 3) or not np.isfinite(points).all():
            raise ConfigError(f"The facial map needs finite landmarks of shape (68, 3), not {points.shape}.")
        homogeneous = points @ self._camera[:, :3].T + self._camera[:, 3]
        pixels = homogeneous[:, :2] / homogeneous[:, 2:]
        canvas = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        polylines(canvas, [(pixels[list(line)], closed) for group in GROUPS for line, closed in group], LINE_PX)
        return canvas
