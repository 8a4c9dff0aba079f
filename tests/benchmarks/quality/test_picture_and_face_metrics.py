import numpy as np
import pytest
from clip_fakes import face

from benchmarks.quality import face_metrics, picture_metrics


def flat(level, side=32):
    return np.full((side, side), level, np.uint8)


def test_psnr_of_one_level_is_48_db():
    assert picture_metrics.psnr(flat(10), flat(11)) == pytest.approx(20 * np.log10(255))
    assert picture_metrics.psnr(flat(250), flat(5)) == pytest.approx(20 * np.log10(255 / 245))
    assert picture_metrics.psnr(flat(9), flat(9)) == np.inf


def test_ssim_of_flat_pictures_is_the_luminance_term():
    a, b, c1 = 100.0, 150.0, 6.5025
    assert picture_metrics.ssim(flat(100), flat(150)) == pytest.approx(
        (2 * a * b + c1) / (a * a + b * b + c1), abs=1e-4
    )
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    assert picture_metrics.ssim(noise, noise) == pytest.approx(1)
    assert picture_metrics.ssim(noise, 255 - noise) < 0
    with pytest.raises(ValueError, match="one size"):
        picture_metrics.ssim(noise, noise[:32])


def test_flicker_is_what_both_neighbours_lack():
    assert picture_metrics.flicker(flat(100), flat(110), flat(100)) == pytest.approx(10)
    assert picture_metrics.flicker(flat(100), flat(110), flat(120)) == 0


def closing(frames, shut, fps=25):
    """A face whose eyes are shut in the frames named."""
    clip = np.repeat(face()[None], frames, axis=0)
    for start, end in shut:
        for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
            clip[start:end, upper] = clip[start:end, lower]
    return clip


def test_blinks_are_counted_by_their_length():
    clip = closing(250, [(20, 23), (100, 101), (150, 190), (240, 250)])
    # 0.12 s and 0.04 s are blinks; 1.6 s is no blink; 0.4 s at the end is one.
    assert face_metrics.blinks_per_minute(clip, 25) == pytest.approx(60 * 3 / 10)
    assert face_metrics.blinks_per_minute(closing(250, []), 25) == 0


def test_eye_and_lip_openings_are_shares_of_the_face():
    clip = closing(2, [(1, 2)])
    eyes = face_metrics.eye_openings(clip)
    assert eyes[1] == pytest.approx(0, abs=1e-6) and 0.1 < eyes[0] < 0.6
    points = np.zeros((1, 68, 2))
    points[0, 8] = (0, 200)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        points[0, upper], points[0, lower] = (0, 100), (0, 120)
    assert face_metrics.lip_openings(points) == pytest.approx([0.1])
