"""The clock of a sound source, seen through the times at which its chunks arrive.

A source counts its samples with its own crystal; its chunks come when the network and the scheduler let them, never
early, often late, sometimes in bursts. What is sought is the line under that noise:

::

    delay of a chunk = arrival time - time by the count of samples     (48 kHz ticks)
                     = offset - drift * time + (what it waited, >= 0)

The least delay of every second stands for it, and the median of the slopes between all pairs of the last minute's
seconds (Theil 1950, Sen 1968) for the drift: three seconds in ten may be as wrong as they like.
"""

import functools
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import MEDIA_HZ

MAX_DRIFT_PPM: Final = 500.0
_WINDOW_TICKS: Final = MEDIA_HZ
_WINDOWS: Final = 60
_TRUSTED_WINDOWS: Final = 10
"""Fewer say nothing about the slope: jitter of 1 ms would pass for 100 ppm."""


class SourceClock:
    """Offset and drift of one source, in constant memory."""

    def __init__(self) -> None:
        self._minima: deque[tuple[float, float]] = deque(maxlen=_WINDOWS)
        self._window: tuple[float, float, float] | None = None
        self._slope = 0.0
        self._anchor = (0.0, 0.0)

    @property
    def known(self) -> bool:
        """Whether any chunk was observed."""
        return self._window is not None

    @property
    def drift_ppm(self) -> float:
        """How much faster than its nominal rate the source runs, -500 to 500; 0 in its first ten seconds."""
        return -self._slope * 1e6

    def observe(self, arrival_ticks: float, delay_ticks: float) -> None:
        """Note a chunk.

        Args:
            arrival_ticks: When it came, on the session's clock; never before the last one.
            delay_ticks: ``arrival_ticks`` minus the time of its samples by their count.
        """
        if self._window is None:
            self._window = (arrival_ticks, arrival_ticks, delay_ticks)
            self._anchor = (arrival_ticks, delay_ticks)
            return
        begun, at, least = self._window
        if arrival_ticks < begun + _WINDOW_TICKS:
            if delay_ticks < least:
                at, least = arrival_ticks, delay_ticks
            self._window = (begun, at, least)
            if not self._minima:  # the first second: all that is known
                self._anchor = (at, least)
            return
        self._minima.append((at, least))
        self._window = (arrival_ticks, arrival_ticks, delay_ticks)
        self._fit()

    def predict(self, arrival_ticks: float) -> float:
        """The delay that a chunk has which comes at ``arrival_ticks`` without waiting."""
        at, delay = self._anchor
        return delay + self._slope * (arrival_ticks - at)

    def shift(self, ticks: float) -> None:
        """Move the offset: sound was lost, so the delay has grown; or, below 0, it was not as late as thought."""
        self._minima = deque(((at, delay + ticks) for at, delay in self._minima), maxlen=_WINDOWS)
        self._anchor = (self._anchor[0], self._anchor[1] + ticks)
        if self._window is not None:
            begun, at, least = self._window
            self._window = (begun, at, least + ticks)

    def _fit(self) -> None:
        points = np.array(self._minima)
        at, delay = points[:, 0], points[:, 1]
        if len(points) >= _TRUSTED_WINDOWS:
            first, second = _pairs(len(points))
            slope = _median((delay[second] - delay[first]) / (at[second] - at[first]))
            self._slope = min(MAX_DRIFT_PPM, max(-MAX_DRIFT_PPM, slope * 1e6)) / 1e6
        level = _median(delay - self._slope * at)
        self._anchor = (float(at[-1]), level + self._slope * float(at[-1]))


def _median(values: NDArray[np.float64]) -> float:
    """As ``np.median``, which loads a module when it is called first: 10 ms in the midst of a session."""
    middle, ordered = len(values) // 2, np.sort(values)
    return float(ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2)


@functools.lru_cache(maxsize=_WINDOWS)
def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every two of ``count`` points, the earlier and the later."""
    first, second = np.triu_indices(count, 1)
    return first, second
