from dataclasses import replace

import numpy as np
import pytest

from engine.renderer.lip_line import find_lip_line

LIP = (190, 70, 70)


def test_a_closed_mouth_is_cut_once(person):
    line = find_lip_line(person, 120.0)
    assert line.closed
    inner = np.abs(line.frame(np.stack(np.meshgrid(np.arange(512), np.arange(512)), -1))[0]) < 0.8 * line.half_width
    assert np.array_equal(line.above[inner], line.below[inner])
    assert line.half_width == pytest.approx(0.24 * 120, rel=0.02)


def test_the_cut_follows_the_dark_seam_and_not_the_mesh(make_person):
    line = find_lip_line(make_person(seam_shift_px=2.0), 120.0)
    middle = np.abs(line.u) < 0.6 * line.half_width
    assert line.upper[middle].mean() == pytest.approx(2.0, abs=0.5)


def test_parted_lips_have_two_edges(make_person):
    person = make_person(gap=0.2)
    line = find_lip_line(person, 120.0)
    assert not line.closed
    centre = len(line.u) // 2
    # Each lip's edge, and the rim that is left behind.
    assert line.upper[centre] == pytest.approx(-12 - 0.7, abs=1.5)
    assert line.lower[centre] == pytest.approx(12 + 0.7, abs=1.5)
    x, y = np.rint(person.source_points[62]).astype(int)
    assert line.above[y - 6, x] < 0 < line.above[y + 6, x]
    assert line.below[y + 6, x] < 0 < line.below[y + 32, x]


def test_edges_of_parted_lips_are_drawn_to_where_the_picture_has_them(make_person):
    person = make_person(gap=0.2)
    image = person.image.copy()
    x, y = np.rint(person.source_points[[62, 66]].mean(0)).astype(int)
    image[y - 14 : y - 8, x - 30 : x + 31] = LIP
    measured, line = (find_lip_line(replace(person, image=picture), 120.0) for picture in (person.image, image))
    middle = np.abs(line.u) < 8
    assert (line.upper - measured.upper)[middle].min() > 1.5
    assert (line.lower - measured.lower)[middle] == pytest.approx(0, abs=0.3)


def test_nothing_is_open_beyond_the_corners(person, make_person):
    for avatar in (person, make_person(gap=0.2)):
        line = find_lip_line(avatar, 120.0)
        u, v = line.frame(np.stack(np.meshgrid(np.arange(512), np.arange(512)), -1))
        beyond = (np.abs(u) > line.half_width + 1) & (np.abs(v) < 40)
        assert (line.above - line.below)[beyond].max() < 0
