import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.controls import _RANGES, BLEND_TICKS, REST_TICKS, Controls, FaceShaper, between
from engine.errors import ConfigError
from engine.stages.geometry import LOWER_LIDS, UPPER_LIDS, Geometry, GeometryInput, GeometryState
from tests.bundles import face_template, random_completion
from tests.engine.session_fakes import LIP, motion

TEMPLATE = face_template()
POSE = np.array([0.1, -0.2, 0.05, 0.01, 0.02, 0.03], np.float32)


def shaper(**controls: float) -> FaceShaper:
    return FaceShaper(TEMPLATE, Controls(**controls))


def lip(face) -> float:
    return float(face.landmarks[LIP, 1] - TEMPLATE[LIP, 1])


def blinking(closure: float):
    """Motion with lids shut as the pipeline shuts them."""
    geometry = Geometry(TEMPLATE, random_completion())
    x = GeometryInput(np.zeros((41, 3), np.float32), 1.0, closure, np.zeros(6, np.float32))
    shape, _ = geometry.step(x, GeometryState())
    return motion(0, displacement=shape.displacement, landmarks=shape.landmarks, closure=closure)


def eye_gap(face) -> float:
    return float((face.landmarks[LOWER_LIDS, 1] - face.landmarks[UPPER_LIDS, 1]).mean())


def test_left_alone_it_is_the_pipelines_face() -> None:
    geometry = Geometry(TEMPLATE, random_completion())
    x = GeometryInput(np.random.default_rng(0).normal(0, 0.02, (41, 3)).astype(np.float32), 1.0, 0.7, POSE)
    shape, _ = geometry.step(x, GeometryState())
    frame = motion(0, displacement=shape.displacement, landmarks=shape.landmarks, pose=POSE, closure=0.7)
    face = shaper().step(frame, 0, Controls())
    np.testing.assert_allclose(face.landmarks, shape.landmarks, atol=1e-6)
    np.testing.assert_array_equal(face.pose, POSE)
    np.testing.assert_array_equal(face.gaze, frame.gaze)


def test_controls_are_approached_smoothly_and_reached() -> None:
    ours, target = shaper(), Controls(head_yaw=0.3, gaze_pitch=0.2)
    yaws = [ours.step(motion(n), n * 800, target).pose[1] for n in range(60)]
    assert np.diff([0, *yaws]).max() < 0.04, "no jump"
    assert yaws[0] < 0.01 and yaws[-1] == np.float32(0.3)
    assert all(b >= a for a, b in itertools.pairwise(yaws))


def test_the_speed_does_not_depend_on_the_frame_rate() -> None:
    slow, fast, target = shaper(), shaper(), Controls(head_roll=0.2)
    for n in range(0, 31):
        at_60 = fast.step(motion(n), n * 800, target).pose[2]
        if n % 3 == 0:
            at_20 = slow.step(motion(n), n * 800, target).pose[2]
    assert at_60 == pytest.approx(at_20, abs=0.012)


def test_eyes_stay_on_what_they_look_at_while_the_head_is_turned() -> None:
    face = shaper(head_yaw=0.2, head_pitch=0.1).step(motion(0), 0, Controls(head_yaw=0.2, head_pitch=0.1))
    np.testing.assert_allclose(face.gaze, [0.2, -0.1], atol=1e-6)


def test_head_motion_scales_pose_and_shoulders() -> None:
    frame = motion(0, pose=POSE, torso=POSE / 2)
    still = shaper(head_motion=0.0).step(frame, 0, Controls(head_motion=0.0))
    assert not still.pose.any() and not still.torso.any()
    np.testing.assert_allclose(still.landmarks, TEMPLATE, atol=1e-6)


@pytest.mark.parametrize("closure", [0.2, 0.5, 0.8, 1.0])
def test_without_blinks_the_eyes_stay_open(closure: float) -> None:
    ours, controls = shaper(blink=0.0), Controls(blink=0.0)
    opened = eye_gap(ours.step(blinking(0.0), 0, controls))
    assert eye_gap(ours.step(blinking(closure), 800, controls)) == pytest.approx(opened, rel=1e-3)
    assert eye_gap(shaper().step(blinking(1.0), 0, Controls())) == pytest.approx(0, abs=1e-6)


def test_half_a_blink_shuts_half() -> None:
    ours, controls = shaper(blink=0.5), Controls(blink=0.5)
    opened = eye_gap(ours.step(blinking(0.0), 0, controls))
    assert eye_gap(ours.step(blinking(1.0), 800, controls)) == pytest.approx(opened / 2, rel=1e-3)


def test_mouth_at_rest_leaves_the_eyes_alone() -> None:
    frame = blinking(0.5)
    frame.displacement[LIP, 1] = 0.3
    face = shaper(mouth=0.0).step(frame, 0, Controls(mouth=0.0))
    assert lip(face) == 0
    assert eye_gap(face) == pytest.approx(eye_gap(shaper().step(frame, 0, Controls())))


@pytest.mark.parametrize("period", [800, 1600, 1920, 2400])
def test_rest_comes_within_two_frames_and_lasts_until_resumed(period: int) -> None:
    ours = shaper()
    ours.step(motion(0, 0.5), 0, Controls())
    ours.rest()
    lips = [lip(ours.step(motion(n, 0.5), n * period, Controls())) for n in range(1, 9)]
    assert lips[0] < 0.5 and lips[1:] == [0.0] * 7 and REST_TICKS == 1600
    ours.resume(9 * period)
    after = [lip(ours.step(motion(n, 0.5), n * period, Controls())) for n in range(9, 20)]
    assert all(b >= a for a, b in itertools.pairwise(after)) and after[-1] == pytest.approx(0.5)


def test_a_blend_leads_from_the_last_face_to_the_next() -> None:
    ours = shaper()
    ours.step(motion(0, 0.5), 0, Controls())
    ours.blend()
    lips = [lip(ours.step(motion(n, 0.0), n * 800, Controls())) for n in range(1, 8)]
    assert all(b <= a for a, b in itertools.pairwise([0.5, *lips]))
    assert 0.3 < lips[0] < 0.5 and lips[BLEND_TICKS // 800 - 1] == 0


def test_motion_between_two_frames() -> None:
    half = between(motion(1, 0.2, pose=POSE * 0), motion(2, 0.4, pose=POSE, closure=0.5), 0.5)
    assert half.displacement[LIP, 1] == pytest.approx(0.3) and half.closure == 0.25
    np.testing.assert_allclose(half.pose, POSE / 2)


def test_what_cannot_be_is_refused() -> None:
    for name, (low, high) in _RANGES.items():
        Controls().changed(**{name: low}).changed(**{name: high})
        for wrong in (low - 0.01, high + 0.01, float("nan")):
            with pytest.raises(ConfigError, match=name):
                Controls().changed(**{name: wrong})
    with pytest.raises(ConfigError, match="no control 'nose'; there are gaze_yaw"):
        Controls().changed(nose=1.0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["step", "rest", "resume", "blend"]), st.floats(0, 1), st.floats(0, 1)), max_size=30
    )
)
def test_no_order_of_events_gives_a_broken_face(events: list[tuple[str, float, float]]) -> None:
    ours, ticks = shaper(), 0
    for kind, opening, closure in events:
        if kind == "rest":
            ours.rest()
        elif kind == "blend":
            ours.blend()
        elif kind == "resume":
            ours.resume(ticks)
        ticks += 800
        face = ours.step(motion(0, opening, closure=closure), ticks, Controls(blink=closure, mouth=opening))
        assert all(np.isfinite(part).all() and part.dtype == np.float32 for part in face)
