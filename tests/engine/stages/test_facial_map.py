import numpy as np
import pytest

from engine.errors import ConfigError
from engine.stages.facial_map import GROUPS, FacialMap

CAMERA = np.array([[100, 0, 0, 256], [0, 100, 0, 256], [0, 0, 0, 1]], np.float32)
FAR = np.array([-20.0, -20.0, 0.0])


def landmarks(**points):
    result = np.tile(FAR, (68, 1)).astype(np.float32)
    for name, place in points.items():
        result[int(name[1:])] = place
    return result


def test_the_groups_hold_every_landmark_once():
    assert len(GROUPS) == 8
    seen = [index for group in GROUPS for line, _ in group for index in line]
    assert sorted(seen) == list(range(68))


def test_a_line_lies_where_the_camera_puts_it():
    points = landmarks()
    # A bridge of the nose from (206, 286) to (306, 286) px; everything else far outside.
    points[27:31] = [[-0.5, 0.3, 0], [-0.2, 0.3, 0], [0.1, 0.3, 0], [0.5, 0.3, 0]]
    drawn = FacialMap(CAMERA).draw(points)
    assert drawn.shape == (512, 512)
    assert drawn.dtype == np.uint8
    assert (drawn[286, 207:305] > 200).all()
    assert not drawn[:283].any()
    assert not drawn[290:].any()
    assert not drawn[:, :202].any()
    assert not drawn[:, 311:].any()
    assert drawn[:, 250].astype(int).sum() / 255 == pytest.approx(3.4, abs=0.3)


def test_the_camera_divides_by_depth():
    camera = np.array([[100, 0, 256, 256], [0, 100, 256, 256], [0, 0, 1, 1]], np.float32)
    points = landmarks()
    points[:, 2] = 1.0
    points[27:31] = [[-1.0, 0.6, 1], [-0.4, 0.6, 1], [0.2, 0.6, 1], [1.0, 0.6, 1]]
    assert (FacialMap(camera).draw(points)[286, 207:305] > 200).all()


@pytest.mark.parametrize(("first", "closed"), [(17, False), (36, True), (60, True)])
def test_eyes_and_lips_are_closed_and_brows_are_not(first, closed):
    count = {17: 5, 36: 6, 60: 8}[first]
    angle = np.linspace(0, 1.5 * np.pi, count)
    points = landmarks()
    points[first : first + count, :2] = np.stack([np.cos(angle), np.sin(angle)], -1)
    points[first : first + count, 2] = 0
    drawn = FacialMap(CAMERA).draw(points)
    # Half-way between the last point, (256, 156), and the first, (356, 256).
    assert bool(drawn[206, 306]) == closed


def test_a_sub_pixel_step_shows():
    points = landmarks()
    points[27:31] = [[-0.5, 0.3, 0], [-0.2, 0.3, 0], [0.1, 0.3, 0], [0.5, 0.3, 0]]
    shifted = points.copy()
    shifted[27:31, 1] += 0.005
    one, other = (FacialMap(CAMERA).draw(p).astype(int) for p in (points, shifted))
    assert (one != other).any()
    assert np.abs(one - other)[:, 250].sum() < 400


def test_points_outside_are_no_error():
    points = landmarks()
    points[:17] = np.linspace([-1e6, 0, 0], [1e6, 0, 0], 17)
    FacialMap(CAMERA).draw(points)


@pytest.mark.parametrize("wrong", [np.zeros((68, 2)), np.zeros((67, 3)), np.full((68, 3), np.inf)])
def test_wrong_landmarks_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"\(68, 3\)"):
        FacialMap(CAMERA).draw(wrong)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.full((3, 4), np.nan)])
def test_a_wrong_camera_is_refused(wrong):
    with pytest.raises(ConfigError, match="3x4"):
        FacialMap(wrong)
