from dataclasses import replace

import numpy as np
import pytest

from engine.stages.head_pose import HeadPose
from tests.fake_networks import FakeHeadPose

LIMITS = (0.13, 0.2, 0.1, 0.06, 0.06, 0.06)
TEN_MINUTES = 60 * 600
FEATURE = np.zeros(512, np.float32)


def make(rule, **options) -> HeadPose:
    settings = {"temperature": 1.0, "limits": LIMITS, "smoothing_frames": 3.0} | options
    return HeadPose(FakeHeadPose(rule), **settings)


def poses(stage: HeadPose, frames: int, state=None) -> np.ndarray:
    state = state or stage.init_state()
    shown = []
    for _ in range(frames):
        pose, state = stage.step(FEATURE, state)
        shown.append(pose)
    return np.array(shown)


def quiet(pose):
    return np.zeros(6), np.full(6, 0.002)


def test_biased_network_stays_within_hard_bounds_for_ten_minutes():
    shown = poses(make(lambda pose: (np.full(6, 0.004), np.full(6, 0.002))), TEN_MINUTES)
    assert np.isfinite(shown).all()
    assert (np.abs(shown) <= 1.5 * np.array(LIMITS) + 1e-6).all()
    # The spring holds a bias of a quarter rad a second near the limit.
    assert (np.abs(shown).max(axis=0)[:3] < np.array(LIMITS)[:3] + 0.05).all()


@pytest.mark.parametrize("mean", [1e6, -np.inf])
def test_absurd_network_is_bounded(mean):
    shown = poses(make(lambda pose: (np.full(6, mean), np.full(6, 1e6))), 600)
    assert np.isfinite(shown).all() and (np.abs(shown) <= 1.5 * np.array(LIMITS) + 1e-6).all()


def test_runaway_network_that_feeds_on_its_own_step_is_bounded():
    shown = poses(make(lambda pose: (1.5 * pose[6:] + 0.1 * pose[:6], np.full(6, 1e-3))), 3000)
    assert (np.abs(shown) <= 1.5 * np.array(LIMITS) + 1e-6).all()


def test_unbiased_walk_stays_around_the_centre():
    shown = poses(make(quiet), TEN_MINUTES // 2)[600:, :3]
    assert (np.abs(shown.mean(axis=0)) < 0.35 * np.array(LIMITS)[:3]).all()
    thirds = np.array_split(shown, 3)
    assert max(part.std() for part in thirds) < 2.5 * min(part.std() for part in thirds)
    assert shown.std() > 0.01


def test_a_year_later_it_moves_alike():
    stage = make(quiet)
    late = replace(stage.init_state(), frame=60 * 3600 * 24 * 365)
    shown = poses(stage, 3000, late)
    assert 0.003 < shown.std() and np.abs(np.diff(shown, axis=0)).max() < 0.01


def test_begins_at_the_neutral_pose_and_fades_in():
    shown = poses(make(lambda pose: (np.full(6, 0.01), np.full(6, 0.01))), 200)
    assert not shown[0].any()
    assert np.abs(shown[:10]).max() < 0.01 < np.abs(shown[100:]).max()


def test_seed_decides():
    one, same, other = (poses(make(quiet, seed=seed), 100) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_temperature_zero_follows_the_mean_and_amplitude_scales():
    def rule(pose):
        return np.full(6, 1e-3), np.full(6, 0.01)

    calm = poses(make(rule, temperature=0.0), 100)
    assert (np.diff(calm, axis=0) >= 0).all()
    np.testing.assert_allclose(poses(make(rule, temperature=0.0, amplitude=0.5), 100), calm / 2, atol=1e-7)


def test_network_sees_the_sampled_pose_and_the_step_to_it():
    seen = []

    def rule(pose):
        seen.append(pose.copy())
        return np.full(6, 1e-3), np.zeros(6)

    poses(make(rule), 50)
    seen = np.array(seen)
    assert not seen[0].any()
    np.testing.assert_allclose(np.diff(seen[:, :6], axis=0), seen[1:, 6:], atol=1e-6)


def test_smoothing_is_causal():
    """What comes later in the noise does not alter what was shown before."""
    stage = make(quiet)
    state, shown = stage.init_state(), []
    for _ in range(20):
        pose, state = stage.step(FEATURE, state)
        shown.append(pose)
    np.testing.assert_array_equal(poses(stage, 40)[:20], shown)
