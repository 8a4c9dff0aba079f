"""Pictures that say how far their lips are apart.

The opening is written into the first pixel of the picture that was really drawn, and read from the frame that
left the session: between the two lies all that a frame goes through.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.care import Care
from engine.controls import Face
from engine.lanes import FrameRenderer
from models.spec import INNER_LIP_PAIRS

_MARK: Final = 0xA5
_STEPS_PER_FU: Final = 20_000


class ProbeRenderer:
    """A renderer whose pictures carry the opening of the lips they were drawn with."""

    def __init__(self, renderer: FrameRenderer) -> None:
        """Draw with ``renderer``, which is closed with this."""
        self._renderer = renderer

    @property
    def workers(self) -> int:
        """Frames that are drawn at once."""
        return self._renderer.workers

    async def render(self, face: Face, care: Care = Care.FULL) -> NDArray[np.uint8]:
        """The picture with its mark."""
        picture = (await self._renderer.render(face, care)).copy()
        write_opening(picture, opening_of(face.landmarks))
        return picture

    def close(self) -> None:
        """End what it runs; closing twice is legal."""
        self._renderer.close()


def opening_of(landmarks: NDArray[np.float32]) -> float:
    """Mean distance of the inner lips in fu, whatever the pose, from landmarks (68, 3)."""
    return float(np.mean([np.linalg.norm(landmarks[low] - landmarks[high]) for high, low in INNER_LIP_PAIRS]))


def write_opening(picture: NDArray[np.uint8], opening: float) -> None:
    """Put an opening of 0 to 3 fu into the first pixel of ``picture``, (h, w, 3)."""
    steps = min(0xFFFF, round(opening * _STEPS_PER_FU))
    picture[0, 0] = _MARK, steps >> 8, steps & 0xFF


def read_opening(picture: NDArray[np.uint8]) -> float:
    """What ``write_opening`` wrote, to 1/20000 fu; NaN if there is no mark."""
    mark, high, low = (int(value) for value in picture[0, 0, :3])
    return (high << 8 | low) / _STEPS_PER_FU if mark == _MARK else float("nan")


def true_opening(frames: list[Any]) -> NDArray[np.float64]:
    """Opening of the lips in each of the pipeline's motion frames, fu."""
    return np.array([opening_of(frame.landmarks) for frame in frames])
