"""A trace of what sessions did, in the Chrome trace-event format: for https://ui.perfetto.dev or chrome://tracing.

A session is a process of the viewer, each of its stages a track. The viewer wants spans of one track to follow each
other: where a stage works on two frames at once, as drawing does, the second goes to a track of its own.

It records nothing until it is started, and keeps the last events only: its memory is bounded.
"""

import json
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from engine.errors import ConfigError

CAPACITY: Final = 100_000
"""Events that are kept unless another number is asked for: two minutes of one session at 60 fps, about 20 MB."""
_MOST_TRACKS: Final = 4096
_MOST_ROWS: Final = 16
"""Of one stage at once; what goes beyond shares the last."""


class _Event(NamedTuple):
    kind: str
    process: str
    track: str
    name: str
    at_ns: int
    lasted_ns: int
    detail: float | None


class Trace:
    """The last events of an engine's sessions. Any thread may use it."""

    def __init__(self) -> None:
        """Nothing is recorded before ``start``."""
        self.recording = False
        self._events: deque[_Event] = deque(maxlen=0)
        self._ends: dict[tuple[str, str], list[int]] = {}
        """Of each session and stage: when the last span of each of its rows ended."""
        self._lock = threading.Lock()

    def start(self, capacity: int = CAPACITY) -> None:
        """Record from now on; what was recorded before is forgotten.

        Args:
            capacity: Events that are kept; older ones make room. About 200 bytes each.

        Raises:
            ConfigError: It is less than one, or more than ten million.
        """
        if not 1 <= capacity <= 10_000_000:
            raise ConfigError(f"A trace keeps 1 to 10000000 events, not {capacity}.")
        with self._lock:
            self._events, self._ends = deque(maxlen=capacity), {}
            self.recording = True

    def stop(self) -> None:
        """Record no more; what was recorded stays."""
        self.recording = False

    def span(self, process: str, stage: str, began_ns: int, ended_ns: int, frame: int | None = None) -> None:
        """A session's stage worked from ``began_ns`` to ``ended_ns``, on ``frame`` if it is known."""
        if not self.recording:
            return
        with self._lock:
            if len(self._ends) >= _MOST_TRACKS:
                kept = {(event.process, event.name) for event in self._events}
                self._ends = {key: ends for key, ends in self._ends.items() if key in kept}
            rows = self._ends.setdefault((process, stage), [])
            row = next((number for number, end in enumerate(rows) if end <= began_ns), len(rows))
            if row == len(rows) < _MOST_ROWS:
                rows.append(ended_ns)
            row = min(row, _MOST_ROWS - 1)
            rows[row] = ended_ns
            track = stage if row == 0 else f"{stage} {row + 1}"
            self._events.append(_Event("X", process, track, stage, began_ns, max(0, ended_ns - began_ns), frame))

    def instant(self, process: str, name: str, at_ns: int, frame: int | None = None) -> None:
        """Something happened to a session at ``at_ns``."""
        self._add(_Event("i", process, "events", name, at_ns, 0, frame))

    def level(self, process: str, name: str, at_ns: int, value: float) -> None:
        """A session's quantity over time, drawn as a curve."""
        self._add(_Event("C", process, name, name, at_ns, 0, value))

    def to_json(self) -> str:
        """The file's text, one event a line. It takes a second for 100000 events: from a thread, no frame waits."""
        with self._lock:
            events = list(self._events)
        # In order of time; of two that begin together the one that contains the other comes first.
        events.sort(key=lambda event: (event.at_ns, -event.lasted_ns))
        lines = ",\n".join(json.dumps(line) for line in _lines(events))
        return f'{{"displayTimeUnit": "ms", "traceEvents": [\n{lines}\n]}}\n'

    def _add(self, event: _Event) -> None:
        if self.recording:
            with self._lock:
                self._events.append(event)


def _lines(events: list[_Event]) -> Iterator[dict[str, Any]]:
    """Names of processes and tracks where they first occur, and the events, times in microseconds."""
    processes: dict[str, int] = {}
    tracks: dict[tuple[str, str], int] = {}
    for event in events:
        if event.process not in processes:
            processes[event.process] = len(processes) + 1
            yield _named("process_name", processes[event.process], 0, name=f"session {event.process}")
        pid, key = processes[event.process], (event.process, event.track)
        if key not in tracks:
            tracks[key] = len(tracks) + 1
            if event.kind != "C":
                yield _named("thread_name", pid, tracks[key], name=event.track)
                yield _named("thread_sort_index", pid, tracks[key], sort_index=tracks[key])
        line: dict[str, Any] = {"name": event.name, "ph": event.kind, "cat": "mien", "pid": pid, "tid": tracks[key]}
        line["ts"] = event.at_ns / 1000
        if event.kind == "X":
            line["dur"] = event.lasted_ns / 1000
        elif event.kind == "i":
            line["s"] = "t"
        if event.detail is not None:
            line["args"] = {"value" if event.kind == "C" else "frame": event.detail}
        yield line


def _named(what: str, pid: int, tid: int, **details: str | int) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": details}
