"""The video's clock: how many frames a sound has, and the motion at each frame's own time."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.spec import MEDIA_HZ, MOTION_HZ

Motion = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Landmarks (68, 3), pose (6,), gaze (2,) and torso (6,) of one picture, as a ``MotionFrame`` holds them."""


class MotionFrame(Protocol):
    """What the pipeline says about one motion frame: n / 60 s of the sound."""

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """float32 (68, 3) fu, posed."""
        ...

    @property
    def pose(self) -> NDArray[np.float32]:
        """float32 (6,): rotation vector in rad, translation in fu."""
        ...

    @property
    def gaze(self) -> NDArray[np.float32]:
        """float32 (2,) rad, against the head."""
        ...

    @property
    def torso(self) -> NDArray[np.float32]:
        """float32 (6,): the shoulders' pose."""
        ...


def frame_count(ticks: int, fps: int) -> int:
    """Frames of a video as long as ``ticks`` of the 48 kHz media clock: the nearest number, at least one."""
    return max(1, nearest_count(ticks, fps))


def nearest_count(ticks: int, fps: int) -> int:
    """Frames whose middle lies within the first ``ticks``; never falls as sound comes in."""
    return (2 * ticks * fps + MEDIA_HZ) // (2 * MEDIA_HZ)


class Retimer:
    """60 Hz motion to motion at a video's own frame times, by linear interpolation.

    ::

        60 fps   frame k <- motion k
        30 fps   frame k <- motion 2k
        25 fps   frame k <- motion 2.4k: between floor(2.4k) and the next

    Nothing is smoothed and nothing shifted; frame k needs no motion beyond ceil(60 k / fps).
    """

    def __init__(self, fps: int) -> None:
        self._fps = fps
        self._next_frame = 0
        self._seen = 0
        self._previous: Motion | None = None

    def push(self, motion: MotionFrame) -> Iterator[Motion]:
        """The video's frames that the next motion frame completes."""
        now: Motion = (motion.landmarks, motion.pose, motion.gaze, motion.torso)
        while (position := self._next_frame * MOTION_HZ) <= self._seen * self._fps:
            fraction = np.float32((position % self._fps) / self._fps)
            if fraction == 0 or self._previous is None:
                yield now
            else:
                yield _between(self._previous, now, fraction)
            self._next_frame += 1
        self._previous, self._seen = now, self._seen + 1

    def hold(self) -> Motion:
        """The last motion again, for a video that outlasts its motion by a frame."""
        if self._previous is None:
            raise ValueError("no motion was ever pushed")
        return self._previous


def _between(before: Motion, after: Motion, fraction: np.float32) -> Motion:
    """Part of the way; a head turns so little in 1/60 s that rotation vectors may be mixed as they are."""

    def mix(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        return a + fraction * (b - a)

    return mix(before[0], after[0]), mix(before[1], after[1]), mix(before[2], after[2]), mix(before[3], after[3])
