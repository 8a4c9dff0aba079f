"""What a session measures of itself: durations, counts, queues, and a trace of every stage of every frame.

All of it is of constant size: histograms with logarithmic bins, a dictionary of counters, a ring of trace events.
It may be used from several threads. Clocks are read by whoever is given one: ``observe`` uses the clock handed in.
"""

import json
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

_LOWEST_NS = 100.0
_BINS_PER_OCTAVE = 64
_BINS = 40 * _BINS_PER_OCTAVE
_QUANTILES: Final = {"p50": 50.0, "p95": 95.0, "p99": 99.0}

COUNTERS: Final = {
    "frames": "Frames handed out, repeated ones too.",
    "misses": "Frames that were not ready at their deadline.",
    "repeats": "Frames handed out again in place of one that was missed.",
    "skips": "Frames that came after their deadline and were not shown.",
    "gaps": "Times that sound was concealed because it was not there.",
    "gap_ms": "Milliseconds of sound concealed.",
    "late_ms": "Milliseconds of sound left out because it came too late.",
    "ladder_down": "Steps down the ladder under overload.",
    "ladder_up": "Steps back up the ladder.",
    "interruptions": "Times that the session was interrupted.",
}


class DurationHistogram:
    """Percentiles of any number of durations in constant memory.

    64 bins an octave from 100 ns to 30 hours: a percentile is within 0.6 % of the exact one.
    """

    def __init__(self) -> None:
        self._bins = [0] * _BINS
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

    def percentile_ms(self, percent: float) -> float:
        """The duration in ms that ``percent`` of those counted do not exceed; 0 if there are none."""
        wanted = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for index, count in enumerate(self._bins):
            seen += count
            if count and seen >= wanted:
                middle = _LOWEST_NS * 2.0 ** ((index + 0.5) / _BINS_PER_OCTAVE)
                return float(min(middle, max(self.max_ns, _LOWEST_NS)) / 1e6)
        return 0.0

    def summary_ms(self) -> dict[str, float]:
        """p50, p95, p99 and max in ms, rounded to the microsecond."""
        figures = {name: self.percentile_ms(percent) for name, percent in _QUANTILES.items()}
        return {name: round(value, 3) for name, value in {**figures, "max": self.max_ns / 1e6}.items()}


class Trace:
    """The last events of a session in the Chrome trace-event format, for https://ui.perfetto.dev or chrome://tracing.

    A span is an "X" event on a track (a row in the viewer); spans of one track must nest or follow each other, so a
    thread's stages share a track and every other activity has its own. Times are nanoseconds of one clock.
    """

    def __init__(self, capacity: int = 200_000, *, process: str = "mien") -> None:
        """Record at most ``capacity`` events; older ones make room.

        Args:
            capacity: About 200 bytes each.
            process: Name of the group of tracks.
        """
        self._events: deque[dict[str, Any]] = deque(maxlen=capacity)
        self._tracks: dict[str, int] = {}
        self._process = process
        self._lock = threading.Lock()

    def span(self, track: str, name: str, began_ns: int, ended_ns: int, **details: int | float | str) -> None:
        """Something that took from ``began_ns`` to ``ended_ns``; ``details`` are shown when it is selected."""
        self._add(track, {"name": name, "ph": "X", "ts": began_ns, "dur": max(0, ended_ns - began_ns)}, details)

    def instant(self, track: str, name: str, at_ns: int, **details: int | float | str) -> None:
        """Something that happened at ``at_ns``."""
        self._add(track, {"name": name, "ph": "i", "s": "t", "ts": at_ns}, details)

    def level(self, name: str, at_ns: int, value: float) -> None:
        """A quantity over time, drawn as a curve."""
        self._add(name, {"name": name, "ph": "C", "ts": at_ns}, {"value": value})

    def to_json(self) -> str:
        """The file's text."""
        with self._lock:
            events, tracks = list(self._events), dict(self._tracks)
        names: list[dict[str, Any]] = [
            {"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": self._process}}
        ]
        for track, number in tracks.items():
            names.append({"name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": {"name": track}})
            names.append(
                {"name": "thread_sort_index", "ph": "M", "pid": 1, "tid": number, "args": {"sort_index": number}}
            )
        in_microseconds = [
            {key: value / 1000 if key in ("ts", "dur") else value for key, value in event.items()} for event in events
        ]
        # The viewer wants the events of a track in order of time, and what contains before what is contained.
        in_microseconds.sort(key=lambda event: (event["ts"], -event.get("dur", 0)))
        return json.dumps({"traceEvents": names + in_microseconds, "displayTimeUnit": "ms"})

    def _add(self, track: str, event: dict[str, Any], details: Mapping[str, int | float | str]) -> None:
        with self._lock:
            number = self._tracks.setdefault(track, len(self._tracks) + 1)
            self._events.append({**event, "cat": "mien", "pid": 1, "tid": number, "args": dict(details)})


