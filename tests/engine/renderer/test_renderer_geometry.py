import numpy as np
import pytest

from engine.renderer.geometry import HeadMotion, at_depth, fine_positions, node_pixels, smoothstep, thin_plate
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


def test_fine_positions_are_the_nodes_where_nothing_moved():
    there = fine_positions(np.zeros((64, 64), np.complex64))
    assert there.shape == (130, 130)
    assert there[0, 0] == -2.5 - 2.5j
    assert there[1, 3] == 9.5 + 1.5j


def test_a_window_of_the_positions_is_a_part_of_them():
    rng = np.random.default_rng(5)
    moved = (rng.normal(0, 3, (64, 64)) + 1j * rng.normal(0, 3, (64, 64))).astype(np.complex64)
    whole = fine_positions(moved)
    for rows, columns in (((0, 30), (100, 130)), ((41, 64), (17, 40)), ((90, 130), (3, 9))):
        window = slice(*rows), slice(*columns)
        assert np.abs(fine_positions(moved, window) - whole[window]).max() < 1e-3


def test_a_head_that_goes_aside_comes_from_the_other_side(person):
    head = HeadMotion(person)
    aside = head.backward(np.array([0, 0, 0, 0.1, 0, 0], np.float32), np.zeros(6, np.float32))
    # The camera sees a face unit as 120 px at the depth of the face; the background far above stays.
    assert aside[26, 32].real == pytest.approx(-0.1 * 120, abs=1.5)
    assert abs(aside[26, 32].imag) < 0.5
    assert abs(aside[0, 32]) < 1
    assert np.abs(head.backward(np.zeros(6, np.float32), None)).max() < 1e-3
