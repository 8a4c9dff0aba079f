from dataclasses import replace

import cv2
import numpy as np
import pytest

from engine.renderer.geometry import at_depth
from engine.renderer.lip_line import find_lip_line
from engine.renderer.mouth_tones import find_tones
from engine.renderer.own_mouth import find_own_mouth
from engine.renderer.warp import WarpRenderer
from models.spec import JAW, MOUTH

UNIT_PX = 120.0
TOOTH, DARK = (225, 215, 200), (60, 20, 20)
UPPER_PX, LOWER_PX = 9, 5
REST = np.zeros(6, np.float32), np.zeros(2, np.float32)


def full_light(below, above):
    return np.ones((*np.shape(below), 3), np.float32)


def with_mouth(avatar, upper=True, lower=False):
    """The person with dark between its parted lips and teeth in it."""
    image, points = avatar.image.copy(), avatar.source_points
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(points[60:68] * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    inside = np.full_like(image, DARK)
    top, bottom = round(float(points[62, 1])), round(float(points[66, 1]))
    if upper:
        inside[: top + UPPER_PX] = TOOTH
    if lower:
        inside[bottom - LOWER_PX :] = TOOTH
    share = mask[..., None] / 255
    return replace(avatar, image=np.rint(image * (1 - share) + inside * share).astype(np.uint8))


def look(avatar):
    return find_own_mouth(avatar.image, find_lip_line(avatar, UNIT_PX), UNIT_PX, find_tones(avatar), full_light)


def test_closed_lips_show_nothing(person):
    assert look(person) is None


@pytest.mark.parametrize(("upper", "lower"), [(True, False), (True, True), (False, False)])
def test_teeth_are_told_from_the_dark(make_person, upper, lower):
    own = look(with_mouth(make_person(gap=0.25), upper, lower))
    assert set(own.edges) == {name for name, there in (("upper", upper), ("lower", lower)) if there}
    if upper:
        assert own.tone == pytest.approx(np.array(TOOTH), abs=6)
        assert own.edges["upper"] == pytest.approx(-15 + UPPER_PX, abs=2)
    else:
        assert own.tone is None
    middle = own.cavity[10:-10, own.cavity.shape[1] // 2]
    assert np.abs(middle - DARK).max() < 30


def test_teeth_go_on_behind_the_lip(make_person):
    avatar = with_mouth(make_person(gap=0.25))
    own = look(avatar)
    top = avatar.source_points[62]
    pixels = (top + np.array([[[0, 4], [0, -6], [0, 22]]])).astype(np.float32)
    colour, share, known = own.sample("upper", pixels)
    assert colour[0, :2] == pytest.approx(np.array([TOOTH] * 2), abs=20)
    assert share[0] == pytest.approx([1, 1, 0], abs=0.1)
    assert known[0, 2] == pytest.approx(1)


def test_gaps_between_teeth_go_on_behind_the_lip_but_fainter(make_person):
    avatar = with_mouth(make_person(gap=0.25))
    x, y = np.rint(avatar.source_points[62]).astype(int)
    avatar.image[y : y + UPPER_PX, x - 1 : x + 2] = 150
    own, across = look(avatar), np.arange(-12, 13)
    depths = []
    for down in (5, -6):
        pixels = np.array([x, y]) + np.stack([across, np.full_like(across, down)], -1)[None]
        line = own.sample("upper", pixels.astype(np.float32))[0][0, :, 1]
        depths.append(float(line[[0, 1, 23, 24]].mean() - line[12]))
    # Where nothing of it went on, it would be less than a tenth.
    assert depths[0] > 30 and 0.15 * depths[0] < depths[1] < 0.75 * depths[0]


def test_a_portrait_with_teeth_is_drawn_again(make_person):
    avatar = with_mouth(make_person(gap=0.25))
    landmarks = avatar.template.copy()
    for part in (MOUTH, JAW):
        landmarks[part] = at_depth(avatar.camera, avatar.source_points[part], avatar.template[part, 2])
    frame = WarpRenderer(avatar).render(landmarks, *REST)
    inside = np.zeros(frame.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint(avatar.source_points[60:68]).astype(np.int32)], 1)
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0
    difference = np.abs(frame.astype(int) - avatar.image)[inside]
    assert difference.mean() < 12
