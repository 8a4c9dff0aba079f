"""The scenarios of mien bench find what was done to a session of straw, on a virtual clock."""

import json

import numpy as np
import pytest

from benchmarks import scenarios
from benchmarks.scenarios import Settings
from engine.errors import AudioError, CapacityError, ConfigError, MienError
from engine.instruments import Instruments
from tests.benchmarks.bench_fakes import Faults, StrawEngine, speech

SECONDS = 5.0


def settings(**options) -> Settings:
    return Settings(speech(), **{"seconds": SECONDS, "lookahead": 6, "warmup_s": 1.0, "bursts": 2, **options})


def latency(faults: Faults | None = None, opening=None, **options) -> dict:
    engine = StrawEngine(faults=faults)
    instruments = Instruments(engine.clock.now_ns)
    return engine.run(
        lambda: scenarios.latency(engine.session, settings(**options), engine.clock, instruments, opening)
    )


def test_a_session_on_time_measures_as_its_budget():
    report = latency()
    assert report["budget_ms"] == 140.0
    assert report["mouth_to_frame_ms"] == pytest.approx({"p50": 140, "p95": 140, "p99": 140, "max": 140}, abs=0.1)
    assert report["missed_frames"] == 0 and 145 <= report["frames"] <= 152
    assert report["interval_jitter_ms"]["p99"] < 0.01 and report["av_offset_ms"]["max"] < 0.01
    impulse = report["impulse_ms"]
    assert (impulse["bursts"], impulse["answered"]) == (2, 2)
    # The lips of straw answer in the first frame that holds any of the burst.
    assert 135 <= impulse["p50"] <= 140 + 34
    assert {"budget_ms", "frames", "missed_frames", "stages", "machine"} <= report.keys()
    json.dumps(report, allow_nan=False)


def test_late_repeated_and_skipped_frames_are_seen():
    faults = Faults(late_ms={60: 12.0}, repeated={70, 71}, skipped={80})
    report = latency(faults)
    assert report["mouth_to_frame_ms"]["max"] == pytest.approx(152, abs=0.1)
    assert report["mouth_to_frame_ms"]["p50"] == pytest.approx(140, abs=0.1)
    assert report["missed_frames"] == 3 and len(report["series"]["repeated_s"]) == 2
    assert report["interval_jitter_ms"]["p99"] > 5


def test_the_warm_up_is_not_counted():
    report = latency(Faults(late_ms=dict.fromkeys(range(25), 8.0), repeated=set(range(20))))
    assert report["missed_frames"] == 0 and report["mouth_to_frame_ms"]["max"] == pytest.approx(140, abs=0.1)


def test_motion_that_is_later_than_it_claims_counts():
    """The pictures leave on time, but what they show is old: only the motion itself can tell."""

    def true_opening(sound: np.ndarray, lookahead: int) -> np.ndarray:
        assert lookahead == 6
        starts = np.arange(int(len(sound) * 60 / 16_000) - 1) * 800 // 3
        padded = np.pad(np.abs(sound), (80, 80))
        return np.array([padded[start : start + 160].mean() for start in starts])

    assert latency(opening=true_opening)["motion_lag_ms"] == pytest.approx(0, abs=2)
    late = latency(Faults(motion_late_ms=50), true_opening)
    assert late["motion_lag_ms"] == pytest.approx(50, abs=2)
    assert late["mouth_to_frame_ms"]["p50"] == pytest.approx(190, abs=2)
    assert late["impulse_ms"]["p50"] > 170


def test_another_sound_than_was_said_fails_the_run():
    with pytest.raises(AudioError, match="not the sound that went in"):
        latency(Faults(deaf=True))


def test_a_session_that_ends_before_its_time_fails_the_run():
    with pytest.raises(MienError, match="ended"):
        latency(Faults(ends_after=50))


def test_lookahead_runs_all_of_them():
    engine = StrawEngine()
    report = engine.run(
        lambda: scenarios.lookahead(engine.session, settings(seconds=3), engine.clock, Instruments(engine.clock.now_ns))
    )
    assert list(report["runs"]) == ["0", "3", "6", "9", "12", "18"]
    for frames, run in report["runs"].items():
        expected = 40 + int(frames) * 1000 / 60
        assert run["budget_ms"] == pytest.approx(expected, abs=0.01)
        assert run["mouth_to_frame_ms"]["p99"] == pytest.approx(expected, abs=0.1)
    assert sorted({opened["lookahead"] for opened in engine.opened}) == [0, 3, 6, 9, 12, 18]


def test_throughput_counts_those_that_were_admitted():
    engine = StrawEngine(capacity=3, faults=Faults(repeated={200}))
    report = engine.run(lambda: scenarios.throughput(engine.session, settings(fps=25, warmup_s=2), engine.clock))
    assert report["sessions_admitted"] == 3 and report["fps"] == 25
    assert "another would miss" in report["refusal"]
    # Each runs for 5 s at 25 fps after the refusal at 6 s; frame 200 of the first two, at 8 s and 10 s, lies in them.
    assert 370 <= report["frames"] <= 380 and report["missed_frames"] == 2
    assert report["late_ms"]["max"] < 0.05


def test_throughput_without_any_session_is_an_error():
    engine = StrawEngine(capacity=0)
    with pytest.raises(CapacityError):
        engine.run(lambda: scenarios.throughput(engine.session, settings(), engine.clock))


@pytest.mark.parametrize(("growing", "expected"), [(False, 0.0), (True, 5.6)])
def test_soak_tells_growth_from_warming_up(growing, expected):
    """Memory that rises in the first minute, or half of a shorter run, finds its place; what it does then is told."""
    engine, calls = StrawEngine(faults=Faults(sound_late_ms=7)), []

    def resident() -> float:
        calls.append(0)
        return 100 + min(30, len(calls)) + (0.2 * max(0, len(calls) - 30) if growing else 0)

    report = engine.run(lambda: scenarios.soak(engine.session, settings(seconds=64), engine.clock, resident))
    assert len(calls) == 65
    assert report["rss_growth_mb"] == pytest.approx(expected, abs=0.8)
    assert report["av_offset_ms"]["max"] == pytest.approx(7, abs=0.05)
    json.dumps(report, allow_nan=False)


def test_soak_where_memory_is_not_told():
    engine = StrawEngine()
    report = engine.run(lambda: scenarios.soak(engine.session, settings(), engine.clock, lambda: None))
    assert report["rss_growth_mb"] is None and report["missed_frames"] == 0


def test_settings_that_measure_nothing_are_refused():
    for options in ({"seconds": 2}, {"warmup_s": -1}, {"bursts": 1}):
        with pytest.raises(ConfigError):
            settings(**options)
    with pytest.raises(ConfigError, match="silent"):
        Settings(np.zeros(16_000, np.float32))
