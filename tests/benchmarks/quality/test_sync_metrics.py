import numpy as np
import pytest
from clip_fakes import speech_like

from benchmarks.quality.sync_metrics import lip_sync, sound_lag

FPS = 25.0


@pytest.mark.parametrize("late", [-7, -3, 0, 1, 3, 12])
def test_a_delay_of_the_lips_is_found_exactly(late):
    opening = speech_like(300)
    found = lip_sync(opening, np.roll(opening, late), FPS)
    assert found.av_offset_frames == late and found.best_r > 0.95
    assert (found.r0 > 0.99) == (late == 0)


def test_lips_that_are_as_late_as_their_sound_are_in_sync():
    opening = speech_like(300)
    found = lip_sync(opening, np.roll(opening, 9), FPS, sound_lag_s=9 / FPS)
    assert found.av_offset_frames == 0 and found.r0 > 0.95
    assert lip_sync(opening, opening, FPS, sound_lag_s=4 / FPS).av_offset_frames == -4


def test_a_mouth_that_never_moves_is_in_sync_with_nothing_and_not_late():
    found = lip_sync(speech_like(100), np.ones(100), FPS)
    assert (found.r0, found.av_offset_frames) == (0, 0)


def test_very_short_clips_are_compared_as_far_as_they_go():
    assert lip_sync(speech_like(5), speech_like(5), FPS).r0 == pytest.approx(1)


@pytest.mark.parametrize("late", [-4000, 0, 1, 12345])
def test_the_lag_of_the_same_sound_is_found_to_a_sample(late):
    sound = np.random.default_rng(0).normal(size=48_000).astype(np.float32)
    later = np.concatenate([np.zeros(late, np.float32), sound]) if late >= 0 else sound[-late:]
    assert sound_lag(sound, (0.3 * later).astype(np.float32)) == late / 16_000


def test_different_or_silent_sound_has_no_lag():
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=32_000).astype(np.float32) for _ in range(2))
    assert sound_lag(one, other) is None
    assert sound_lag(one, np.zeros(100, np.float32)) is None
    assert sound_lag(np.zeros(0, np.float32), one) is None
