import pytest

from engine.calibration import calibrate
from engine.clock import NS_PER_MS, VirtualClock
from tests.engine.session_fakes import FakePipeline, FakeRenderer, InlineLane


@pytest.mark.parametrize("fps", [60, 30, 25, 20])
def test_frames_are_paced_and_each_is_measured(fps: int) -> None:
    clock = VirtualClock()
    pipeline, renderer, lane = FakePipeline(6), FakeRenderer(clock, 6.0), InlineLane(clock, 2.0)
    measured = clock.run(calibrate(clock, lane, pipeline, renderer, fps))
    # A chunk of 20 ms may complete two frames of 60 fps: the second waits for the motion of the first.
    assert len(measured.compute_ms) == 2 * fps and set(measured.compute_ms) == ({8.0, 10.0} if fps == 60 else {8.0})
    # For each frame 2 ms of motion and 6 of drawing, and 2 for each chunk's rest.
    assert measured.busy_share == pytest.approx(0.008 * fps + 0.002 * 50)
    assert measured.motion_ms == pytest.approx(2.0 * (fps + 50) / 60)
    assert clock.now_ns() == pytest.approx(2000 * NS_PER_MS, rel=0.05)
    assert pipeline.heard == list(range(len(pipeline.heard))) and renderer.drawn == 2 * fps + renderer.workers


@pytest.mark.parametrize("fps", [60, 30, 20])
def test_pushed_speech_is_heard_a_motion_frame_at_a_time(fps: int) -> None:
    clock = VirtualClock()
    pipeline, renderer, lane = FakePipeline(4), FakeRenderer(clock, 6.0), InlineLane(clock, 2.0)
    measured = clock.run(calibrate(clock, lane, pipeline, renderer, fps, chunk_ticks=800))
    assert len(measured.compute_ms) == 2 * fps and set(measured.compute_ms) == {8.0}


def test_the_slow_frames_are_seen() -> None:
    clock = VirtualClock()
    renderer = FakeRenderer(clock, 5.0)
    renderer.slow = lambda number: 40.0 if number == 30 else 5.0
    measured = clock.run(calibrate(clock, InlineLane(clock), FakePipeline(), renderer, 30))
    assert max(measured.compute_ms) == 40.0 and measured.needed_ms == 56.0
