import numpy as np
import pytest

from engine.renderer.geometry import at_depth, invert, node_pixels, smoothstep, thin_plate
from engine.renderer.pixels import remap
from engine.rotation import rotation_matrix


def test_rotation_is_right_handed():
    assert rotation_matrix(np.array([0, 0, np.pi / 2])) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert rotation_matrix(np.array([0, np.pi / 2, 0])) @ [0, 0, 1] == pytest.approx([1, 0, 0])
    assert np.array_equal(rotation_matrix(np.zeros(3)), np.eye(3))


def test_smoothstep_is_level_at_its_ends():
    assert smoothstep(np.array([-1, 0, 0.5, 1, 2])).tolist() == [0, 0, 0.5, 1, 1]


def test_nodes_lie_where_enlarging_puts_them():
    assert node_pixels()[0, 1].tolist() == [5.5, 1.5]
    assert node_pixels(8)[2, 0].tolist() == [3.5, 19.5]


def test_back_projection_hits_pixel_and_depth(person):
    pixels = np.array([[100.0, 300.0], [256.0, 210.0]])
    points = at_depth(person.camera, pixels, np.array([-0.5, -1.0]))
    assert points[:, 2].tolist() == [-0.5, -1.0]
    assert person.project(points) == pytest.approx(pixels, abs=1e-3)


def test_thin_plate_interpolates_and_keeps_affine_maps():
    rng = np.random.default_rng(3)
    controls, where = rng.uniform(0, 100, (20, 2)), rng.uniform(0, 100, (30, 2))
    values = rng.normal(size=20)
    assert thin_plate(controls, controls) @ values == pytest.approx(values, abs=1e-6)
    plane = controls @ [0.5, -2] + 3
    assert thin_plate(controls, where) @ plane == pytest.approx(where @ [0.5, -2] + 3, abs=1e-6)


def test_going_back_and_forth_is_standing_still():
    nodes = node_pixels()[:64, :64]
    away = (nodes - 128) / 40
    bump = 14 * np.exp(-(away**2).sum(-1, keepdims=True))
    forward = (bump * np.array([0.6, 1.0])).astype(np.float32)
    back = invert(forward)
    source = (nodes + back - 1.5) / 4
    assert np.abs(back + remap(forward, source)).max() < 0.06


def test_no_motion_has_no_inverse_motion():
    assert not invert(np.zeros((20, 30, 2), np.float32)).any()
