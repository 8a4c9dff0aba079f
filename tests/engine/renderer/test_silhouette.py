import numpy as np
import pytest

from engine.renderer.geometry import fine_positions
from engine.renderer.silhouette import Silhouette


def covered(bands):
    seen = np.zeros((512, 512), bool)
    for band in bands:
        seen[band] = True
    return seen


@pytest.mark.parametrize("shift", [0, 25 - 10j, -60 + 30j])
def test_bands_hold_the_moved_person_and_little_else(shift):
    matte = np.zeros((512, 512), np.uint8)
    matte[150:390, 200:301] = 1
    moved = fine_positions(np.full((64, 64), -shift, np.complex64))
    seen = covered(Silhouette(matte).bands(moved))
    down, right = int(np.imag(shift)), int(np.real(shift))
    assert seen[150 + down : 390 + down, 200 + right : 301 + right].all()
    assert not seen[: 150 + down - 96].any() and not seen[390 + down + 96 :].any()
    assert not seen[:, : 200 + right - 48].any() and not seen[:, 301 + right + 48 :].any()


def test_an_empty_frame_has_no_bands():
    still = fine_positions(np.zeros((64, 64), np.complex64))
    assert Silhouette(np.zeros((512, 512), np.uint8)).bands(still) == []


def test_a_person_at_the_pictures_edge_is_seen():
    matte = np.zeros((512, 512), np.uint8)
    matte[500:, :3] = matte[500:, -3:] = 255
    still = fine_positions(np.zeros((64, 64), np.complex64))
    assert Silhouette(matte).bands(still) == [(slice(448, 512), slice(0, 512))]
