"""Camera and template: exact where they can be exact, and close to the truth on heads whose truth is known."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PortraitError
from engine.portrait.face_mesh import IBUG_INDEX
from engine.portrait.geometry import FOCAL_PX, MIRROR, canonical68, eye_opening, fit_head
from engine.portrait.rest import REST_WIDTH, TEETH_GAP, bring_to_rest, mouth_gap
from models.spec import EYE_MIDPOINT, INNER_LIP_PAIRS, OUTER_EYE_CORNERS

PAIRS = np.array(INNER_LIP_PAIRS)


def closed_head() -> np.ndarray:
    """The canonical head with lips that meet exactly."""
    return bring_to_rest(canonical68())


def mesh_of(head: np.ndarray, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """A mesh (478, 3) px of a head (68, 3) seen by the fitter's own camera, depth as the network gives it."""
    rotation = np.eye(3)
    for axis, degrees in ((2, roll), (1, -yaw), (0, pitch)):
        vector = np.zeros(3)
        vector[axis] = np.radians(degrees)
        rotation = rotation @ cv2.Rodrigues(vector)[0]
    seen = head @ rotation.T + [0.1, 0.2, 12.0]
    mesh = np.zeros((478, 3), np.float32)
    mesh[IBUG_INDEX, :2] = seen[:, :2] / seen[:, 2:] * FOCAL_PX + 256
    mesh[IBUG_INDEX, 2] = (seen[:, 2] - 11) * FOCAL_PX / 12
    return mesh


def project(camera: np.ndarray, points: np.ndarray) -> np.ndarray:
    homogeneous = points @ camera[:, :3].T + camera[:, 3]
    return homogeneous[:, :2] / homogeneous[:, 2:]


@settings(max_examples=30, deadline=None)
@given(st.floats(-30, 30), st.floats(-20, 20), st.floats(-15, 15), st.integers(0, 2**31), st.sampled_from([0.0, 0.02]))
def test_the_template_projects_onto_the_measured_points(
    yaw: float, pitch: float, roll: float, seed: int, noise: float
) -> None:
    head = closed_head()
    # Each side of the lips gets the same noise, so that the mouth stays closed.
    moved = head + np.random.default_rng(seed).normal(0, noise, head.shape)
    moved[PAIRS[:, 1]] = moved[PAIRS[:, 0]]
    mesh = mesh_of(moved, yaw, pitch, roll)
    fit = fit_head(mesh)
    error = np.linalg.norm(project(fit.camera, fit.template) - mesh[IBUG_INDEX, :2], axis=1)
    assert error[:48].max() < 0.01
    # Lips: the smile's threshold may take a little of a random mouth back.
    assert np.median(error[48:]) < 2.0


def test_a_closed_neutral_mouth_is_left_where_it_is() -> None:
    mesh = mesh_of(closed_head(), 12, -5, 3)
    fit = fit_head(mesh)
    error = np.linalg.norm(project(fit.camera, fit.template) - mesh[IBUG_INDEX, :2], axis=1)
    assert error.max() < 0.1


@settings(max_examples=20, deadline=None)
@given(st.floats(-30, 30), st.floats(-20, 20), st.floats(-20, 20))
def test_the_convention_holds(yaw: float, pitch: float, roll: float) -> None:
    template = fit_head(mesh_of(closed_head(), yaw, pitch, roll)).template
    right, left = template[list(OUTER_EYE_CORNERS)]
    assert np.linalg.norm(left - right) == pytest.approx(1, abs=1e-5)
    assert (left + right) / 2 == pytest.approx(EYE_MIDPOINT, abs=1e-5)
    assert left[0] > right[0]
    assert right[1] == pytest.approx(left[1], abs=1e-4)
    assert template[8, 1] > template[30, 1] > template[27, 1]
    # Depth is symmetric, and the nose is nearest.
    assert np.abs(template[:, 2] - template[MIRROR, 2]).max() < 1e-4
    assert template[:, 2].argmin() in (29, 30, 33)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (25, 0, 0), (-25, 5, 0), (0, 18, 0), (5, -15, 8)])
