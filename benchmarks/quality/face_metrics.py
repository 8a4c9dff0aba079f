"""What a face does in one clip: how often it blinks, how wide its lips part."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.landmark_metrics import Points
from models.spec import EYES, INNER_LIP_PAIRS

CLOSED_SHARE: Final = 0.6
"""Of the eyes' usual opening in the clip; below it they count as closed."""
BLINK_S: Final = (0.04, 0.7)
"""Shortest and longest closure that counts as a blink; longer is a person who has shut the eyes."""
_NASION, _CHIN = 27, 8


def eye_openings(points: Points) -> NDArray[np.float64]:
    """Eye aspect ratio of each frame: height over width of the lids, mean of both eyes, no unit (frames,).

    Soukupova and Cech, "Real-Time Eye Blink Detection using Facial Landmarks", 2016.
    """
    eyes = points[:, EYES].astype(np.float64).reshape(len(points), 2, 6, 2)
    height = np.linalg.norm(eyes[:, :, 1:3] - eyes[:, :, [5, 4]], axis=-1).mean(axis=-1)
    width = np.linalg.norm(eyes[:, :, 0] - eyes[:, :, 3], axis=-1)
    return np.asarray((height / width).mean(axis=1), np.float64)


def blinks_per_minute(points: Points, fps: float) -> float:
    """Blink rate: closures of the eyes below 60 % of the clip's median opening that last 0.04 to 0.7 s, per minute.

    Args:
        points: (frames, 68, 2) px.
        fps: Frames a second.
    """
    opening = eye_openings(points)
    closed = np.concatenate([[False], opening < CLOSED_SHARE * np.median(opening), [False]])
    changes = np.flatnonzero(np.diff(closed.astype(np.int8)))
    # Half a frame of room: a closure of n frames is one of n - 1 to n + 1 frame times.
    lengths = (changes[1::2] - changes[::2]) / fps
    blinks = int(((lengths > BLINK_S[0] - 0.5 / fps) & (lengths <= BLINK_S[1])).sum())
    return 60 * blinks * fps / len(points)


def lip_openings(points: Points) -> NDArray[np.float64]:
    """Mean gap of the inner lips over the height of the face (nasion to chin) of each frame, no unit (frames,)."""
    upper, lower = (np.array(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
    gap = np.linalg.norm(points[:, lower].astype(np.float64) - points[:, upper], axis=-1).mean(axis=1)
    return np.asarray(gap / np.linalg.norm(points[:, _CHIN] - points[:, _NASION], axis=-1), np.float64)
