from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_fakes import FakeMotion

from streaming.retiming import Retimer, frame_count, nearest_count


def ramp(frames: int) -> list[FakeMotion]:
    """Motion whose value is its own time in frames."""
    return [
        FakeMotion(
            np.full((68, 3), n, np.float32),
            np.full(6, -n, np.float32),
            np.full(2, 2 * n, np.float32),
            np.full(6, 3 * n, np.float32),
        )
        for n in range(frames)
    ]


@pytest.mark.parametrize("fps", [60, 30, 25])
def test_each_frame_shows_its_own_moment(fps: int) -> None:
    retimer = Retimer(fps)
    frames = [frame for motion in ramp(121) for frame in retimer.push(motion)]
    assert len(frames) == 2 * fps + 1
    for index, (landmarks, pose, gaze, torso) in enumerate(frames):
        moment = 60 * index / fps
        np.testing.assert_allclose(landmarks, moment, atol=1e-4)
        np.testing.assert_allclose(pose, -moment, atol=1e-4)
        np.testing.assert_allclose(gaze, 2 * moment, atol=1e-4)
        np.testing.assert_allclose(torso, 3 * moment, atol=1e-4)
        assert landmarks.dtype == pose.dtype == gaze.dtype == np.float32


@pytest.mark.parametrize("fps", [60, 30, 25])
def test_a_frame_waits_for_no_motion_beyond_its_own(fps: int) -> None:
    retimer = Retimer(fps)
    given_after = [sum(1 for _ in retimer.push(motion)) for motion in ramp(61)]
    for index in range(fps + 1):
        needed = -(-60 * index // fps)
        assert sum(given_after[: needed + 1]) > index
        assert sum(given_after[:needed]) <= index


@given(ticks=st.integers(0, 10**9), fps=st.sampled_from([60, 30, 25]))
def test_the_video_is_as_long_as_the_sound_to_half_a_frame(ticks: int, fps: int) -> None:
    frames = frame_count(ticks, fps)
    assert frames >= 1
    if frames > 1:
        assert abs(Fraction(frames, fps) - Fraction(ticks, 48_000)) <= Fraction(1, 2 * fps)
    assert nearest_count(ticks, fps) <= nearest_count(ticks + 1, fps)
