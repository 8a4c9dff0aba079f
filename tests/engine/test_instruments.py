"""What a session measures of itself."""

import json
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instruments import DurationHistogram, Instruments
from engine.trace_events import Trace

MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 5_000 * MS

    def __call__(self) -> int:
        return self.now


def begun(clock: Clock, trace: Trace | None = None) -> Instruments:
    instruments = Instruments("one", clock, trace or Trace())
    instruments.begin()
    return instruments


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


@given(st.lists(st.floats(1e3, 1e9), max_size=50), st.lists(st.floats(1e3, 1e9), min_size=1, max_size=50))
def test_histograms_add_up_and_come_apart(first, second):
    whole, part = DurationHistogram(), DurationHistogram()
    for duration in first:
        whole.add(duration)
    before = whole.copy()
    for duration in second:
        whole.add(duration)
        part.add(duration)
    later = whole.since(before)
    assert later.count == len(second) and later.sum_ns == pytest.approx(part.sum_ns, rel=1e-6, abs=1)
    assert later.percentile_ms(50) == pytest.approx(part.percentile_ms(50), rel=0.011)
    assert later.max_ns == pytest.approx(part.max_ns, rel=0.011)
    before.absorb(part)
    assert (before.count, before.max_ns) == (whole.count, whole.max_ns)
    assert before.percentile_ms(95) == whole.percentile_ms(95)


def test_stages_are_timed_by_the_clock_that_is_given():
    clock = Clock()
    instruments = begun(clock)
    for milliseconds in (1, 2, 3, 40):
        with instruments.observe("render"):
            clock.now += milliseconds * MS
    with pytest.raises(ZeroDivisionError), instruments.observe("motion"):
        clock.now += 7 * MS
        raise ZeroDivisionError
    stages = instruments.stages_ms()
    assert stages["render"]["p50"] == pytest.approx(2, rel=0.011) and stages["render"]["max"] == 40
    assert stages["motion"]["max"] == 7


def test_what_comes_before_the_beginning_leaves_no_mark():
    clock, trace = Clock(), Trace()
    trace.start()
    instruments = Instruments("one", clock, trace)
    with instruments.observe("render"):
        clock.now += 900 * MS
    assert instruments.stages_ms() == {} and json.loads(trace.to_json())["traceEvents"] == []


def test_a_warm_up_can_be_left_out():
    clock = Clock()
    instruments = begun(clock)
    instruments.add("render", clock.now - 900 * MS, clock.now)
    instruments.add("apc", clock.now - 9 * MS, clock.now)
    warmed = instruments.histograms()
    instruments.add("render", clock.now - MS, clock.now)
    instruments.add("show", clock.now - MS, clock.now)
    later = instruments.stages_ms(warmed)
    assert later.keys() == {"render", "show"} and later["render"]["max"] == pytest.approx(1, rel=0.011)
    assert instruments.stages_ms()["render"]["max"] == 900


def test_memory_does_not_grow_with_the_session():
    clock, trace = Clock(), Trace()
    trace.start(100)
    instruments = begun(clock, trace)

    def hour(frames: int) -> None:
        for instruments.frame in range(frames):
            with instruments.observe("render"):
                clock.now += 16 * MS
            instruments.mark("miss")
            instruments.levels(lambda: {"intake": 20.0})

    hour(200)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    hour(2000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 100_000
    assert len(json.loads(trace.to_json())["traceEvents"]) < 110


def test_several_threads_lose_nothing():
    trace = Trace()
    trace.start()
    instruments = begun(Clock(), trace)

    def work() -> None:
        for _ in range(300):
            with instruments.observe("render"):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert instruments.histograms()["render"].count == 1200
    assert sum(event["ph"] == "X" for event in json.loads(trace.to_json())["traceEvents"]) == 1200