class Instruments:
    """One session's measurements."""

    def __init__(self, now_ns: Callable[[], int], trace: Trace | None = None) -> None:
        """Begin at zero.

        Args:
            now_ns: The clock's nanoseconds.
            trace: Records every observed stage as well, if given.
        """
        self._now_ns = now_ns
        self.trace = trace
        self._lock = threading.Lock()
        self._stages: dict[str, DurationHistogram] = {}
        self._counters = dict.fromkeys(COUNTERS, 0.0)
        self._queues: dict[str, float] = {}

    @contextmanager
    def observe(self, stage: str, **details: int | float | str) -> Iterator[None]:
        """Time the ``with`` block as ``stage``, also if it raises; what ``engine.pipeline`` calls an observer.

        Args:
            stage: Its name.
            details: Shown in the trace, such as ``frame=17``.
        """
        began = self._now_ns()
        try:
            yield
        finally:
            self.add(stage, began, self._now_ns(), **details)

    def add(self, stage: str, began_ns: int, ended_ns: int, **details: int | float | str) -> None:
        """Count what was timed elsewhere: ``stage`` took from ``began_ns`` to ``ended_ns`` on this thread."""
        with self._lock:
            if stage not in self._stages:
                self._stages[stage] = DurationHistogram()
            self._stages[stage].add(ended_ns - began_ns)
        if self.trace is not None:
            self.trace.span(threading.current_thread().name, stage, began_ns, ended_ns, **details)

    def count(self, counter: str, amount: float = 1) -> None:
        """Add to one of ``COUNTERS``, 0 or more; events other than frames and ms are marked in the trace.

        Raises:
            KeyError: There is no such counter.
        """
        with self._lock:
            self._counters[counter] += amount
        if self.trace is not None and counter != "frames" and not counter.endswith("_ms"):
            self.trace.instant("events", counter, self._now_ns())

    def queue(self, name: str, depth_ms: float) -> None:
        """Note how much waits in a queue now, in ms."""
        with self._lock:
            self._queues[name] = depth_ms
        if self.trace is not None:
            self.trace.level(f"{name} queue, ms", self._now_ns(), depth_ms)

    def reset(self) -> None:
        """Forget durations and counts, as after a warm-up; the trace keeps what it has."""
        with self._lock:
            self._stages.clear()
            self._counters = dict.fromkeys(COUNTERS, 0.0)

    def stages_ms(self) -> dict[str, dict[str, float]]:
        """p50, p95, p99 and max in ms of every stage."""
        with self._lock:
            return {stage: histogram.summary_ms() for stage, histogram in self._stages.items()}

    def counters(self) -> dict[str, float]:
        """All counters; whole numbers but for those in ms."""
        with self._lock:
            return {name: value if name.endswith("_ms") else int(value) for name, value in self._counters.items()}

    def queues_ms(self) -> dict[str, float]:
        """What waited in every queue when it was last looked at, in ms."""
        with self._lock:
            return dict(self._queues)

    def prometheus(self) -> str:
        """The measurements in Prometheus's text format, without a session's label."""
        return prometheus_text({"": self})

    def samples(self, labels: Mapping[str, str]) -> dict[str, list[str]]:
        """Lines of the text format by metric, each with ``labels``."""
        found: dict[str, list[str]] = {"mien_stage_seconds": [], "mien_queue_milliseconds": []}
        with self._lock:
            for stage, histogram in self._stages.items():
                lines, own = found["mien_stage_seconds"], {**labels, "stage": stage}
                for percent in _QUANTILES.values():
                    quantile = _labels({**own, "quantile": f"{percent / 100:g}"})
                    lines.append(f"mien_stage_seconds{quantile} {histogram.percentile_ms(percent) / 1e3:.9g}")
                lines.append(f"mien_stage_seconds_sum{_labels(own)} {histogram.sum_ns / 1e9:.9g}")
                lines.append(f"mien_stage_seconds_count{_labels(own)} {histogram.count}")
            for queue, depth in self._queues.items():
                text = _labels({**labels, "queue": queue})
                found["mien_queue_milliseconds"].append(f"mien_queue_milliseconds{text} {depth:.9g}")
            for counter, value in self._counters.items():
                metric = _metric(counter)
                found[metric] = [f"{metric}{_labels(labels)} {value:.15g}"]
        return found


def prometheus_text(sessions: Mapping[str, Instruments]) -> str:
    """The measurements of several sessions in Prometheus's text format (version 0.0.4).

    Args:
        sessions: By the value of the label ``session``; an empty name leaves the label out.
    """
    about = {
        "mien_stage_seconds": ("summary", "Time that one step of a stage took."),
        "mien_queue_milliseconds": ("gauge", "Sound or pictures that wait in a queue."),
        **{_metric(counter): ("counter", text) for counter, text in COUNTERS.items()},
    }
    each = [s.samples({"session": name} if name else {}) for name, s in sessions.items()]
    blocks = []
    for metric, (kind, text) in about.items():
        lines = [line for samples in each for line in samples[metric]]
        if lines:
            blocks.append("\n".join([f"# HELP {metric} {text}", f"# TYPE {metric} {kind}", *lines]))
    return "\n".join(blocks) + "\n"


def _metric(counter: str) -> str:
    return f"mien_{counter.replace('_ms', '_milliseconds')}_total"


def _labels(labels: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'

    return "{" + ",".join(f"{name}={quoted(value)}" for name, value in labels.items()) + "}" if labels else ""
