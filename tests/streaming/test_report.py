import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import OutputError
from engine.instruments import DurationHistogram
from streaming.report import StageTimes, peak_memory_mb, write_json


@given(st.lists(st.integers(100, 10**13), min_size=1, max_size=200), st.floats(1, 100))
def test_percentiles_are_the_exact_ones_within_a_percent(durations: list[int], percent: float) -> None:
    histogram = DurationHistogram()
    for duration in durations:
        histogram.add(duration)
    exact = np.percentile(durations, percent, method="inverted_cdf") / 1e6
    assert histogram.percentile_ms(percent) == pytest.approx(exact, rel=0.006)


def test_no_durations_and_impossible_ones_are_numbers_too() -> None:
    histogram = DurationHistogram()
    assert histogram.percentile_ms(50) == 0
    for duration in (0, -5, 1e30):
        histogram.add(duration)
    assert histogram.count == 3 and np.isfinite(histogram.percentile_ms(100))


def test_stages_are_counted_by_name() -> None:
    ticks = iter([0, 2_000_000, 10_000_000, 14_000_000])
    times = StageTimes(lambda: next(ticks))
    for _ in range(2):
        with times.observe("apc"):
            pass
    times.add("render", 8_000_000)
    stages = times.percentiles_ms()
    assert set(stages) == {"apc", "render"} and set(stages["apc"]) == {"p50", "p95", "p99"}
    assert stages["apc"]["p50"] == pytest.approx(2, rel=0.006) and stages["apc"]["p99"] == pytest.approx(4, rel=0.006)


def test_a_report_is_whole_or_absent(tmp_path: Path) -> None:
    write_json(tmp_path / "r.json", {"frames": 1})
    assert json.loads((tmp_path / "r.json").read_text()) == {"frames": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "s.json", {"speed": float("nan")})
    assert os.listdir(tmp_path) == ["r.json"]
    with pytest.raises(OutputError, match="Cannot write"):
        write_json(tmp_path / "missing" / "r.json", {})


def test_memory_is_measured_in_megabytes() -> None:
    peak = peak_memory_mb()
    assert peak is None or 10 < peak < 100_000
