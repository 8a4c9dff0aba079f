from types import SimpleNamespace

import numpy as np
import pytest

from models.spec import INNER_LIP_PAIRS, LANDMARKS
from training.corpus.heads.lip_margin import LipMargin

UPPER, LOWER = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
RADIUS = 0.03
COLUMNS = np.linspace(-0.3, 0.3, 61)
ANGLES = np.linspace(-np.pi, np.pi, 41)


def rolls(gap, tip=0.0):
    """Two lips as round rolls whose facing sides are ``gap`` apart, and landmarks ``tip`` rad round from these."""
    skin, marks = [], np.zeros((LANDMARKS, 3), np.float32)
    for side, numbers in ((-1, UPPER), (1, LOWER)):
        height, depth = (np.cos, np.sin)
        centre = side * (gap / 2 + RADIUS)
        turn = np.meshgrid(COLUMNS, ANGLES, indexing="ij")
        skin.append(np.stack([turn[0], centre - side * RADIUS * height(turn[1]), RADIUS * depth(turn[1])], -1))
        for x, number in zip((-0.1, 0, 0.1), numbers, strict=True):
            marks[number] = x, centre - side * RADIUS * height(tip), RADIUS * depth(tip)
    return np.concatenate([part.reshape(-1, 3) for part in skin]).astype(np.float32), marks


@pytest.fixture
def margin():
    points = len(COLUMNS) * len(ANGLES)
    base = SimpleNamespace(
        lip=np.ones(2 * points, np.float32), lower_lip=np.repeat([0.0, 1.0], points).astype(np.float32)
    )
    return LipMargin(base, *rolls(0.0))


@pytest.mark.parametrize("tip", [-1.0, 0.0, 0.8])
def test_landmarks_go_to_the_facing_sides_wherever_their_vertex_rolled_to(margin, tip):
    skin, marks = rolls(0.12, tip)
    placed = margin.place(marks, skin)
    assert placed[UPPER, 1] == pytest.approx(-0.06, abs=0.002)
    assert placed[LOWER, 1] == pytest.approx(0.06, abs=0.002)
    assert placed[[*UPPER, *LOWER], 2] == pytest.approx(0, abs=0.004)
    assert np.array_equal(placed[:, 0], marks[:, 0]), "they stay where they are across the mouth"
    others = [k for k in range(LANDMARKS) if k not in (*UPPER, *LOWER)]
    assert np.array_equal(placed[others], marks[others])


def test_lips_that_press_against_each_other_meet_half_way(margin):
    skin, marks = rolls(-0.02)
    placed = margin.place(marks, skin)
    assert placed[UPPER, 1] == pytest.approx(placed[LOWER, 1], abs=1e-6)
    assert placed[UPPER, 1] == pytest.approx(0, abs=1e-4)
