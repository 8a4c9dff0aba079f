import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rotation import rotation_matrix
from engine.stages.geometry import (
    LOWER_LIDS,
    UPPER_LIDS,
    Geometry,
    GeometryInput,
)
from models.spec import EYES, INNER_LIP_PAIRS, MOTION_POINTS, MOUTH
from tests.bundles import face_template, random_completion

STILL = np.zeros(6, np.float32)
REST = np.zeros((41, 3), np.float32)
UPPER, LOWER = np.array(INNER_LIP_PAIRS).T
TEMPLATE = face_template()
GEOMETRY = Geometry(TEMPLATE, random_completion())


def shape(displacement=REST, openness=1.0, closure=0.0, pose=STILL, geometry=GEOMETRY):
    face, _ = geometry.step(GeometryInput(displacement, openness, closure, pose), geometry.init_state())
    assert face.landmarks.dtype == face.displacement.dtype == np.float32
    assert face.landmarks.shape == face.displacement.shape == (68, 3)
    return face


def mouth_motion(values: dict[int, float]) -> np.ndarray:
    motion = REST.copy()
    for point, down in values.items():
        motion[point - 27, 1] = down
    return motion


def test_rest_is_the_template():
    np.testing.assert_allclose(shape().landmarks, TEMPLATE, atol=1e-7)


@pytest.mark.parametrize("gap", [0.0, 0.004, 0.02])
def test_sealing_leaves_the_rest_of_lips_that_are_apart(gap):
    template = TEMPLATE.copy()
    template[LOWER, 1] += np.float32(gap)
    face = shape(geometry=Geometry(template, random_completion()))
    np.testing.assert_allclose(face.landmarks, template, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.5), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_lips_never_cross(seed, size, openness):
    displacement = np.random.default_rng(seed).normal(0, size, (41, 3)).astype(np.float32)
    points = TEMPLATE + shape(displacement, openness).displacement
    assert (points[LOWER, 1] >= points[UPPER, 1] - 1e-6).all()


def test_lips_touch_and_open():
    pressed = TEMPLATE + shape(mouth_motion({62: 0.03, 66: -0.03})).displacement
    assert pressed[66, 1] == pytest.approx(pressed[62, 1], abs=1e-6)
    wide = TEMPLATE + shape(mouth_motion({66: 0.2})).displacement
    assert wide[66, 1] - wide[62, 1] == pytest.approx(0.2, abs=1e-6)


def test_opening_is_smooth_near_contact():
    template = TEMPLATE.copy()
    template[LOWER, 1] += np.float32(0.02)
    geometry = Geometry(template, random_completion())
    gaps = []
    for down in np.linspace(-0.04, 0.04, 161):
        points = template + shape(mouth_motion({66: down}), geometry=geometry).displacement
        gaps.append(points[66, 1] - points[62, 1])
    steps = np.diff(gaps)
    assert steps.min() >= -1e-6 and np.abs(np.diff(steps)).max() < 1e-4


def test_silence_brings_the_mouth_to_rest_but_not_the_eyes():
    displacement = np.full((41, 3), 0.02, np.float32)
    face = shape(displacement, openness=0.0).displacement
    assert not face[MOUTH].any()
    np.testing.assert_allclose(face[EYES], 0.02, atol=1e-6)
    half = shape(displacement, openness=0.5).displacement
    np.testing.assert_allclose(half[MOUTH][:12], 0.01, atol=1e-6)


def test_completion_moves_the_chin_and_leaves_the_network_its_points():
    motion = mouth_motion({57: 0.1})
    face = shape(motion).displacement
    assert face[8, 1] == pytest.approx(0.09)
    rng = np.random.default_rng(0)
    geometry = Geometry(TEMPLATE, rng.normal(0, 1, (204, 123)).astype(np.float32))
    displacement = np.zeros((41, 3), np.float32)
    displacement[0] = 0.05
    moved = shape(displacement, geometry=geometry).displacement
    np.testing.assert_allclose(moved[MOTION_POINTS][0], 0.05, atol=1e-6)


def test_lids_meet_on_the_persons_eye_below_its_middle():
    points = TEMPLATE + shape(closure=1.0).displacement
    np.testing.assert_allclose(points[UPPER_LIDS], points[LOWER_LIDS], atol=1e-6)
    middle = (TEMPLATE[UPPER_LIDS, 1] + TEMPLATE[LOWER_LIDS, 1]) / 2
    assert (points[UPPER_LIDS, 1] > middle).all() and (points[UPPER_LIDS, 1] < TEMPLATE[LOWER_LIDS, 1]).all()
    others = np.setdiff1d(np.arange(68), [*UPPER_LIDS, *LOWER_LIDS])
    np.testing.assert_array_equal(points[others], TEMPLATE[others])


def test_lids_close_steadily_and_widen_a_little():
    openings = []
    for closure in (-0.15, 0, 0.25, 0.5, 1.0):
        points = TEMPLATE + shape(closure=closure).displacement
        openings.append(points[41, 1] - points[37, 1])
    assert (np.diff(openings) < 0).all() and openings[0] < 1.2 * openings[1]


def test_pose_turns_about_the_origin_and_keeps_distances():
    pose = np.array([0.1, -0.2, 0.05, 0.01, -0.02, 0.03], np.float32)
    posed = shape(pose=pose).landmarks
    np.testing.assert_allclose(posed - pose[3:], TEMPLATE @ rotation_matrix(pose[:3]).T, atol=1e-6)
    distance = np.linalg.norm(posed[:, None] - posed[None], axis=2)
    np.testing.assert_allclose(distance, np.linalg.norm(TEMPLATE[:, None] - TEMPLATE[None], axis=2), atol=1e-5)


def test_rotation_matrix():
    np.testing.assert_allclose(rotation_matrix(np.zeros(3)), np.eye(3))
    quarter = rotation_matrix(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-6)
    for vector in ([1e-9, 0, 0], [1e-3, 2e-3, -1e-3], [1, 2, 3]):
        matrix = rotation_matrix(np.array(vector)).astype(float)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-6)
    # Positive about y turns a face, which looks along -z, to the picture's left.
    assert (rotation_matrix(np.array([0, 0.2, 0])) @ [0, 0, -1])[0] < 0
