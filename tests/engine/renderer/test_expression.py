import numpy as np
import pytest

from engine.renderer.expression import Expression
from engine.renderer.lip_line import find_lip_line


@pytest.fixture(scope="module")
def lips(person):
    return find_lip_line(person, 120.0)


@pytest.fixture(scope="module")
def expression(person, lips):
    return Expression(person, lips, 120.0)


def both_sides(expression, displacement, points):
    """How far from ``points`` of the frame lies what they show, (2, N, 2) px: as of the upper and of the lower side."""
    before = np.asarray(points, np.float32)[None].copy().view(np.complex64)[..., 0]
    sides = expression.around_mouth(expression.forward(displacement), before)
    return np.stack([(side - before).view(np.float32).reshape(-1, 2) for side in sides])


def on_face(expression, displacement, points):
    before = np.asarray(points, np.float32)[None].copy().view(np.complex64)[..., 0]
    there = expression.on_face(expression.forward(displacement), before)
    return (there - before).view(np.float32).reshape(-1, 2)


def test_each_lip_moves_by_itself(person, expression):
    displacement = np.zeros((68, 2), np.float32)
    displacement[[55, 56, 57, 58, 59, 65, 66, 67], 1] = 12
    middle = person.source_points[62]
    upper, lower = both_sides(expression, displacement, [middle - [0, 1], middle + np.array([0, 13])])
    assert upper[0] == pytest.approx([0, 0], abs=0.6)
    assert lower[1] == pytest.approx([0, -12], abs=0.6)


def test_the_two_sides_are_one_beyond_the_corners(person, expression):
    displacement = np.zeros((68, 2), np.float32)
    displacement[[55, 56, 57, 58, 59, 65, 66, 67], 1] = 12
    beside = person.source_points[54] + [[8, -6], [8, 0], [8, 6], [20, 0]]
    upper, lower = both_sides(expression, displacement, beside)
    assert upper == pytest.approx(lower, abs=0.4)


def test_face_and_mouth_agree_around_the_mouth(person, expression):
    displacement = np.zeros((68, 2), np.float32)
    displacement[[55, 56, 57, 58, 59, 65, 66, 67], 1] = 10
    displacement[5:12, 1] = 8
    mouth = person.source_points[48:68]
    low, high = mouth.min(0) - 15, mouth.max(0) + np.array([15, 25])
    around = [[low[0], low[1]], [256, low[1]], [high[0], low[1]], [low[0], high[1]], [256, high[1]], [high[0], high[1]]]
    upper, lower = both_sides(expression, displacement, around)
    face = on_face(expression, displacement, around)
    assert face[:3] == pytest.approx(upper[:3], abs=0.4)
    assert face[3:] == pytest.approx(lower[3:], abs=0.4)


def test_expression_ends_at_the_edge_of_the_face(expression):
    displacement = np.random.default_rng(0).normal(0, 3, (68, 2)).astype(np.float32)
    field = expression.forward(displacement).face
    # The outermost of the nodes that were smoothed in lie half a node beyond the block.
    assert np.abs(field[[0, -1]]).max() < 0.02
    assert np.abs(field[:, [0, -1]]).max() < 0.02
    assert np.abs(on_face(expression, displacement, [[2.0, 2.0], [510.0, 500.0]])).max() < 0.05


def test_eyes_stay_when_the_mouth_moves(person, expression):
    displacement = np.zeros((68, 2), np.float32)
    displacement[48:68, 1] = 10
    assert np.abs(on_face(expression, displacement, person.source_points[36:48])).max() < 0.3


def test_an_eye_follows_its_corners_and_not_its_lids(person, expression):
    displacement = np.zeros((68, 2), np.float32)
    displacement[[36, 39]] = [3, -2]
    displacement[[37, 38], 1] = 9
    eyes = person.source_points[[36, 39, 42, 45]]
    moved = on_face(expression, displacement, [eyes[:2].mean(0) + np.array([3, -2]), eyes[2:].mean(0)])
    assert moved[0] == pytest.approx([-3, 2], abs=0.5)
    assert moved[1] == pytest.approx([0, 0], abs=0.5)


def test_the_window_grows_with_the_heads_motion(person, expression):
    face = [person.source_points.min(0), person.source_points.max(0)]
    for reach in (0.0, 40.0):
        rows, columns = expression.window(reach)
        (left, top), (right, bottom) = face
        assert columns.start * 8 < left - reach and right + reach < columns.stop * 8
        assert rows.start * 8 < top - reach and bottom + reach < rows.stop * 8
    rows, columns = expression.window(1e4)
    assert (rows, columns) == (slice(0, 64), slice(0, 64))
