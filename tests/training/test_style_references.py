import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ArtefactError, InputError, OutputError
from models.spec import BROWS, INNER_LIP_PAIRS, OUTER_LIPS
from training.style_references import (
    CHANNELS,
    REFERENCES,
    closest_reference,
    eyes_open,
    find_key_frames,
    key_templates,
    motion_channels,
    read_style_references,
    style_references,
    write_style_references,
)

HZ = 30
SIZES = np.array([0.05, 0.04, 0.03, 0.03, 0.04, 0.05])


def clip_with(places, size=1.0, frames=300, seed=0):
    """Channels of faint noise with every template planted once."""
    rng = np.random.default_rng(seed)
    channels = 0.05 * rng.normal(size=(frames, len(CHANNELS)))
    for place, template in zip(places, key_templates(HZ).values(), strict=True):
        half = len(template) // 2
        channels[place - half : place + half + 1] += template
    return (size * SIZES * channels).astype(np.float32)


@given(st.permutations([40, 90, 150, 220]), st.sampled_from([0.4, 1.0, 3.0]))
def test_planted_motion_is_found_whoever_is_timid_or_lively(places, size):
    frames, similarity = find_key_frames(clip_with(places, size), HZ)
    assert np.abs(frames - places).max() <= 2
    assert similarity.min() > 0.5


def test_templates_are_as_long_as_their_rate_asks_and_unlike_each_other():
    for hz in (25, 30, 60):
        templates = list(key_templates(hz).values())
        assert len(templates) == REFERENCES
        assert len(templates[0]) == pytest.approx(hz / 2, abs=2.5)
        unit = np.stack([t.ravel() / np.linalg.norm(t) for t in templates])
        alike = unit @ unit.T - np.eye(REFERENCES)
        assert alike.max() < 0.6


def test_the_same_motion_at_twice_the_rate_gives_the_same_moments():
    places = [40, 90, 150, 220]
    slow = clip_with(places)
    fast = np.stack([np.interp(np.arange(600) / 2, np.arange(300), channel) for channel in slow.T], 1)
    frames, _ = find_key_frames(fast.astype(np.float32), 2 * HZ)
    assert np.abs(frames / 2 - places).max() <= 3


@pytest.mark.parametrize("frames", [20, 40, 300])
def test_a_still_clip_gives_four_different_frames(frames):
    found, similarity = find_key_frames(np.zeros((frames, 6), np.float32), HZ)
    assert len(set(found.tolist())) == REFERENCES
    assert similarity.tolist() == [0, 0, 0, 0]


def test_a_blink_is_no_style():
    places = [40, 90, 150, 220]
    channels = clip_with(places)
    usable = np.ones(300, bool)
    usable[88:93] = False
    frames, _ = find_key_frames(channels, HZ, usable)
    assert usable[frames].all()
    assert 3 <= abs(frames[1] - 90) <= 6
    assert (find_key_frames(channels, HZ, np.zeros(300, bool))[0] == find_key_frames(channels, HZ)[0]).all()
    landmarks = np.zeros((5, 68, 3))
    landmarks[:, [41, 40, 47, 46], 1] = np.array([0.1, 0.1, 0.02, 0.1, 0.12])[:, None]
    assert eyes_open(landmarks).tolist() == [True, True, False, True, True]


def test_channels_measure_what_they_are_named_after():
    displacement, pose = np.zeros((7, 68, 3), np.float32), np.zeros((7, 6), np.float32)
    displacement[1, [low for _, low in INNER_LIP_PAIRS], 1] = 0.1
    displacement[2, 54, 0], displacement[2, 48, 0] = 0.1, -0.1
    displacement[3, OUTER_LIPS, 2] = -0.1
    displacement[4, BROWS, 1] = -0.1
    pose[5, 0] = pose[6, 1] = 0.1
    channels = motion_channels(displacement, pose)
    assert channels[0].tolist() == [0] * 6
    assert (channels[1:] > 0.05).astype(int).tolist() == np.eye(6, dtype=int).tolist()


@pytest.fixture
def references():
    rng = np.random.default_rng(1)
    landmarks = rng.normal(size=(120, 68, 3))
    displacement, pose = 0.05 * rng.normal(size=(120, 68, 3)), 0.05 * rng.normal(size=(120, 6))
    return style_references(
        landmarks, displacement, pose, HZ, lambda frame: np.full((8, 6, 3), frame, np.uint8)
    ), landmarks


def test_pictures_and_landmarks_are_those_of_the_frames(references):
    found, landmarks = references
    assert found.images[:, 0, 0, 0].tolist() == found.frames.tolist()
    assert found.landmarks == pytest.approx(landmarks[found.frames])
    assert closest_reference(landmarks[found.frames], found.landmarks).tolist() == [0, 1, 2, 3]
    near = 0.9 * landmarks[found.frames[2]] + 0.1 * landmarks[found.frames[1]]
    assert closest_reference(near[None], found.landmarks).tolist() == [2]


def test_they_are_written_and_read(references, tmp_path):
    found, _ = references
    write_style_references(found, tmp_path / "style.zip")
    again = read_style_references(tmp_path / "style.zip")
    assert again.templates == found.templates == tuple(key_templates(HZ))
    for name in ("frames", "similarity", "landmarks", "images"):
        assert (getattr(again, name) == getattr(found, name)).all()
    with pytest.raises(OutputError, match="Cannot write"):
        write_style_references(found, tmp_path / "nowhere" / "style.zip")


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_damaged_file_is_refused(references, tmp_path, keep):
    found, _ = references
    write_style_references(found, tmp_path / "style.zip")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "style.zip").read_bytes()[:keep])
    with pytest.raises(ArtefactError, match="holds no style references"):
        read_style_references(tmp_path / "cut.zip")


def test_unfit_motion_is_refused():
    with pytest.raises(InputError, match=r"not \(5, 68, 2\)"):
        motion_channels(np.zeros((5, 68, 2)), np.zeros((5, 6)))
    with pytest.raises(InputError, match="not finite"):
        motion_channels(np.full((5, 68, 3), np.nan), np.zeros((5, 6)))
    with pytest.raises(InputError, match="need 18 or more"):
        find_key_frames(np.zeros((17, 6), np.float32), HZ - 1)
