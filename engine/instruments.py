"""What one session measures of itself: how long its stages take, and its part of the engine's trace.

All of it is of constant size, and several threads may use it. What is counted (frames, misses, gaps) the session
counts itself: ``Session.stats``; ``engine.telemetry`` puts the two together.
"""

import math
import threading
from array import array
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.trace_events import Trace

_LOWEST_NS = 100.0
_BINS_PER_OCTAVE = 64
_BINS = 40 * _BINS_PER_OCTAVE
QUANTILES: Final = {"p50": 50.0, "p95": 95.0, "p99": 99.0}


class DurationHistogram:
    """Percentiles of any number of durations in constant memory.

    64 bins an octave from 100 ns to 30 hours: a percentile is within 0.6 % of the exact one.
    """

    def __init__(self) -> None:
        self._bins = array("Q", bytes(8 * _BINS))
        self.count = 0
        self.sum_ns = 0.0
        self.max_ns = 0.0

    def add(self, duration_ns: float) -> None:
        """Count one duration in nanoseconds; less than 100 ns counts as 100."""
        octaves = math.log2(max(duration_ns, _LOWEST_NS) / _LOWEST_NS)
        self._bins[min(_BINS - 1, int(octaves * _BINS_PER_OCTAVE))] += 1
        self.count += 1
        self.sum_ns += duration_ns
        self.max_ns = max(self.max_ns, duration_ns)

    def absorb(self, other: "DurationHistogram") -> None:
        """Count all that ``other`` has counted."""
        self._bins = array("Q", (self._counts() + other._counts()).tobytes())
        self.count += other.count
        self.sum_ns += other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)

    def since(self, before: "DurationHistogram") -> "DurationHistogram":
        """What came after ``before``, an earlier copy of this; the longest of it is known to 0.6 %."""
        later, counts = DurationHistogram(), self._counts() - before._counts()
        later._bins = array("Q", counts.tobytes())
        later.count, later.sum_ns = self.count - before.count, self.sum_ns - before.sum_ns
        if counts.any():
            later.max_ns = min(self.max_ns, _middle_ns(int(np.flatnonzero(counts)[-1])))
        return later

    def copy(self) -> "DurationHistogram":
        """One that goes its own way."""
        other = DurationHistogram()
        other.absorb(self)
        return other

    def percentile_ms(self, percent: float) -> float:
        """The duration in ms that ``percent`` of those counted do not exceed; 0 if there are none."""
        if not self.count:
            return 0.0
        wanted = max(1, math.ceil(self.count * percent / 100))
        index = int(np.searchsorted(np.cumsum(self._counts()), wanted))
        return float(min(_middle_ns(index), max(self.max_ns, _LOWEST_NS)) / 1e6)

    def summary_ms(self) -> dict[str, float]:
        """p50, p95, p99 and max in ms, rounded to the microsecond."""
        figures = {name: self.percentile_ms(percent) for name, percent in QUANTILES.items()}
        return {name: round(value, 3) for name, value in {**figures, "max": self.max_ns / 1e6}.items()}

    def _counts(self) -> NDArray[np.uint64]:
        return np.frombuffer(self._bins, np.uint64)


def _middle_ns(index: int) -> float:
    """Geometric middle of a bin."""
    return float(_LOWEST_NS * 2.0 ** ((index + 0.5) / _BINS_PER_OCTAVE))


class Instruments:
    """One session's stages. Nothing counts before ``begin``, so that a calibration leaves no mark.

    Attributes:
        label: The session's, by which it is told from others.
        frame: The frame that the lane works on, for the trace; the session keeps it.
    """

    def __init__(self, label: str, now_ns: Callable[[], int], trace: Trace) -> None:
        """Begin at zero.

        Args:
            label: The session's.
            now_ns: The clock's nanoseconds.
            trace: Shared by all sessions of an engine; while it records, every observed stage goes into it.
        """
        self.label = label
        self.frame = 0
        self._now_ns, self._trace = now_ns, trace
        self._begun = False
        self._lock = threading.Lock()
        self._stages: dict[str, DurationHistogram] = {}

    def begin(self) -> None:
        """Count from now on."""
        self._begun = True

    def observe(self, stage: str) -> AbstractContextManager[object]:
        """Time a ``with`` block as ``stage`` of the present ``frame``: what ``engine.pipeline`` calls an observer."""
        return _Timed(self, stage)

    def add(self, stage: str, began_ns: int, ended_ns: int, frame: int | None = None) -> None:
        """Count what was timed elsewhere: ``stage`` took from ``began_ns`` to ``ended_ns``."""
        if not self._begun:
            return
        with self._lock:
            histogram = self._stages.get(stage)
            if histogram is None:
                histogram = self._stages[stage] = DurationHistogram()
            histogram.add(ended_ns - began_ns)
        if self._trace.recording:
            self._trace.span(self.label, stage, began_ns, ended_ns, frame)

    def mark(self, event: str, frame: int | None = None) -> None:
        """Put an event into the trace, such as a missed frame."""
        if self._trace.recording:
            self._trace.instant(self.label, event, self._now_ns(), frame)

    def levels(self, queues_ms: Callable[[], Mapping[str, float]]) -> None:
        """Put into the trace how much waits in each queue; asked for only while it records."""
        if self._trace.recording:
            now = self._now_ns()
            for queue, depth in queues_ms().items():
                self._trace.level(self.label, f"{queue} queue, ms", now, depth)

    def histograms(self) -> dict[str, DurationHistogram]:
        """A copy of every stage's durations up to now."""
        with self._lock:
            return {stage: histogram.copy() for stage, histogram in self._stages.items()}

    def stages_ms(self, since: Mapping[str, DurationHistogram] | None = None) -> dict[str, dict[str, float]]:
        """p50, p95, p99 and max in ms of every stage.

        Args:
            since: What ``histograms`` gave earlier, as after a warm-up: what it holds is left out.
        """
        now, before = self.histograms(), since or {}
        later = {stage: h.since(before[stage]) if stage in before else h for stage, h in now.items()}
        return {stage: histogram.summary_ms() for stage, histogram in later.items() if histogram.count}


class _Timed:
    """The context of one step: a generator's would cost more than some of the stages."""

    __slots__ = ("_began", "_instruments", "_stage")

    def __init__(self, instruments: Instruments, stage: str) -> None:
        self._instruments, self._stage, self._began = instruments, stage, 0

    def __enter__(self) -> None:
        self._began = self._instruments._now_ns()

    def __exit__(self, *_: object) -> None:
        instruments = self._instruments
        instruments.add(self._stage, self._began, instruments._now_ns(), instruments.frame)
