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


def at(expression, field, points):
    return expression.at(field, np.asarray(points, np.float32)[None])[0]


def test_each_lip_moves_by_itself(person, expression):
    displacement = np.zeros((68, 2), np.float32)
    displacement[[55, 56, 57, 58, 59, 65, 66, 67], 1] = 12
    upper, lower = expression.backward(displacement)
    middle = person.source_points[62]
    assert at(expression, upper, [middle - [0, 1]])[0] == pytest.approx([0, 0], abs=0.6)
    assert at(expression, lower, [middle + np.array([0, 13])])[0] == pytest.approx([0, -12], abs=0.6)


def test_the_two_sides_are_one_beyond_the_corners(person, expression):
    displacement = np.zeros((68, 2), np.float32)
    displacement[[55, 56, 57, 58, 59, 65, 66, 67], 1] = 12
    upper, lower = expression.backward(displacement)
    beside = person.source_points[54] + [[8, -6], [8, 0], [8, 6], [30, 0]]
    assert at(expression, upper, beside) == pytest.approx(at(expression, lower, beside), abs=0.4)


def test_expression_ends_at_the_edge_of_the_face(expression):
    displacement = np.random.default_rng(0).normal(0, 3, (68, 2)).astype(np.float32)
    for field in expression.backward(displacement):
        assert np.abs(field[[0, -1]]).max() < 1e-3
        assert np.abs(field[:, [0, -1]]).max() < 1e-3
        assert np.abs(at(expression, field, [[2.0, 2.0], [510.0, 500.0]])).max() < 1e-3


def test_eyes_stay_when_the_mouth_moves(person, expression):
    displacement = np.zeros((68, 2), np.float32)
    displacement[48:68, 1] = 10
    upper, _ = expression.backward(displacement)
    assert np.abs(at(expression, upper, person.source_points[36:48])).max() < 0.3
