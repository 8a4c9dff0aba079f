"""Pictures that say how far their lips are apart, and a sound to which the lips must answer.

The opening is written into the first pixel of the picture that was really drawn, and read from the frame that
left the session: between the two lies all that a frame goes through.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.controls import Face
from engine.lanes import FrameRenderer
from models.spec import INNER_LIP_PAIRS, SAMPLE_HZ

_MARK: Final = 0xA5
_STEPS_PER_FU: Final = 20_000
_SILENCE_S: Final = 1.3
_BURST_S: Final = 0.35
_SHARE: Final = 0.15
"""Of a burst's widest opening, what counts as moving."""


class ProbeRenderer:
    """A renderer whose pictures carry the opening of the lips they were drawn with."""

    def __init__(self, renderer: FrameRenderer) -> None:
        """Draw with ``renderer``, which is closed with this."""
        self._renderer = renderer

    @property
    def workers(self) -> int:
        """Frames that are drawn at once."""
        return self._renderer.workers

    async def render(self, face: Face) -> NDArray[np.uint8]:
        """The picture with its mark."""
        picture = (await self._renderer.render(face)).copy()
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


def impulses(speech: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], list[float]]:
    """Bursts of voice between silences.

    Args:
        speech: float32 (n,) at 16 kHz; its loudest third of a second is the burst.
        count: How many.

    Returns:
        The sound, float32 at 16 kHz, and the times in s at which the bursts begin, none at a whole frame.
    """
    length = int(_BURST_S * SAMPLE_HZ)
    energy = np.convolve(np.square(speech, dtype=np.float64), np.ones(length), "valid")
    begin = int(np.argmax(energy)) if len(energy) else 0
    burst = np.resize(speech[begin : begin + length], length).copy()
    # It must begin at once, and loud enough for any gate.
    burst *= np.float32(0.5 / max(1e-6, float(np.abs(burst).max())))
    parts, onsets, at = [], [], 0
    for number in range(count):
        silence = int((_SILENCE_S + 0.0073 * (number % 7)) * SAMPLE_HZ)
        onsets.append((at + silence) / SAMPLE_HZ)
        parts += [np.zeros(silence, np.float32), burst]
        at += silence + length
    return np.concatenate(parts), onsets


def answers_ms(
    onsets_s: list[float], left_s: NDArray[np.float64], captured_s: NDArray[np.float64], opening: NDArray[np.float64]
) -> list[float]:
    """For every burst the time from its first sample's capture to the first frame whose lips move, ms.

    Args:
        onsets_s: Source times at which the bursts begin.
        left_s: When each frame left, from the capture of the first sample on.
        captured_s: Source time that each frame shows.
        opening: Of its lips, in fu.

    Returns:
        One value for each burst that was answered; a mouth that knows what comes moves before the sound is shown.
    """
    found = []
    for onset in onsets_s:
        window = (captured_s >= onset - 0.35) & (captured_s < onset + _BURST_S + 0.3)
        # Before the lookahead reaches the burst the mouth is at rest.
        before = (captured_s >= onset - 0.6) & (captured_s < onset - 0.35)
        if not window.any() or not before.any():
            continue
        rest = float(opening[before].max())
        widest = float(opening[window].max())
        moving = np.flatnonzero(window & (opening > rest + _SHARE * (widest - rest)))
        if widest - rest > 1e-3 and len(moving):
            found.append(float(1e3 * (left_s[moving[0]] - onset)))
    return found


def true_opening(frames: list[Any]) -> NDArray[np.float64]:
    """Opening of the lips in each of the pipeline's motion frames, fu."""
    return np.array([opening_of(frame.landmarks) for frame in frames])
