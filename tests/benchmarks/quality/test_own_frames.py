import numpy as np
import pytest

from benchmarks.quality.own_frames import OWN_FIGURES, TAKEN, OwnFrames
from benchmarks.quality.reenact import mean_figures

NONE = dict.fromkeys(OWN_FIGURES)


def face(gap, shift=(0, 0)):
    """Landmarks on circles and lines, the inner lips ``gap`` px high, moved by ``shift`` px."""
    turn = np.linspace(0.15 * np.pi, 0.85 * np.pi, 17)
    points = np.zeros((68, 2))
    points[:17] = np.stack([64 - 55 * np.cos(turn), 50 + 60 * np.sin(turn)], 1)
    points[17:48] = np.stack([np.linspace(30, 98, 31), np.full(31, 30.0)], 1)
    points[31], points[33], points[35] = (56, 55), (64, 58), (72, 55)
    around = np.linspace(np.pi, 3 * np.pi, 12, endpoint=False)
    points[48:60] = np.stack([64 + 24 * np.cos(around), 80 + (10 + gap / 2) * np.sin(around)], 1)
    around = np.linspace(np.pi, 3 * np.pi, 8, endpoint=False)
    points[60:68] = np.stack([64 + 16 * np.cos(around), 80 + gap / 2 * np.sin(around)], 1)
    return points + shift


def picture(shift=(0, 0), brighter=0):
    """A smooth pattern moved by ``shift`` px."""
    down, across = np.mgrid[:160, :160].astype(float)
    pattern = 110 + 50 * np.sin((across - shift[0]) / 9) * np.cos((down - shift[1]) / 7) + brighter
    return np.repeat(pattern[..., None], 3, axis=2).round().astype(np.uint8)


def test_the_same_mouth_elsewhere_in_the_picture_is_laid_in_as_it_is():
    own = OwnFrames(apart=12)
    own.add(0, picture(), face(10), 100.0)
    own.add(12, picture((7, 3)), face(10, (7, 3)), 100.0)
    for figures in own.figures().values():
        assert figures["inside_l1"] < 0.7 and figures["lip_l1"] < 0.7


def test_lips_most_alike_come_first_and_the_mean_is_of_pictures():
    own = OwnFrames(apart=1)
    for index, (gap, brighter) in enumerate([(10, 0), (10.1, 20), (12, -20)]):
        own.add(index, picture(brighter=brighter), face(gap), 100.0)
    figures = own.figures()
    # Nearest: 20 for the first and the second, 40 for the third, which is likest the second; the means of both others
    # are 0, 30 and 30 away. The pattern moves a little with the lips.
    assert figures["nearest"]["lip_l1"] == pytest.approx(80 / 3, abs=1.5)
    assert figures["mean of five"]["lip_l1"] == pytest.approx(20, abs=1.5)


def test_a_moment_too_near_in_time_is_no_other_moment():
    own = OwnFrames(apart=12)
    own.add(0, picture(), face(10), 100.0)
    own.add(11, picture(), face(10), 100.0)
    assert own.figures() == dict.fromkeys(TAKEN, NONE)


def test_means_leave_out_clips_without_a_figure():
    some = {name: {"inside_l1": 4.0, "lip_l1": None} for name in TAKEN}
    none: dict = dict.fromkeys(TAKEN, NONE)
    assert mean_figures([some, none]) == {name: {"inside_l1": 4.0, "lip_l1": None} for name in TAKEN}
