import numpy as np
import pytest

from engine.renderer.opening import keep_within

WINDOW = slice(100, 160), slice(200, 300)


def mouth(turn=0.0):
    """Landmarks of a mouth 60 px wide and 30 px high about (250, 130)."""
    points = np.zeros((68, 2))
    points[[60, 64]] = [[-30, 0], [30, 0]]
    points[61:64] = [[-15, -15], [0, -15], [15, -15]]
    points[65:68] = [[15, 15], [0, 15], [-15, 15]]
    return points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [250, 130]


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_an_opening_ends_at_the_corners_and_above_the_lips(turn):
    under, over = (np.full((60, 100), 10.0, np.float32) for _ in range(2))
    keep_within(WINDOW, mouth(turn), under, over)
    y, x = np.mgrid[100:160, 200:300] - np.array([130, 250])[:, None, None]
    along, down = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    seen = np.minimum(under, over)
    assert (seen[np.abs(along) > 31] <= 0).all()
    assert (under[down < -23] < 0).all()
    assert (over[down > 23] < 0).all()
    inside = (along / 30) ** 2 + (down / 15) ** 2 < 0.2
    assert (seen[inside] == 10).all()


def test_what_is_beyond_belongs_to_one_lip():
    under, over = (np.full((60, 100), 10.0, np.float32) for _ in range(2))
    keep_within(WINDOW, mouth(), under, over)
    beyond = np.minimum(under, over) < -1
    assert (np.maximum(under, over)[beyond] >= 0).all()
