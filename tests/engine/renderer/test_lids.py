from dataclasses import replace

import numpy as np
import pytest

from engine.renderer.colour import LUMA
from engine.renderer.eyeball import LID_LIGHT
from engine.renderer.lids import WIDEST, Eye, LidMotion


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
    above, below, beside = eye.reach(motion)
    gap = float((person.source_points[[40, 41], 1] - person.source_points[[38, 37], 1]).mean())
    top, bottom = person.source_points[37, 1] + upper * gap - above, person.source_points[41, 1] + below
    source = window(person)
    lids = eye.slide(source, motion)
    assert (np.abs(lids.upper - source).max(-1) * (source[..., 1] < top)).max() < 0.3
    assert (np.abs(lids.lower - source).max(-1) * (source[..., 1] > bottom)).max() < 0.3
    left, right = person.source_points[[36, 39], 0]
    far = (source[..., 0] < left - beside) | (source[..., 0] > right + beside)
    assert (lids.unfolded * far).max() < 0.1 and (lids.seam is None or (lids.seam * far).max() < 0.02)


def test_an_eye_that_moves_with_the_head_does_not_close(eye):
    assert eye.motion(np.full((68, 2), 7.0, np.float32)) == LidMotion(0.0, 0.0)


def test_a_narrow_eye_opens_wide_and_a_wide_one_hardly_wider(person, eye):
    def opened(which):
        displacement = np.zeros((68, 2), np.float32)
        displacement[[37, 38], 1] = -40
        return which.motion(displacement).upper

    points = person.source_points.copy()
    points[[37, 38, 40, 41], 1] = points[36, 1] + np.array([-2, -2, 2, 2])
    narrow = Eye(replace(person, source_points=points), 120.0, left=False)
    assert opened(eye) == pytest.approx(-0.6)
    assert opened(narrow) < -1.5
    width = float(np.linalg.norm(points[39] - points[36]))
    assert (1 - opened(narrow)) * 4 == pytest.approx(WIDEST * width, rel=0.02)


def test_a_narrow_eye_without_white_gets_one(person):
    image = person.image.copy()
    low, high = person.source_points[36:42].min(0).astype(int), person.source_points[36:42].max(0).astype(int)
    image[low[1] - 2 : high[1] + 3, low[0] - 2 : high[0] + 3] = (40, 30, 25)
    source = window(person)
    motion = LidMotion(-0.6, 0.0)
    balls = []
    for picture in (person.image, image):
        eye = Eye(replace(person, image=picture), 120.0, left=False)
        lids = eye.slide(source, motion)
        ball = eye.look(source, np.zeros(2), lids.below, motion)[..., :3].astype(float)
        x, y = source[..., 0], source[..., 1]
        beyond = (lids.opening > 0.9) & (y < low[1] - 2) & (np.abs(x - person.irises[0, 0]) > 9)
        assert beyond.sum() > 10
        balls.append(ball[beyond].mean())
    assert balls[1] > 100
    assert balls[0] > balls[1]


def test_lashes_lie_where_the_lids_of_a_shut_eye_meet(person, eye):
    source = window(person)
    assert eye.slide(source, LidMotion(0.3, 0.1)).lashes is None
    half, shut = (eye.slide(source, LidMotion(upper, 0.05)).lashes for upper in (0.7, 0.95))
    assert 0 < half.max() < shut.max() == pytest.approx(1, abs=0.05)
    rows = np.flatnonzero(shut[:, 45] > 0.05)
    lower_lid = person.source_points[[40, 41], 1].mean() - source[0, 0, 1]
    assert 1 < len(rows) < 0.08 * 120 and abs(rows.mean() - lower_lid) < 6
    assert not shut[:, 0].any() and not shut[:, -1].any()
    assert all(0.05 < left < 0.65 for left in eye.lash_shade) and eye.lash_shade[0] > eye.lash_shade[2]


def test_no_brow_is_pulled_down_into_the_lids_skin(person):
    image = person.image.copy()
    for x, y in person.source_points[17:22].astype(int):
        image[y - 5 : y + 6, x - 10 : x + 11] = 20
    skin = Eye(replace(person, image=image), 120.0, left=False)._layers.skin[..., :3].astype(int)
    plain = Eye(person, 120.0, left=False)._layers.skin[..., :3].astype(int)
    assert np.abs(skin - plain).max() < 45


def test_a_brow_close_to_the_eye_is_not_drawn_out_over_the_lid(person):
    image = person.image.copy()
    top = int(person.source_points[[37, 38], 1].min())
    image[top - 16 : top - 8, int(person.source_points[36, 0]) : int(person.source_points[39, 0])] = 20
    points = person.source_points.copy()
    points[17:22, 1] = top - 12
    bare = replace(person, source_points=points)
    eyes = [Eye(avatar, 120.0, left=False) for avatar in (replace(bare, image=image), bare)]
    source, motion = window(person), LidMotion(1.1, -0.1)
    drawn, plain = (one.slide(source, motion).unfolded for one in eyes)
    assert (drawn >= plain - 1e-6).all() and (drawn - plain).max() > 0.15
    # With the lid at rest the brow stays as the picture has it.
    assert not eyes[0].slide(source, LidMotion(0.0, 0.0)).unfolded.any()


