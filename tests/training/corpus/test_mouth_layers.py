import numpy as np
import pytest

from training.corpus.mouth_layers import Mesh, box_blur, occlusion, rasterise, select


def triangle(z):
    points = np.array([[0.0, 0.0, z], [4.0, 0.0, z], [0.0, 4.0, z]])
    return points, np.array([[0, 1, 2]]), np.array([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])


def test_the_nearer_surface_is_seen():
    near, far = triangle(-1.0), triangle(2.0)
    points = np.concatenate([far[0], near[0]])
    triangles = np.concatenate([far[1], near[1] + 3])
    mesh = Mesh(points, triangles, np.concatenate([far[2], near[2]]), np.zeros((6, 3), np.int64))
    depth, uv, normal = rasterise(mesh, np.zeros(2), 5, 5, 1.0)
    assert depth[0, 0] == -1
    assert depth[1, 1] == -1
    assert np.isinf(depth[4, 4])
    assert uv[0, 1] == pytest.approx([1.5 / 4, 0.5 / 4])
    assert normal[0, 0].tolist() == [0, 0, -1]


def test_select_keeps_whole_triangles():
    points = np.zeros((4, 3))
    mesh = Mesh(points, np.array([[0, 1, 2], [1, 2, 3]]), np.zeros((2, 3, 2)), np.zeros((4, 3), np.int64))
    assert select(mesh, np.array([True, True, True, False])).triangles.tolist() == [[0, 1, 2]]


def test_box_blur_is_a_mean():
    image = np.arange(49.0).reshape(7, 7)
    assert box_blur(image, 1)[3, 3] == pytest.approx(image[2:5, 2:5].mean())
    assert box_blur(np.full((5, 6), 2.0), 2) == pytest.approx(2.0)


def test_a_hollow_is_darker_than_its_rim():
    depth = np.zeros((30, 30))
    depth[12:18, 12:18] = 0.2
    shade = occlusion(depth, (4,), 0.1)
    assert shade[15, 15] < 0.5
    assert shade[2, 2] == pytest.approx(1.0, abs=1e-9)
