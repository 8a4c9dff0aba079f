"""What a session measures of itself."""

import itertools
import json
import re
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instruments import COUNTERS, DurationHistogram, Instruments, Trace, prometheus_text

MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 5_000 * MS

    def __call__(self) -> int:
        return self.now


@given(st.lists(st.floats(1e3, 1e11), min_size=1, max_size=200), st.sampled_from([50.0, 95.0, 99.0, 100.0]))
def test_percentiles_are_those_of_the_durations(durations, percent):
    histogram = DurationHistogram()
    for duration in durations:
        histogram.add(duration)
    exact = np.percentile(durations, percent, method="inverted_cdf") / 1e6
    assert histogram.percentile_ms(percent) == pytest.approx(exact, rel=0.011)
    assert histogram.max_ns == max(durations) and histogram.sum_ns == pytest.approx(sum(durations))


def test_nothing_measured_is_zero_and_extremes_are_kept():
    histogram = DurationHistogram()
    assert histogram.summary_ms() == {"p50": 0, "p95": 0, "p99": 0, "max": 0}
    for duration in (0, -5, 1e20):
        histogram.add(duration)
    assert histogram.count == 3 and histogram.percentile_ms(50) == pytest.approx(1e-4, rel=0.01)


def test_stages_are_timed_by_the_clock_that_is_given():
    clock = Clock()
    instruments = Instruments(clock)
    for milliseconds in (1, 2, 3, 40):
        with instruments.observe("render", frame=milliseconds):
            clock.now += milliseconds * MS
    with pytest.raises(ZeroDivisionError), instruments.observe("motion"):
        clock.now += 7 * MS
        raise ZeroDivisionError
    stages = instruments.stages_ms()
    assert stages["render"]["p50"] == pytest.approx(2, rel=0.011) and stages["render"]["max"] == 40
    assert stages["motion"]["max"] == 7


def test_counters_and_queues():
    instruments = Instruments(Clock())
    instruments.count("misses")
    instruments.count("misses", 2)
    instruments.count("gap_ms", 12.5)
    instruments.queue("intake", 20)
    instruments.queue("intake", 15.5)
    assert instruments.counters() == {**dict.fromkeys(COUNTERS, 0), "misses": 3, "gap_ms": 12.5}
    assert instruments.queues_ms() == {"intake": 15.5}
    with pytest.raises(KeyError):
        instruments.count("mistakes")


def test_a_reset_forgets_the_warm_up():
    clock = Clock()
    instruments = Instruments(clock)
    with instruments.observe("render"):
        clock.now += 900 * MS
    instruments.count("misses")
    instruments.reset()
    with instruments.observe("render"):
        clock.now += MS
    assert instruments.stages_ms()["render"]["max"] == 1 and instruments.counters()["misses"] == 0


def test_memory_does_not_grow_with_the_session():
    clock = Clock()
    instruments = Instruments(clock, Trace(capacity=100))

    def hour(frames: int) -> None:
        for frame in range(frames):
            with instruments.observe("render", frame=frame):
                clock.now += 16 * MS
            instruments.count("misses")
            instruments.queue("frames", frame % 50)

    hour(200)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    hour(2000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 100_000
    assert len(json.loads(instruments.trace.to_json())["traceEvents"]) < 110


def test_several_threads_lose_nothing():
    instruments = Instruments(Clock(), Trace())

    def work() -> None:
        for _ in range(300):
            instruments.count("frames")
            with instruments.observe("render"):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert instruments.counters()["frames"] == 1200
    spans = [e for e in json.loads(instruments.trace.to_json())["traceEvents"] if e["ph"] == "X"]
    assert len(spans) == 1200 and len({event["tid"] for event in spans}) == 4


LINE = re.compile(r'^mien_\w+(\{(\w+="(?:[^"\\\n]|\\.)*"(,(?=\w)|(?=\})))*\})? [0-9.e+-]+$')


def test_prometheus_text_is_well_formed():
    clock = Clock()
    one, other = Instruments(clock), Instruments(clock)
    for instruments, milliseconds in ((one, 2), (other, 3)):
        with instruments.observe("render"):
            clock.now += milliseconds * MS
        instruments.count("gaps")
    one.queue("intake", 18.25)
    text = prometheus_text({"one": one, 'a "quoted"\\\nname': other})
    lines = text.splitlines()
    assert text.endswith("\n")
    for line in lines:
        assert line.startswith("# ") or LINE.match(line), line
    kinds = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(kinds) == len(set(kinds)) == 2 + len(COUNTERS)
    assert 'mien_stage_seconds_sum{session="one",stage="render"} 0.002' in lines
    assert 'mien_gaps_total{session="one"} 1' in lines
    assert 'mien_queue_milliseconds{session="one",queue="intake"} 18.25' in lines
    # Samples of one metric stand together under its head.
    blocks = [line.split()[2] if line.startswith("#") else re.split(r"[{ ]", line)[0] for line in lines]
    named = [re.sub(r"_(sum|count)$", "", block) for block in blocks]
    assert sum(a != b for a, b in itertools.pairwise(named)) == len(kinds) - 1
    assert "session=" not in one.prometheus()


def test_trace_opens_in_a_viewer():
    """The rules of the Chrome trace-event format (Duration, Complete, Instant, Counter and Metadata events)."""
    clock = Clock()
    instruments = Instruments(clock, Trace(process="session 1"))
    with instruments.observe("pipeline", frame=3):
        clock.now += MS
        with instruments.observe("apc"):
            clock.now += 2 * MS
    instruments.count("misses")
    instruments.count("frames")
    instruments.queue("sound", 40)
    document = json.loads(instruments.trace.to_json())
    events = document["traceEvents"]
    named = {event["name"]: event for event in events}
    assert named["process_name"]["args"]["name"] == "session 1"
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert tracks[named["apc"]["tid"]] == threading.current_thread().name
    assert (named["pipeline"]["ts"], named["pipeline"]["dur"]) == (5_000_000, 3_000)
    assert named["pipeline"]["args"] == {"frame": 3}
    assert named["apc"]["ts"] >= named["pipeline"]["ts"]
    assert named["apc"]["ts"] + named["apc"]["dur"] <= named["pipeline"]["ts"] + named["pipeline"]["dur"]
    assert named["misses"]["ph"] == "i" and "frames" not in named
    assert named["sound queue, ms"]["ph"] == "C" and named["sound queue, ms"]["args"] == {"value": 40}
    assert all({"name", "ph", "pid", "tid"} <= event.keys() for event in events)
    stamped = [event["ts"] for event in events if event["ph"] != "M"]
    assert stamped == sorted(stamped)
