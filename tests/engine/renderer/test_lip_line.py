import numpy as np
import pytest

from engine.renderer.lip_line import find_lip_line


def test_a_closed_mouth_is_cut_once(person):
    line = find_lip_line(person, 120.0)
    assert line.closed
    assert np.array_equal(line.above, line.below)
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
    assert line.upper[centre] == pytest.approx(-12 - 1.4, abs=0.8)
    assert line.lower[centre] == pytest.approx(12 + 1.4, abs=0.8)
    x, y = np.rint(person.source_points[62]).astype(int)
    assert line.above[y - 6, x] < 0 < line.above[y + 6, x]
    assert line.below[y + 6, x] < 0 < line.below[y + 32, x]
