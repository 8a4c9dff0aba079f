import numpy as np
import pytest

from training.style_stats import lid_stretches, measure_figures


def test_blinks_and_held_lids_are_told_apart():
    closure = np.zeros(600)
    closure[50:60] = closure[200:212] = 1.0
    closure[300:420] = 0.9
    closure[590:] = 1.0
    assert lid_stretches(closure) == ([10, 12, 10], [120])


def test_figures_of_a_known_clip():
    time = np.arange(600) / 60
    displacement, pose, closure = np.zeros((600, 68, 3)), np.zeros((600, 6)), np.zeros(600)
    displacement[:, [65, 66, 67], 1] = (0.1 - 0.1 * np.cos(2 * np.pi * time))[:, None]
    displacement[:, 54, 0] = 0.05 * np.sin(2 * np.pi * time)
    pose[:, 1] = 0.3 + 0.1 * np.sin(np.pi * time)
    closure[100:110] = closure[300:360] = 1
    figures = measure_figures(displacement, pose, closure)
    assert figures.head_amplitude == pytest.approx(0.1 / np.sqrt(2), rel=0.01)
    assert figures.head_speed == pytest.approx(0.1 * np.pi * 2 / np.pi, rel=0.02)
    assert (figures.blinks_a_minute, figures.shut_share, figures.shut_s) == pytest.approx((6.0, 0.1, 1.0))
    assert figures.mouth_range == pytest.approx(0.2, rel=0.04) and figures.mouth_width == pytest.approx(0.1, rel=0.04)
    assert figures.lip_speed == pytest.approx(0.4, rel=0.02)
    assert set(figures.named()) >= {"head_amplitude", "lip_speed"}
