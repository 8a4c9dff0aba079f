"""The crop: face in its place, the photo used as far as it reaches, pixels where they belong."""

import numpy as np
import pytest

from engine.portrait.crop import FACE_CENTRE, FACE_SHARE, MAX_SHIFT, MAX_ZOOM, Crop, plan_crop
from engine.portrait.face_landmarks import Face
from engine.portrait.geometry import canonical68


def face(unit: float, x: float, y: float, tilt_deg: float = 0.0) -> Face:
    """A face whose eyes are ``unit`` px apart, its middle at (x, y)."""
    flat = canonical68()[:, :2] * unit
    angle = np.radians(tilt_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (flat - flat.mean(0)) @ turn.T + [x, y]
    return Face(np.zeros((478, 3), np.float32), points.astype(np.float32), 1.0)


def placed(crop: Crop, found: Face) -> np.ndarray:
    return found.points68 @ crop.matrix[:, :2].T + crop.matrix[:, 2]


def brow_to_chin(points: np.ndarray) -> float:
    return float(points[8, 1] - points[[19, 24], 1].mean())


def test_a_roomy_photo_gets_the_usual_crop() -> None:
    found = face(200, 900, 800)
    points = placed(plan_crop(found, 1800, 2400), found)
    assert brow_to_chin(points) == pytest.approx(FACE_SHARE * 512, rel=0.01)
    assert points[:, 0].mean() == pytest.approx(FACE_CENTRE[0] * 512, abs=2)
    crop = plan_crop(found, 1800, 2400)
    assert crop.covered(1800, 2400).all()


def test_a_tight_photo_is_zoomed_and_shifted_within_limits() -> None:
    found = face(200, 260, 300)
    crop = plan_crop(found, 500, 600)
    points = placed(crop, found)
    assert FACE_SHARE * 512 * 1.05 < brow_to_chin(points) <= FACE_SHARE * 512 * MAX_ZOOM * 1.01
    assert abs(points[:, 0].mean() - FACE_CENTRE[0] * 512) <= MAX_SHIFT * 512 + 1
    assert crop.covered(500, 600).mean() > 0.97


def test_a_tilted_head_is_put_upright_and_a_slight_tilt_is_not() -> None:
    for tilt, left in ((20.0, 0.0), (4.0, 4.0)):
        found = face(150, 1000, 1000, tilt)
        points = placed(plan_crop(found, 2000, 2000), found)
        across = points[42:48].mean(0) - points[36:42].mean(0)
        assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(left, abs=0.5)


@pytest.mark.parametrize("scale", [0.2, 0.37, 0.5, 0.8, 1.0, 2.5])
def test_picture_and_points_agree_to_a_fraction_of_a_pixel(scale: float) -> None:
    x, y = 431.3, 377.8
    yy, xx = np.mgrid[:1000, :1000]
    blob = (250 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * (8 / min(scale, 1)) ** 2))).astype(np.uint8)
    shift = np.array([256 - scale * x + 3.3, 256 - scale * y - 2])
    crop = Crop(np.column_stack([np.eye(2) * scale, shift]), scale)
    mass = crop.picture(blob).astype(float)
    mass[mass < 4] = 0
    rows, columns = np.mgrid[:512, :512]
    centre = np.array([(mass * columns).sum(), (mass * rows).sum()]) / mass.sum()
    wanted = crop.points(np.array([[x, y, 10]], np.float32))[0]
    assert centre == pytest.approx(wanted[:2], abs=0.1)
    assert wanted[2] == pytest.approx(10 * scale, rel=1e-5)
