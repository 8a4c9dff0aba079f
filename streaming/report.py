"""What a render reports: frames, speed and the percentiles of every stage, in memory that does not grow."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.clock import MonotonicClock
from engine.errors import OutputError
from engine.instruments import DurationHistogram
from streaming.output_files import reserve_partial


class StageTimes:
    """Durations by stage, counted from any one thread a stage."""

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self.clock = clock or MonotonicClock().now_ns
        self.histograms: dict[str, DurationHistogram] = {}

    def add(self, stage: str, duration_ns: float) -> None:
        """Count a duration in nanoseconds."""
        if stage not in self.histograms:
            self.histograms[stage] = DurationHistogram()
        self.histograms[stage].add(duration_ns)

    @contextmanager
    def observe(self, stage: str) -> Iterator[None]:
        """Count how long the ``with`` block takes: what ``engine.pipeline`` calls an observer."""
        began = self.clock()
        yield
        self.add(stage, self.clock() - began)

    def percentiles_ms(self) -> dict[str, dict[str, float]]:
        """p50, p95 and p99 in ms of every stage, rounded to the microsecond."""
        return {
            stage: {f"p{percent}": round(histogram.percentile_ms(percent), 3) for percent in (50, 95, 99)}
            for stage, histogram in self.histograms.items()
        }


@dataclass(frozen=True)
class RenderReport:
    """The account of one render.

    Attributes:
        frames: Frames written.
        fps: Frames per second of the video.
        width: Pixels.
        height: Pixels.
        audio_seconds: Length of the speech.
        wall_seconds: Time that the render took, loading of models included.
        realtime_factor: ``audio_seconds / wall_seconds``: above 1 is faster than real time.
        stage_ms: Per stage the percentiles p50, p95, p99 in ms of wall time: ``decode`` a block of sound,
            ``pipeline`` a motion frame, every stage of the pipeline its own step, ``render`` and ``encode`` a
            picture. ``pipeline``, ``render`` and ``encode`` run beside each other.
        lookahead_frames: 60 Hz frames of sound heard beyond the frame drawn.
        latency_ms: What a live stream of this pipeline would wait for, as its stages declare.
        seed: Of the head's motion.
        avatar: Name of the avatar.
        renderer: What drew.
        peak_memory_mb: The largest resident memory of the process and its workers so far, in MB.
        warnings: Sentences about what was wrong with the input.
    """

    frames: int
    fps: int
    width: int
    height: int
    audio_seconds: float
    wall_seconds: float
    realtime_factor: float
    stage_ms: dict[str, dict[str, float]]
    lookahead_frames: int
    latency_ms: float
    seed: int
    avatar: str
    renderer: str
    peak_memory_mb: float | None
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return dict(vars(self))


def peak_memory_mb(workers: int = 0) -> float | None:
    """The largest resident memory so far in MB; None on Windows, which does not say.

    Args:
        workers: Child processes that have ended, each counted as large as the largest: an upper bound.
    """
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak += workers * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024), 1)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` as JSON; the file appears under its name only when complete.

    Raises:
        OutputError: The place cannot be written.
    """
    partial = reserve_partial(path)
    try:
        partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"Cannot write the report {path}: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)
