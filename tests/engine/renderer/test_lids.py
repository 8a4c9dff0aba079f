import numpy as np
import pytest

from engine.renderer.lids import Eye, LidMotion


@pytest.fixture(scope="module")
def eye(person):
    return Eye(person, 120.0, left=False)


def window(person):
    low = person.source_points[36:42].min(0) - 25
    x, y = np.meshgrid(np.arange(90, dtype=np.float32) + low[0], np.arange(66, dtype=np.float32) + low[1])
    return np.stack([x, y], -1)


def test_lids_at_rest_leave_the_skin_where_it_is(person, eye):
    source = window(person)
    lids = eye.slide(source, LidMotion(0.0, 0.0))
    assert np.array_equal(lids.upper, source)
    assert np.array_equal(lids.lower, source)
    assert lids.opening.max() == 1


def test_an_eye_at_rest_is_the_picture(person, eye):
    source = window(person)
    lids = eye.slide(source, LidMotion(0.0, 0.0))
    ball = eye.look(source, np.zeros(2), lids.below, LidMotion(0.0, 0.0))
    x, y = np.rint(source).astype(int).transpose(2, 0, 1)
    shown = lids.opening > 0.02
    # The corner of the window lies between pixels, so compare with the picture sampled there.
    assert (ball[..., 3] == 255).all()
    assert np.abs(ball[..., :3] - person.image[y, x].astype(float))[shown].mean() < 12


def test_skin_far_from_the_lid_rests(person, eye):
    source = window(person)
    lids = eye.slide(source, LidMotion(0.9, 0.1))
    moved = np.abs(lids.upper - source).max(-1)
    assert moved[0].max() < 0.01
    assert moved.max() > 5


@pytest.mark.parametrize(("closing", "drawn"), [(0.0, 0.0), (0.4, 0.4), (0.88, 1.0), (1.0, 1.0)])
def test_a_nearly_closed_eye_is_shut(person, eye, closing, drawn):
    displacement = np.zeros((68, 2), np.float32)
    gap = (person.source_points[[40, 41], 1] - person.source_points[[38, 37], 1]).mean()
    displacement[[37, 38], 1] = closing * gap
    motion = eye.motion(displacement)
    assert motion.upper + motion.lower == pytest.approx(drawn, abs=0.01)
    opening = eye.slide(window(person), motion).opening
    assert opening.any() == (drawn < 1)


@pytest.mark.parametrize("upper", [0.0, 0.5, 1.0])
def test_the_skin_moves_no_further_than_its_reach(person, eye, upper):
    motion = LidMotion(upper, 0.1 * upper)
    above, below = eye.reach(motion)
    gap = float((person.source_points[[40, 41], 1] - person.source_points[[38, 37], 1]).mean())
    top, bottom = person.source_points[37, 1] + upper * gap - above, person.source_points[41, 1] + below
    source = window(person)
    lids = eye.slide(source, motion)
    assert (np.abs(lids.upper - source).max(-1) * (source[..., 1] < top)).max() < 0.3
    assert (np.abs(lids.lower - source).max(-1) * (source[..., 1] > bottom)).max() < 0.3


def test_an_eye_that_moves_with_the_head_does_not_close(eye):
    assert eye.motion(np.full((68, 2), 7.0, np.float32)) == LidMotion(0.0, 0.0)
