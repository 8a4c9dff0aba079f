"""Figures of a manner: how far head and mouth move, how often the eyes blink, how long they are shut."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import INNER_LIP_PAIRS, MOTION_HZ

Array = NDArray[np.floating]

_DOWN: Final = 0.55
"""Closure from which lids count as down."""
_LONGEST_BLINK_S: Final = 0.45


@dataclass(frozen=True)
class Figures:
    """What the report and the tests of a style compare; of motion at 60 Hz.

    Attributes:
        head_amplitude: Deviation of the head's rotation about its mean, all axes together, rad.
        head_speed: Mean speed of its rotation, rad/s.
        blinks_a_minute: Lids down for less than 0.45 s.
        shut_share: Share of the time in which lids are down for longer.
        shut_s: Mean length of such stretches, s; 0 without.
        mouth_range: From the 5th to the 95th percentile of the lips' opening, fu.
        mouth_width: The same of the distance of the mouth's corners, fu.
        lip_speed: Mean speed of the opening, fu/s.
    """

    head_amplitude: float
    head_speed: float
    blinks_a_minute: float
    shut_share: float
    shut_s: float
    mouth_range: float
    mouth_width: float
    lip_speed: float

    def named(self) -> dict[str, float]:
        """By name."""
        return {name: float(value) for name, value in self.__dict__.items()}


def lip_opening(displacement: Array) -> NDArray[np.float32]:
    """How far displacements (n, 68, 3) fu take the inner lips apart, float32 (n,) fu."""
    gaps = [displacement[:, lower, 1] - displacement[:, upper, 1] for upper, lower in INNER_LIP_PAIRS]
    return np.asarray(np.mean(gaps, 0), np.float32)


def measure_figures(displacement: Array, pose: Array, closure: Array) -> Figures:
    """Figures of a clip.

    Args:
        displacement: (n, 68, 3) fu.
        pose: (n, 6), rad and fu.
        closure: (n,) of the lids.
    """
    opening = lip_opening(displacement)
    width = displacement[:, 54, 0] - displacement[:, 48, 0]
    rotation = pose[:, :3] - pose[:, :3].mean(0)
    blinks, shut = lid_stretches(closure)
    seconds = len(pose) / MOTION_HZ
    return Figures(
        head_amplitude=float(np.sqrt(np.square(rotation).sum(1).mean())),
        head_speed=float(np.linalg.norm(np.diff(pose[:, :3], axis=0), axis=1).mean() * MOTION_HZ),
        blinks_a_minute=60 * len(blinks) / seconds,
        shut_share=float(sum(shut) / max(1, len(closure))),
        shut_s=float(np.mean(shut) / MOTION_HZ) if shut else 0.0,
        mouth_range=float(np.subtract(*np.percentile(opening, (95, 5)))),
        mouth_width=float(np.subtract(*np.percentile(width, (95, 5)))),
        lip_speed=float(np.abs(np.diff(opening)).mean() * MOTION_HZ),
    )


def lid_stretches(closure: Array) -> tuple[list[int], list[int]]:
    """How many frames lids are down, each time: short ones, which are blinks, and long ones."""
    down = np.concatenate([[False], np.asarray(closure) > _DOWN, [False]])
    edges = np.flatnonzero(np.diff(down.astype(np.int8)))
    lengths = (edges[1::2] - edges[::2]).tolist()
    limit = _LONGEST_BLINK_S * MOTION_HZ
    return [n for n in lengths if n <= limit], [n for n in lengths if n > limit]
