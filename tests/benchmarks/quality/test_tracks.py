import numpy as np
import pytest
from clip_fakes import FPS, NO_FACE, Counted, face, noise, pictures, write_clip

from benchmarks.quality import tracks
from engine.errors import InputError, OutputError


def test_a_clip_is_measured_once_whatever_it_is_called(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", pictures([0, 0.5, 1, 0.5, 0]))
    count = Counted()
    first = tracks.load_track(clip, tmp_path / "cache", count)
    again = tracks.load_track(clip.rename(tmp_path / "b.mp4"), tmp_path / "cache", count)
    assert count.seen == 5 and first.fps == pytest.approx(FPS) and first.size == (128, 128)
    assert (first.points == again.points).all() and first.times == pytest.approx(np.arange(5) / FPS)
    # Points are those of a picture of 512.
    assert first.points[2] == pytest.approx(face(1, 512), abs=1.5)
    (stored,) = (tmp_path / "cache").iterdir()
    stored.write_bytes(b"damaged")
    assert (tracks.load_track(tmp_path / "b.mp4", tmp_path / "cache", count).points == first.points).all()
    assert count.seen == 10


def test_pictures_without_a_face_are_bridged_and_marked(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", pictures([0, 1, NO_FACE, NO_FACE, NO_FACE, 0, 0, NO_FACE]))
    track = tracks.load_track(clip, tmp_path, Counted())
    assert track.missing.tolist() == [False, False, True, True, True, False, False, True]
    lip = track.points[:, 66, 1]
    assert lip[3] == pytest.approx((lip[1] + lip[5]) / 2, abs=0.1) and lip[7] == lip[6]


def test_a_clip_without_faces_is_one_sentence(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", pictures([0, NO_FACE, NO_FACE, NO_FACE]))
    with pytest.raises(InputError, match="no face in 3 of 4 pictures"):
        tracks.load_track(clip, tmp_path, Counted())


def test_what_is_no_video_is_one_sentence(tmp_path):
    broken = tmp_path / "x.mp4"
    broken.write_bytes(b"nothing")
    for bad in (broken, tmp_path / "missing.mp4", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            tracks.load_track(bad, tmp_path / "cache", Counted())
    assert tracks.read_sound(broken) is None
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="another cache folder"):
        tracks.load_track(write_clip(tmp_path / "a.mp4", pictures([0, 0])), tmp_path / "file", Counted())


def test_times_between_pictures_are_interpolated_and_near_ones_taken():
    points = np.zeros((3, 68, 2), np.float32)
    points[:, :, 0] = np.array([0, 10, 20])[:, None]
    track = tracks.FaceTrack(np.array([0, 0.04, 0.08]), points, np.zeros(3, bool), (512, 512))
    found = track.at(np.array([-1, 0.02, 0.0401, 0.07, 9]))[:, 0, 0]
    assert found == pytest.approx([0, 5, 10, 17.5, 20])


def test_sound_begins_with_the_first_picture(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", pictures([0] * 25), noise(1))
    assert next(tracks.read_pictures(clip))[0] == pytest.approx(0, abs=1e-6)
    sound = tracks.read_sound(clip)
    assert sound is not None and abs(len(sound) - 16_000) < 1100
