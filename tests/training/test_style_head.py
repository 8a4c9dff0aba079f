import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.artefacts.bundle import Bundle  # noqa: E402
from models.headpose import HeadPoseNet  # noqa: E402
from training.bundle_weights import load_networks, take_apart  # noqa: E402
from training.style_head import (  # noqa: E402
    HeadManner,
    HeadStudio,
    find_rhythm,
    liveliness,
    scale_poses,
    smoothed,
    swung,
    take_head_apart,
    tune_headpose,
)

RNG = np.random.default_rng(0)
TIME = np.arange(960) / 60


def walk(frames: int, size: float) -> np.ndarray:
    steps = RNG.standard_normal((frames + 60, 6))
    kernel = np.hanning(61) / np.hanning(61).sum()
    smooth = np.stack([np.convolve(column, kernel, "valid") for column in steps.T], 1)[:frames]
    return size * smooth / smooth.std()


def test_a_head_without_a_beat_has_no_rhythm():
    for _ in range(5):
        assert find_rhythm(walk(960, 0.05)) == ()
    assert find_rhythm(np.zeros((960, 6))) == ()


def test_nods_on_a_beat_are_found_with_what_they_do():
    pose = walk(960, 0.01)
    pose[:, 0] += 0.06 * np.cos(2 * np.pi * 1.5 * TIME + 0.4)
    pose[:, 1] += 0.04 * np.sin(2 * np.pi * 1.5 * TIME)
    (beat,) = find_rhythm(pose)
    assert beat.hz == pytest.approx(1.5, abs=0.02)
    assert np.hypot(beat.cosine[0], beat.sine[0]) == pytest.approx(0.06, rel=0.15)
    assert np.hypot(beat.cosine[1], beat.sine[1]) == pytest.approx(0.04, rel=0.2)
    left = pose - pose.mean(0) - swung((beat,), 960)
    assert left[:, 0].std() < 0.4 * pose[:, 0].std()


def test_a_head_is_taken_apart_into_what_is_held_swung_and_left():
    speaking = TIME > 1.0
    pose = walk(960, 0.004)
    pose += speaking[:, None] * np.array([-0.1, 0, 0.05, 0, 0, 0])
    pose[:, 1] += speaking * 0.08 * np.sin(2 * np.pi * 2.0 * TIME)
    manner = take_head_apart(pose, speaking)
    np.testing.assert_allclose(manner.centre, [-0.1, 0, 0.05, 0, 0, 0], atol=0.01)
    assert manner.rhythm[0].hz == pytest.approx(2.0, abs=0.02)
    assert manner.rest.std() < 0.012


def test_what_no_picture_can_show_is_not_asked_for():
    manner = take_head_apart(walk(960, 0.5), np.ones(960, np.bool_))
    assert np.percentile(np.abs(manner.rest), 98, axis=0).max() <= 0.301


def test_smoothing_is_the_engine_s():
    pose = walk(200, 0.05).astype(np.float32)
    np.testing.assert_array_equal(smoothed(pose, 0), pose)
    assert liveliness(smoothed(walk(900, 0.05) + 0.02 * RNG.standard_normal((900, 6)), 6)) < 30


def test_scales_make_the_same_generator_larger():
    torch.manual_seed(0)
    small, large = HeadPoseNet().eval(), HeadPoseNet().eval()
    large.load_state_dict(small.state_dict())
    scale_poses(large, np.full(6, 3.0))
    pose, features = torch.randn(1, 20, 12), torch.randn(1, 20, 512)
    with torch.no_grad():
        one, other = small(pose, features, *small.init_state(1)), large(3 * pose, features, *large.init_state(1))
    torch.testing.assert_close(other[0], 3 * one[0])
    torch.testing.assert_close(other[1], 3 * one[1])


def test_tuning_makes_the_reference_likelier():
    torch.manual_seed(0)
    net = HeadPoseNet().eval()
    pose = walk(150, 0.05).astype(np.float32)
    net.pose_scale.copy_(torch.from_numpy(pose.std(0)))
    net.step_scale.copy_(torch.from_numpy(np.diff(pose, axis=0).std(0)))
    history = tune_headpose(net, torch.randn(150, 512), pose, steps=6, rate=1e-3, seed=0)
    assert len(history) == 6 and history[-1] < history[0] - 0.1
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_calibration_brings_the_size_to_the_reference_s(random_bundle: Bundle):
    _, _, net = load_networks(random_bundle)
    geometry, pose = random_bundle.manifest.networks["headpose"], random_bundle.manifest.pose
    studio = HeadStudio(take_apart(random_bundle.graphs["headpose"]), geometry, pose, 4, torch.randn(700, 512))
    manner = HeadManner(np.full(6, 0.02), (), walk(900, 0.03).astype(np.float32))
    settings = studio.calibrate(net, manner, seed=1)
    drawn = smoothed(studio.draw(net, settings.limits, 1), settings.smoothing_frames)
    np.testing.assert_allclose(drawn.std(0), manner.rest.std(0), rtol=0.7)
    assert settings.centre == pytest.approx((0.02,) * 6)
