from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from models.spec import MOUTH
from tests.training.corpus.clips import write_audio, write_video
from tests.training.corpus.test_registration import template
from training.corpus.voxceleb2 import LandmarkFunction, VoxCelebClip, list_clips, load_motion, prepare

FRAMES = 26
METADATA = (
    "Identity  : \tid00012\nOffset  : \t-1\nFV Conf : \t18.70\n\nFRAME \tX \tY \tW \tH\n000000 \t0.1 \t0.1 \t1 \t1\n"
)


def make_set(root: Path, sound: bool = True) -> Path:
    """One clip whose brightness rises by 8 with every frame, so that a fake can tell the time."""
    pictures = np.zeros((FRAMES, 32, 48, 3), np.uint8)
    pictures[:] = (20 + 8 * np.arange(FRAMES)).astype(np.uint8)[:, None, None, None]
    write_video(root / "dev/mp4/id00012/abc/00001.mp4", pictures)
    if sound:
        write_audio(root / "dev/aac/id00012/abc/00001.m4a", FRAMES / 25, 200.0, "aac")
    (root / "dev/txt/id00012/abc").mkdir(parents=True)
    (root / "dev/txt/id00012/abc/00001.txt").write_text(METADATA)
    return root


class FakeFace:
    """Reads the frame's number from its brightness; the mouth moves evenly with it."""

    def __init__(self, blind: tuple[int, ...] = ()) -> None:
        self.blind = blind
        self.calls = 0

    def __call__(self, rgb: np.ndarray) -> np.ndarray | None:
        number = round((float(rgb.mean()) - 20.0) / 8.0)
        self.calls += 1
        if number in self.blind:
            return None
        points = template()
        points[MOUTH, 1] += 0.01 * number
        return 100.0 * points + [300.0, 200.0, 0.0]


def only_clip(root: Path) -> VoxCelebClip:
    (clip,) = list_clips(root)
    return clip


def test_the_layout_is_read(tmp_path: Path) -> None:
    clip = only_clip(make_set(tmp_path))
    assert (clip.speaker, clip.video_id, clip.name) == ("id00012", "abc", "00001")
    assert clip.sound.suffix == ".m4a"
    assert clip.metadata == {"Identity": "id00012", "Offset": "-1", "FV Conf": "18.70"}


def test_motion_is_at_60_hz_and_free_of_pose(tmp_path: Path) -> None:
    found = load_motion(only_clip(make_set(tmp_path)), FakeFace(), template())
    frames = (FRAMES - 1) * 60 // 25 + 1
    assert found.motion.displacement.shape == (frames, 68, 3)
    mouth = found.motion.displacement[:, MOUTH, 1].mean(1)
    # 0.01 fu a frame at 25 fps, whatever the median is; the mean of the ends absorbs it.
    assert np.diff(mouth) == pytest.approx(np.full(frames - 1, 0.01 * 25 / 60), abs=1.5e-3)
    assert mouth[-1] - mouth[0] == pytest.approx(0.01 * (FRAMES - 1), rel=0.02)
    assert np.abs(found.motion.pose).max() < 1e-3
    assert len(found.audio) == pytest.approx(16_000 * FRAMES / 25, rel=0.1)


def test_short_gaps_are_bridged_and_long_ones_refused(tmp_path: Path) -> None:
    clip = only_clip(make_set(tmp_path))
    whole = load_motion(clip, FakeFace(), template()).motion.displacement
    bridged = load_motion(clip, FakeFace(blind=(7, 8)), template()).motion.displacement
    assert bridged == pytest.approx(whole, abs=5e-3)
    with pytest.raises(InputError, match="shows no face for"):
        load_motion(clip, FakeFace(blind=(7, 8, 9, 10, 11)), template())
    with pytest.raises(InputError, match="shows a face in 0 of 26 frames"):
        load_motion(clip, FakeFace(blind=tuple(range(FRAMES))), template())


def test_a_measured_clip_is_not_measured_again(tmp_path: Path) -> None:
    clip, cache = only_clip(make_set(tmp_path / "set")), tmp_path / "cache"
    first = load_motion(clip, FakeFace(), template(), cache)
    again = FakeFace()
    second = load_motion(clip, again, template(), cache)
    assert again.calls == 0
    assert np.array_equal(first.audio, second.audio)
    assert np.array_equal(first.motion.displacement, second.motion.displacement)
    # Another template, or a damaged file, is measured anew.
    load_motion(clip, again, 1.1 * template(), cache)
    assert again.calls == FRAMES
    for stored in cache.iterdir():
        stored.write_bytes(stored.read_bytes()[:100])
    load_motion(clip, again, template(), cache)
    assert again.calls == 2 * FRAMES


def test_a_split_goes_on_past_clips_that_cannot_be_used(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set")
    broken = root / "dev/mp4/id00099/xyz/00001.mp4"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"junk")
    made: list[LandmarkFunction] = []

    def make() -> LandmarkFunction:
        made.append(FakeFace())
        return made[-1]

    results = list(prepare(root, tmp_path / "cache", template(), make))
    assert [clip.speaker for clip, _ in results] == ["id00012", "id00099"]
    assert not isinstance(results[0][1], InputError)
    assert isinstance(results[1][1], InputError)
    assert len(made) == 2


def test_a_missing_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder .*dev/mp4"):
        list_clips(tmp_path)
    (tmp_path / "dev/mp4").mkdir(parents=True)
    with pytest.raises(InputError, match="unpack the archives"):
        list_clips(tmp_path)


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    clip = only_clip(make_set(tmp_path, sound=False))
    assert clip.sound == clip.video
    with pytest.raises(InputError, match="holds no sound"):
        load_motion(clip, FakeFace(), template())
