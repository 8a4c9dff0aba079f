import numpy as np
import pytest

from engine.renderer.opening import HOLLOW, RIM, UNDERSIDE, clinging, hollow, keep_within, underside

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


def test_lips_cling_beside_the_corners_of_a_narrow_mouth():
    across = np.linspace(0, 1, 11, dtype=np.float32)[None]
    clung = clinging(across, np.full_like(across, 0.01), 0.05)
    assert (clung[across < 0.59] == 0).all()
    assert clung[0, -1] == 1
    assert (np.diff(clung) >= 0).all()
    assert not clinging(across, np.full_like(across, 0.1), 0.05).any()
    assert not clinging(across, np.full_like(across, 0.01), 0.25).any()


def test_the_upper_lips_underside_loses_light_as_it_turns():
    away = np.array([[-0.01, 0.0, 0.02, 0.05, 0.2]], np.float32)
    middle = np.zeros_like(away)
    assert not underside(away, middle, 0.0).any()
    half, full = underside(away, middle, 0.02), underside(away, middle, 0.3)
    assert full[0, 1] == pytest.approx(UNDERSIDE)
    assert (np.diff(full[0, 1:]) < 0).all()
    assert full[0, -1] == 0
    assert (half <= full).all()
    assert 0 < half[0, 1] < full[0, 1]
    assert not underside(away, middle + 1, 0.3).any()


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_the_hollow_below_the_lower_lip_loses_light(turn):
    points = mouth(turn)
    rim = np.stack([np.linspace(-35, 35, 7), 22 * np.sqrt(1 - np.linspace(-1, 1, 7) ** 2)], -1)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points[RIM] = rim @ rotation + [250, 130]
    part, lost = hollow(WINDOW, points, 0.2, 100.0)
    whole = np.zeros((60, 100), np.float32)
    whole[part] = lost
    x, y = np.rint(np.array([0, 22]) @ rotation + [250, 130]).astype(int) - [200, 100]
    assert whole[y, x] == pytest.approx(HOLLOW, abs=0.01)
    assert whole.max() <= HOLLOW + 1e-6
    assert not whole[:5].any()
    assert np.abs(np.diff(whole, axis=0)).max() < 0.03
    assert not hollow(WINDOW, points, 0.0, 100.0)[1].any()
