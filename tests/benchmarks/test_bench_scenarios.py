"""The scenarios of mien bench find what was done to a session of straw, on a virtual clock."""

import json

import numpy as np
import pytest

from benchmarks import pushed, scenarios, throughput
from benchmarks.probe import ProbeRenderer
from benchmarks.scenarios import Settings
from engine.errors import AudioError, CapacityError, ConfigError, MienError
from tests.benchmarks.bench_fakes import Faults, StrawEngine, speech
from tests.engine.session_fakes import AVATAR, FakeRenderer, Stage

SECONDS = 5.0


def settings(**options) -> Settings:
    return Settings(speech(), **{"seconds": SECONDS, "lookahead": 6, "warmup_s": 1.0, "syllables": 2, **options})


def latency(faults: Faults | None = None, opening=None, **options) -> dict:
    engine = StrawEngine(faults=faults)
    return engine.run(lambda: scenarios.latency(engine.session, settings(**options), engine.clock, opening))


def true_opening(sound: np.ndarray, lookahead: int) -> np.ndarray:
    """What the lips of straw do, as it would be computed offline."""
    assert lookahead == 6
    starts = np.arange(int(len(sound) * 60 / 16_000) - 1) * 800 // 3
    padded = np.pad(np.abs(sound), (80, 80))
    return np.array([padded[start : start + 160].mean() for start in starts])


def test_a_session_on_time_measures_as_its_budget():
    report = latency()
    assert report["budget_ms"] == 140.0
    assert report["mouth_to_frame_ms"] == pytest.approx({"p50": 140, "p95": 140, "p99": 140, "max": 140}, abs=0.1)
    assert report["missed_frames"] == 0 and 150 <= report["frames"] <= 156
    assert report["interval_jitter_ms"]["p99"] < 0.01 and report["av_offset_ms"]["max"] < 0.01
    impulse = report["impulse_ms"]
    assert (impulse["syllables"], impulse["answered"]) == (2, 2)
    # The lips of straw answer in the first frame that holds any of the syllable.
    assert 135 <= impulse["p50"] <= 140 + 34
    assert {"budget_ms", "frames", "missed_frames", "stages", "machine"} <= report.keys()
    assert report["stages"]["show"] == pytest.approx({"p50": 1, "p95": 2, "p99": 2, "max": 2}, rel=0.011)
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
    exact = latency(opening=true_opening)
    assert exact["motion_lag_ms"] == pytest.approx(0, abs=2)
    impulse = exact["impulse_ms"]
    # Of the time up to the answer, a frame's worth is when the next picture falls due; the rest is the latency.
    assert -10 <= impulse["lips"]["p50"] <= 34 and impulse["latency"]["max"] == pytest.approx(140, abs=0.1)
    late = latency(Faults(motion_late_ms=50), true_opening)
    assert late["motion_lag_ms"] == pytest.approx(50, abs=2)
    assert late["mouth_to_frame_ms"]["p50"] == pytest.approx(190, abs=2)
    assert late["impulse_ms"]["p50"] > 170 and late["impulse_ms"]["latency"]["p50"] == pytest.approx(190, abs=20)


def test_another_sound_than_was_said_fails_the_run():
    with pytest.raises(AudioError, match="not the sound that went in"):
        latency(Faults(deaf=True))


def test_a_session_that_ends_before_its_time_fails_the_run():
    with pytest.raises(MienError, match="ended"):
        latency(Faults(ends_after=50))


def test_lookahead_runs_all_of_them():
    engine = StrawEngine()
    report = engine.run(lambda: scenarios.lookahead(engine.session, settings(seconds=3), engine.clock))
    assert list(report["runs"]) == ["0", "3", "6", "9", "12", "18"]
    for frames, run in report["runs"].items():
        expected = 40 + int(frames) * 1000 / 60
        assert run["budget_ms"] == pytest.approx(expected, abs=0.01)
        assert run["mouth_to_frame_ms"]["p99"] == pytest.approx(expected, abs=0.1)
    assert sorted({opened["lookahead"] for opened in engine.opened}) == [0, 3, 6, 9, 12, 18]


def test_throughput_counts_those_that_were_admitted():
    engine = StrawEngine(capacity=3, faults=Faults(repeated={200}))
    report = engine.run(lambda: throughput.throughput(engine.session, settings(fps=25, warmup_s=2), engine.clock))
    assert report["sessions_admitted"] == 3 and report["fps"] == 25
    assert "another would miss" in report["refusal"]
    # Each runs for 5 s at 25 fps after the refusal at 6 s; frame 200 of the first two, at 8 s and 10 s, lies in them.
    assert 370 <= report["frames"] <= 380 and report["missed_frames"] == 2
    # A picture shown again is 40 ms older than the sound that it is shown with.
    rows = report["sessions"]
    assert [row["missed_frames"] for row in rows.values()] == [1, 1, 0]
    assert [row["mouth_to_frame_ms"]["max"] for row in rows.values()] == pytest.approx([180, 180, 140], abs=0.1)
    assert report["beyond_budget_ms"]["max"] < 0.1


def test_throughput_without_any_session_is_an_error():
    engine = StrawEngine(capacity=0)
    with pytest.raises(CapacityError):
        engine.run(lambda: throughput.throughput(engine.session, settings(), engine.clock))


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


def pushed_report(**renderer_faults) -> dict:
    """The scenario on the live engine with a renderer of straw."""
    stage = Stage(compute_ms=10.0)

    def renderer(avatar) -> ProbeRenderer:
        made = FakeRenderer(stage.clock)
        for name, value in renderer_faults.items():
            setattr(made, name, value)
        return ProbeRenderer(made)

    async def main() -> dict:
        async with stage.engine(renderer_factory=renderer) as engine:
            return await pushed.pushed(
                lambda **options: engine.session(avatar=AVATAR, **options), settings(seconds=8.0), stage.clock
            )

    return stage.clock.run(main())


def test_pushed_speech_is_answered_and_broken_off():
    report = pushed_report()
    assert report["utterances"] == report["answered"] >= 4 and report["interrupted"] == report["rested"] >= 3
    # Up to a frame of 60 Hz to the next place for a picture, and the latency of pushed speech.
    assert report["budget_ms"] == 16.0
    assert 14 <= report["first_frame_ms"]["p50"] <= report["first_frame_ms"]["max"] <= 14 + 17
    assert report["lips_ms"]["p50"] >= report["first_frame_ms"]["p50"]
    # At 30 fps the next frame is up to 33 ms away.
    assert report["mouth_at_rest_ms"]["max"] <= 14 + 34
    assert report["queues_empty_ms"]["max"] == 0 and report["missed_frames"] == 0
    # The fade of 5 ms lies in the next block of sound.
    assert report["sound_after_ms"]["max"] <= 20
    json.dumps(report, allow_nan=False)


def test_pushed_speech_without_a_picture_in_time_fails_the_run():
    with pytest.raises(MienError, match="answered"):
        pushed_report(ms=60.0)


def test_settings_that_measure_nothing_are_refused():
    for options in ({"seconds": 2}, {"warmup_s": -1}, {"syllables": 1}):
        with pytest.raises(ConfigError):
            settings(**options)
    with pytest.raises(ConfigError, match="silent"):
        Settings(np.zeros(16_000, np.float32))
