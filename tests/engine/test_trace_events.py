"""The trace of an engine's sessions, by the rules of the Chrome trace-event format."""

import itertools
import json
from collections import defaultdict

import pytest

from engine.errors import ConfigError
from engine.instruments import Instruments
from engine.trace_events import Trace

MS = 1_000_000


def events(trace: Trace) -> list[dict]:
    return json.loads(trace.to_json())["traceEvents"]


def test_records_only_between_start_and_stop():
    trace = Trace()
    trace.span("1", "render", 0, MS)
    assert events(trace) == []
    trace.start()
    trace.span("1", "render", MS, 2 * MS, 7)
    trace.stop()
    trace.span("1", "render", 3 * MS, 4 * MS)
    (span,) = (event for event in events(trace) if event["ph"] == "X")
    assert (span["ts"], span["dur"], span["args"]) == (1000, 1000, {"frame": 7})
    trace.start()
    assert events(trace) == []


def test_opens_in_a_viewer():
    """A process for each session, a track for each stage, named; events in order of time."""
    trace, now = Trace(), [5_000 * MS]
    trace.start()
    for label in ("ada", "ravi"):
        instruments = Instruments(label, lambda: now[0], trace)
        instruments.begin()
        instruments.frame = 3
        began = now[0]
        with instruments.observe("apc"):
            now[0] += 2 * MS
        instruments.add("pipeline", began, now[0], 3)
        instruments.mark("miss", 3)
        instruments.levels(lambda: {"intake": 40.0})
    found = events(trace)
    processes = {event["pid"]: event["args"]["name"] for event in found if event["name"] == "process_name"}
    assert sorted(processes.values()) == ["session ada", "session ravi"]
    tracks = {(e["pid"], e["tid"]): e["args"]["name"] for e in found if e["name"] == "thread_name"}
    named = {(processes[pid], name) for (pid, _), name in tracks.items()}
    assert named == {(f"session {s}", t) for s in ("ada", "ravi") for t in ("apc", "pipeline", "events")}
    spans = [event for event in found if event["ph"] == "X"]
    assert all(event["args"] == {"frame": 3} and event["dur"] == 2000 for event in spans) and len(spans) == 4
    assert all(tracks[event["pid"], event["tid"]] == event["name"] for event in spans)
    (level, _) = (event for event in found if event["ph"] == "C")
    assert level["name"] == "intake queue, ms" and level["args"] == {"value": 40}
    (miss, _) = (event for event in found if event["ph"] == "i")
    assert miss["name"] == "miss" and miss["s"] == "t"
    assert all({"name", "ph", "pid", "tid"} <= event.keys() for event in found)
    stamped = [event["ts"] for event in found if event["ph"] != "M"]
    assert stamped == sorted(stamped)


def test_spans_of_one_track_never_overlap():
    """Two processes draw at once: each second picture goes to another track."""
    trace = Trace()
    trace.start()
    for frame in range(30):
        trace.span("1", "render", frame * 16 * MS, frame * 16 * MS + 25 * MS, frame)
    rows = defaultdict(list)
    for event in events(trace):
        if event["ph"] == "X":
            rows[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert len(rows) == 2 and sum(map(len, rows.values())) == 30
    for spans in rows.values():
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


def test_sessions_that_come_and_go_leave_nothing_behind():
    trace = Trace()
    trace.start(50)
    for label in range(10_000):
        trace.span(str(label), "render", label * MS, label * MS + 1)
    assert len(trace._ends) <= 4096 + 1
    assert sum(event["ph"] == "X" for event in events(trace)) == 50


def test_a_capacity_out_of_range_is_refused():
    for capacity in (0, -1, 10**9):
        with pytest.raises(ConfigError, match="trace keeps"):
            Trace().start(capacity)
