import cv2
import numpy as np
import pytest

from benchmarks.quality.sharpness import cpbd, edge_widths


def ramps(width, side=192):
    """Dark and bright bars whose edges rise or fall over ``width`` px."""
    # Steepest in the middle, as a blurred edge is; an even width has one steepest pixel.
    profile, level, out = (1 - np.cos(np.pi * np.arange(1, width + 1) / width)) / 2, 0, []
    while len(out) < side:
        out += [level] * (32 - width) + list(level + (1 - 2 * level) * profile)
        level = 1 - level
    return np.tile(40 + 160 * np.array(out[:side]), (side, 1))


@pytest.mark.parametrize("width", [2, 4, 6, 8])
def test_the_width_of_a_ramp_is_measured_exactly(width):
    found = edge_widths(ramps(width))
    inner = found[10:-10, 20:-20]
    assert set(np.unique(inner)) <= {0, width} and (inner == width).any()


def test_an_edge_is_sharp_up_to_its_just_noticeable_width():
    # High contrast, w_JNB 3: P(2) is 21 %, P(4) 94 %.
    assert cpbd(ramps(2)) == 1 and cpbd(ramps(4)) == 0
    # Low contrast, w_JNB 5: P(4) is 36 %, P(6) 85 %.
    faint = [100 + (ramps(width) - 40) / 160 * 40 for width in (4, 6)]
    assert [cpbd(picture) for picture in faint] == [1, 0]


def test_blur_lowers_it_step_by_step():
    rng = np.random.default_rng(0)
    blocks = cv2.resize(rng.uniform(0, 255, (24, 24)), (384, 384), interpolation=cv2.INTER_NEAREST)
    blurred = [cv2.GaussianBlur(blocks, (0, 0), sigma) for sigma in (0.4, 0.6, 0.9, 1.4)]
    found = [cpbd(np.rint(picture).astype(np.uint8)) for picture in blurred]
    assert found == sorted(found, reverse=True) and found[0] > 0.9 and found[-1] < 0.1 and len(set(found)) >= 4, found


def test_nothing_to_judge_is_zero_and_nonsense_refused():
    assert cpbd(np.full((128, 128), 90, np.uint8)) == 0
    assert cpbd(ramps(2).T) == 0  # level edges have no profile along the row
    assert cpbd(np.where(ramps(2) > 120, 200, 40)) == 0  # a single step is steepest at two pixels, and thinned away
    for bad in (np.zeros((63, 200)), np.zeros((64, 64, 3))):
        with pytest.raises(ValueError, match="64x64"):
            cpbd(bad)