def test_lids_meet_at_the_lower_one_and_hide_what_is_beside_their_line(person, eye):
    displacement = np.zeros((68, 2), np.float32)
    gap = (person.source_points[[40, 41], 1] - person.source_points[[38, 37], 1]).mean()
    displacement[[37, 38], 1], displacement[[40, 41], 1] = 0.68 * gap, -0.32 * gap
    shut = eye.motion(displacement)
    assert shut.upper + shut.lower == pytest.approx(1) and shut.upper > 1.1
    half = eye.motion(displacement / 2)
    assert half.lower == pytest.approx(0.16, abs=0.02)
    lids = eye.slide(window(person), shut)
    assert lids.seam is not None and lids.seam.max() > 0.9
    assert (lids.lashes <= 0.01)[lids.seam == 0].all()
    assert eye.slide(window(person), half).seam is None or eye.slide(window(person), half).seam.max() < 0.1


def test_a_shut_eye_does_not_slant_upwards_as_the_open_one_does(person):
    points = person.source_points.copy()
    points[[36, 45], 1] -= 5
    eye = Eye(replace(person, source_points=points), 120.0, left=False)
    source = window(person)
    lashes = eye.slide(source, LidMotion(1.2, -0.2)).lashes
    outer, inner = (int(x - source[0, 0, 0]) for x in (points[36, 0] + 2, points[39, 0] - 2))
    rows = np.arange(lashes.shape[0])
    outer_at, inner_at = (float(rows @ lashes[:, column] / lashes[:, column].sum()) for column in (outer, inner))
    assert outer_at > inner_at and outer_at + source[0, 0, 1] > points[36, 1] + 4
    # While the lids are apart, the corners stay where they are.
    half = eye.slide(source, LidMotion(0.5, 0.0)).opening.max(0)
    assert abs(np.flatnonzero(half > 0.5)[0] + source[0, 0, 0] - points[36, 0]) < 6


def test_lashes_of_a_shut_eye_are_thinner_at_its_corners(person, eye):
    lashes = eye.slide(window(person), LidMotion(1.2, -0.2)).lashes
    first, last = (int(x - window(person)[0, 0, 0]) for x in person.source_points[[36, 39], 0])
    middle, ends = lashes[:, (first + last) // 2].sum(), lashes[:, [first, last]].sum(0)
    assert (ends < 0.9 * middle).all() and (ends > 0.1 * middle).all()


def test_a_lid_that_unfolds_is_not_as_dark_as_its_fold(person):
    image = person.image.copy()
    top, (left, right) = int(person.source_points[[37, 38], 1].min()), person.source_points[[36, 39], 0].astype(int)
    image[top - 12 : top + 1, left - 4 : right + 5] = (50, 35, 30)
    eye = Eye(replace(person, image=image), 120.0, left=False)
    where = np.array([[[(left + right) / 2, top - 6]]], np.float32)
    skin = float(np.percentile(person.image[top - 20 : top + 30, left - 10 : right + 11] @ LUMA, 70))
    assert float(eye.smooth_skin(where)[0, 0, :3] @ LUMA) > 0.8 * LID_LIGHT * skin


def test_the_dark_corner_of_an_open_eye_is_gone_from_a_shut_one(person):
    image = person.image.copy()
    corner = person.source_points[36].astype(int)
    # Lashes and shade beside the outer corner, above where shut lids meet.
    dark = (slice(corner[1] - 4, corner[1] + 1), slice(corner[0] - 6, corner[0] - 2))
    image[dark] = 20
    made_up = Eye(replace(person, image=image), 120.0, left=False)
    source = window(person)
    low = source[0, 0]
    there = tuple(slice(int(a.start - o), int(a.stop - o)) for a, o in zip(dark, low[::-1], strict=True))
    seam = made_up.slide(source, LidMotion(1.2, -0.2)).seam
    bare = Eye(person, 120.0, left=False).slide(source, LidMotion(1.2, -0.2)).seam
    assert seam is not None and seam[there].mean() > 0.35 > 2 * bare[there].mean()
    x, y = np.rint(source).astype(int).transpose(2, 0, 1)
    smooth, skin = made_up.smooth_skin(source)[there], person.image[y, x][there]
    assert np.abs(smooth[..., :3].astype(float) - skin).mean() < 40, "it becomes skin"
    # While the eye is open its corner is as the picture has it.
    assert made_up.slide(source, LidMotion(0.2, 0.0)).seam is None


def test_lashes_of_a_shut_eye_are_as_dark_as_those_of_the_open_one(person):
    shades = []
    for grey in (15, 90, 200):
        image = person.image.copy()
        left, right = person.source_points[[36, 39], 0].astype(int)
        eye = Eye(person, 120.0, left=False)
        for x in range(left, right + 1):
            y = round(float(eye._corner[1] + np.interp(x - left, eye._u, eye._upper)))
            image[y - 2 : y + 3, x] = grey
        shades.append(Eye(replace(person, image=image), 120.0, left=False).lash_shade[1])
    assert shades[0] < shades[1] < shades[2] and shades[0] < 0.2 and shades[2] > 0.5
