import cv2
import numpy as np
import pytest
from clip_fakes import FPS, face, noise, write_clip

from benchmarks.quality import framing, preprocess
from benchmarks.quality.tracks import FaceTrack, read_pictures, read_sound
from engine.errors import InputError, OutputError, PortraitError
from engine.portrait.crop import Crop


def test_the_skin_has_no_eyes_brows_or_mouth():
    points = face(1)
    mask = preprocess.skin_mask(points)

    def at(index):
        x, y = np.rint(points[index].mean(axis=0)).astype(int)
        return bool(mask[y, x])

    assert at([30]) and at([2, 48]) and at([14, 54])
    assert not at(range(36, 42)) and not at(range(42, 48)) and not at(range(60, 68)) and not at([19])
    above = np.rint((points[19] + points[24]) / 2 - (0, 12)).astype(int)
    assert mask[above[1], above[0]] and not mask[0, 0] and not mask[-1].any()


def textured(seed=0, side=256):
    rough = np.random.default_rng(seed).uniform(0, 255, (side, side)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(rough, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def moved(picture, x, y):
    matrix = np.array([[1.0, 0, x], [0, 1, y]])
    return cv2.warpAffine(picture, matrix, picture.shape[::-1], borderMode=cv2.BORDER_REFLECT).astype(np.uint8)


def test_the_torso_is_followed_where_it_goes():
    base, path = textured(), [(0, 0), (1.5, 0), (3, 1), (4, 2.5), (2, 4)]
    shown = [moved(base, x, y) for x, y in path]
    points = face(0, 256) - (0, 70)
    matte = np.full((256, 256), 255, np.uint8)
    matte[:, :40] = 0
    start = preprocess.torso_points(shown[0], points, matte)
    assert len(start) > 20 and start[:, 1].min() > points[8, 1] and start[:, 0].min() >= 40
    motion, counts = preprocess.follow_torso(iter(shown), start)
    assert motion[:, :, 2] - motion[0, :, 2] == pytest.approx(np.array(path), abs=0.6)
    assert motion[:, :, :2] == pytest.approx(np.tile(np.eye(2), (5, 1, 1)), abs=0.02) and counts[-1] > 10


def test_a_torso_without_marks_stands_still():
    blank = np.full((64, 64), 90, np.uint8)
    start = preprocess.torso_points(blank, face(0, 64), blank * 0 + 255)
    motion, counts = preprocess.follow_torso([blank] * 3, start)
    assert motion.shape == (3, 2, 3) and not motion[:, :, 2].any() and counts.tolist() == [0, 0, 0]


def test_what_is_prepared_is_written_once(tmp_path):
    shown = [np.dstack([moved(textured(side=512), x, 0)] * 3) for x in range(3)]
    clip = write_clip(tmp_path / "a.mp4", shown)
    track = FaceTrack(np.arange(3) / FPS, np.stack([face()] * 3), np.zeros(3, bool), (512, 512))
    target = tmp_path / "a.npz"
    preprocess.write_prepared(clip, track, np.full((512, 512), 255, np.uint8), target)
    with np.load(target) as arrays:
        assert np.unpackbits(arrays["skin"], axis=-1).astype(bool)[1].tolist() == preprocess.skin_mask(face()).tolist()
        assert arrays["torso"].shape == (3, 2, 3) and arrays["points"].shape == (3, 68, 2)
    before = target.stat().st_mtime_ns
    preprocess.write_prepared(tmp_path / "gone.mp4", track, np.zeros((512, 512), np.uint8), target)
    assert target.stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="Cannot write"):
        preprocess.write_prepared(clip, track, np.full((512, 512), 255, np.uint8), tmp_path / "no" / "a.npz")


def levels(count, fps, tmp_path, sound=True):
    """A clip whose picture n has the level 10 n."""
    shown = [np.full((64, 64, 3), 10 * number, np.uint8) for number in range(count)]
    return write_clip(tmp_path / f"{fps}.mp4", shown, noise(count / fps) if sound else None, fps)


@pytest.mark.parametrize(("fps", "out", "expected"), [(25, 50, [0, 0, 1, 1, 2, 2, 3, 3]), (50, 25, [0, 2, 4, 6])])
def test_a_clip_is_cut_at_the_rate_that_is_asked_for(fps, out, expected, tmp_path):
    source, target = levels(12, fps, tmp_path), tmp_path / "cut" / "a.mp4"
    crop = Crop(np.array([[8.0, 0, 3.5], [0, 8, 3.5]]), 8.0)
    framing._write(source, source, target, crop, out)
    shown = [(time, picture) for time, picture in read_pictures(target)]
    assert shown[0][1].shape == (512, 512, 3) and shown[1][0] == pytest.approx(1 / out)
    found = [round(float(picture.mean()) / 10) for _, picture in shown][: len(expected)]
    assert np.abs(np.array(found) - expected).max() <= 1
    sound = read_sound(target)
    assert sound is not None and len(sound) / 16_000 == pytest.approx(len(shown) / out, abs=0.03)


def test_the_portrait_is_the_first_picture_that_can_be_one(tmp_path, monkeypatch):
    def find(picture, tracker):
        if picture.mean() < 15 + tracker:
            raise PortraitError(f"level {picture.mean():.0f}")

    monkeypatch.setattr(framing, "find_face", find)
    clip = levels(12, 10, tmp_path)
    time, picture = framing._first_portrait(clip, 0)
    assert time == pytest.approx(0.2) and picture.mean() == pytest.approx(20, abs=3)
    with pytest.raises(PortraitError, match="level 0"):
        framing._first_portrait(clip, 90)  # the twelfth would do, but lies beyond the first second


def test_clips_that_cannot_be_framed_are_one_sentence(tmp_path):
    assert framing.clip_rate(levels(4, 30, tmp_path)) == 30
    with pytest.raises(InputError, match="fewer than two"):
        framing.clip_rate(levels(1, 25, tmp_path))
    mute = levels(3, 24, tmp_path, sound=False)
    with pytest.raises(InputError, match="no sound"):
        framing._write(mute, mute, tmp_path / "x.mp4", Crop(np.eye(3)[:2], 1.0), 24)
