import numpy as np
import pytest

from models.spec import MOTION_HZ
from training.pose_noise import without_noise

TIME = np.arange(16 * MOTION_HZ) / MOTION_HZ


def trembling(seed: int = 0) -> np.ndarray:
    """What a face model adds, roughly: slow noise of its usual size, (n, 3) rad."""
    raw = np.random.default_rng(seed).normal(0, 1, (len(TIME), 3))
    for row in range(1, len(raw)):
        raw[row] = 0.95 * raw[row - 1] + 0.05 * raw[row]
    return raw / raw.std(0) * [0.010, 0.005, 0.0025]


def test_a_head_that_is_held_is_still():
    held = np.array([0.05, 0.0, -0.08])
    found = without_noise(held + trembling())
    np.testing.assert_allclose(found.mean(0), (held + trembling()).mean(0) / [1.0, 1.13, 1.0], atol=1e-3)
    assert (found.std(0) < 0.5 * trembling().std(0)).all()


@pytest.mark.parametrize(("axis", "seen"), [(0, 1.0), (1, 1.13), (2, 1.0)])
@pytest.mark.parametrize("hertz", [0.4, 1.67])
def test_a_nod_on_the_beat_stays_and_turns_get_their_true_size(axis, seen, hertz):
    true = np.zeros((len(TIME), 3))
    true[:, axis] = 0.09 * np.sin(2 * np.pi * hertz * TIME)
    measured = true * [1.0, 1.13, 1.0] + trembling(1)
    found = without_noise(measured)
    assert found[:, axis].std() == pytest.approx(true[:, axis].std(), rel=0.1)
    assert np.corrcoef(found[:, axis], true[:, axis])[0, 1] > 0.98
    assert np.abs(found - true).mean() < np.abs(measured - true).mean()


def test_a_short_clip_is_enough():
    assert without_noise(trembling()[: 4 * MOTION_HZ]).shape == (4 * MOTION_HZ, 3)