def test_pose_and_shape_of_a_known_head_are_found(yaw: float, pitch: float, roll: float) -> None:
    fit = fit_head(mesh_of(closed_head(), yaw, pitch, roll))
    assert (fit.yaw_deg, fit.pitch_deg, fit.roll_deg) == pytest.approx((yaw, pitch, roll), abs=2.5)
    assert np.abs(fit.template - closed_head()).max() < 0.04


def test_the_camera_is_a_camera() -> None:
    camera = fit_head(mesh_of(closed_head(), 10)).camera
    assert camera.dtype == np.float32
    depth = canonical68() @ camera[2, :3] + camera[2, 3]
    assert (depth > 0).all()
    # A head that comes nearer grows.
    near, far = (project(camera, canonical68() + np.array([0, 0, z])) for z in (-1, 1))
    assert np.ptp(near, axis=0).min() > np.ptp(far, axis=0).min()


@pytest.mark.parametrize(("yaw", "pitch", "says"), [(60, 0, "to the side"), (-55, 0, "side"), (0, 50, "up or down")])
def test_a_face_that_is_turned_away_is_refused(yaw: float, pitch: float, says: str) -> None:
    with pytest.raises(PortraitError, match=says):
        fit_head(mesh_of(closed_head(), yaw, pitch))


@pytest.mark.parametrize("gap", [0.03, 0.1, 0.3])
def test_an_open_mouth_is_closed(gap: float) -> None:
    opened = closed_head()
    opened[PAIRS[:, 1], 1] += gap
    opened[55:60, 1] += gap
    rest = bring_to_rest(opened)
    assert np.abs(rest[PAIRS[:, 1], 1] - rest[PAIRS[:, 0], 1]).max() < 1e-9
    # Each lip keeps its thickness, and the upper lip goes the smaller part of the way.
    assert rest[57, 1] - rest[66, 1] == pytest.approx(opened[57, 1] - opened[66, 1], abs=0.02)
    assert 0 < rest[62, 1] - opened[62, 1] < opened[66, 1] - rest[66, 1]
    assert rest[8, 1] - opened[8, 1] == pytest.approx(-max(0, gap - TEETH_GAP), abs=0.01)
    assert np.array_equal(rest[17:48], opened[17:48])


def test_a_smile_is_taken_back_and_a_neutral_mouth_is_not() -> None:
    smile = closed_head()
    middle = smile[[62, 66]].mean(0)
    smile[48:, 0] = middle[0] + (smile[48:, 0] - middle[0]) * 0.85 / np.ptp(smile[48:, 0])
    smile[[48, 54, 60, 64], 1] -= 0.15
    rest = bring_to_rest(smile)
    width = rest[54, 0] - rest[48, 0]
    assert REST_WIDTH <= width < 0.75
    assert rest[[48, 54], 1].mean() > smile[[48, 54], 1].mean() + 0.05
    assert mouth_gap(rest) == pytest.approx(0, abs=1e-9)
    assert np.array_equal(bring_to_rest(closed_head()), closed_head())


def test_resting_does_not_change_what_it_is_given() -> None:
    template = canonical68().copy()
    before = template.copy()
    bring_to_rest(template)
    assert np.array_equal(template, before)


def test_canonical_head_is_in_the_convention() -> None:
    head = canonical68()
    assert head.shape == (68, 3)
    assert not head.flags.writeable
    assert np.abs(head[MIRROR] * [-1, 1, 1] - head).max() < 1e-3
    assert (head[36] + head[45]) / 2 == pytest.approx(EYE_MIDPOINT, abs=1e-3)
    assert np.array_equal(MIRROR[MIRROR], np.arange(68))


def test_eye_opening() -> None:
    points = canonical68()[:, :2] * 100
    assert 0.2 < eye_opening(points) < 0.4
    shut = points.copy()
    shut[[37, 38, 43, 44]] = shut[[41, 40, 47, 46]]
    assert eye_opening(shut) < 0.01
