"""Does a clip's sound belong to its lips? What the bundle predicts from the sound is held against what is measured."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import MOTION_HZ

Float = NDArray[np.float32]

IN_SYNC_R: Final = 0.2
"""Correlation of predicted and measured lips from which sound counts as the clip's own."""
MAX_LAG_S: Final = 0.12
_HIGH_PASS_S: Final = 0.8


@dataclass(frozen=True)
class Sync:
    """Whether a clip's sound belongs to its lips.

    Attributes:
        r: Correlation of predicted and measured opening, high-passed, at ``lag_s``.
        lag_s: By how much the lips are later than the sound predicts.
    """

    r: float
    lag_s: float

    @property
    def holds(self) -> bool:
        """Whether the sound can teach lips."""
        return self.r >= IN_SYNC_R and abs(self.lag_s) <= MAX_LAG_S


def measure_sync(predicted: Float, measured: Float) -> Sync:
    """Hold the opening that the bundle predicts from a sound against the measured one, both (n,) at 60 Hz."""
    first, second = _high_passed(predicted), _high_passed(measured)
    reach = MOTION_HZ // 2
    best = Sync(-1.0, 0.0)
    for lag in range(-reach, reach + 1):
        a, b = first[max(0, -lag) : len(first) - max(0, lag)], second[max(0, lag) : len(second) - max(0, -lag)]
        size = float(a.std() * b.std())
        r = float(((a - a.mean()) * (b - b.mean())).mean() / size) if size > 1e-12 else 0.0
        if r > best.r:
            best = Sync(r, lag / MOTION_HZ)
    return best


def _high_passed(curve: Float) -> NDArray[np.float64]:
    half = round(_HIGH_PASS_S * MOTION_HZ / 2)
    padded = np.pad(curve.astype(np.float64), (half, half), mode="edge")
    return np.asarray(curve - np.convolve(padded, np.ones(2 * half + 1) / (2 * half + 1), "valid"), np.float64)
