"""The arithmetic of mien bench."""

import numpy as np
import pytest

from benchmarks.impulse import answers, impulses, syllable
from benchmarks.probe import ProbeRenderer, opening_of, read_opening, write_opening
from benchmarks.timing import (
    NS_PER_TICK,
    av_offset_ms,
    interval_jitter_ms,
    motion_lag_ms,
    mouth_to_frame_ms,
    percentiles,
    source_offsets,
)
from engine.care import Care
from engine.controls import Face
from engine.errors import AudioError
from tests.bundles import face_template

RATE = 48_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


def frames(count: int, fps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    ticks = np.arange(count) * (RATE // fps)
    return np.rint(ticks * NS_PER_TICK).astype(np.int64) + 10**12, ticks


def test_percentiles_of_something_and_of_nothing():
    assert percentiles(np.arange(1, 101), with_max=True) == {"p50": 50.5, "p95": 95.05, "p99": 99.01, "max": 100}
    assert percentiles(np.zeros(0)) == {"p50": 0, "p95": 0, "p99": 0}


def test_jitter_is_against_the_media_clock():
    ns, ticks = frames(10)
    assert interval_jitter_ms(ns, ticks).max() < 1e-5
    # A step down the ladder is no jitter; a late frame is, before and after.
    kept = np.array([0, 1, 2, 4, 6, 8])
    assert interval_jitter_ms(ns[kept], ticks[kept]).max() < 1e-5
    ns[5] += 4_000_000
    np.testing.assert_allclose(np.sort(interval_jitter_ms(ns, ticks))[-2:], 4, atol=1e-4)


def test_av_offset_is_where_picture_and_sound_meet():
    ns, ticks = frames(30)
    block_ticks = np.arange(50) * 960
    block_ns = np.rint(block_ticks * NS_PER_TICK).astype(np.int64) + 10**12
    assert np.abs(av_offset_ms(ns, ticks, block_ns, block_ticks)).max() < 1e-4
    np.testing.assert_allclose(av_offset_ms(ns + 5_000_000, ticks, block_ns, block_ticks), 5, atol=1e-4)
    assert len(av_offset_ms(ns, ticks, block_ns[20:], block_ticks[20:])) == 30 - 12


@pytest.mark.parametrize("offset", [0, 1, 7777, 20_000])
def test_sound_is_found_to_the_tick(offset):
    said = noise(13)
    heard = np.concatenate([np.zeros(offset, np.float32), said])
    places, offsets = source_offsets(said, heard, 9000)
    assert len(places) >= 2 and (offsets == offset).all()


def test_a_drifting_sound_is_followed():
    said = np.convolve(noise(30), np.hanning(24), "same").astype(np.float32)
    heard = np.interp(np.arange(len(said)) * (1 + 100e-6), np.arange(len(said)), said).astype(np.float32)
    places, offsets = source_offsets(said, heard, 0)
    np.testing.assert_allclose(offsets, -100e-6 * places, atol=8)


def test_other_sound_and_too_little_of_it_are_refused():
    with pytest.raises(AudioError, match="not the sound that went in"):
        source_offsets(noise(5), noise(5, seed=1), 0)
    with pytest.raises(AudioError, match="too short"):
        source_offsets(noise(5), noise(0.5), 0)


def test_latency_counts_from_the_capture():
    ns, ticks = frames(30)
    # Sound captured from one second after the origin on; media time 48000 + 96 is its first sample.
    start = 10**12 + 10**9
    latency = mouth_to_frame_ms(ns + 80_000_000, ticks, start, np.array([0.0]), np.array([RATE + 96.0]))
    np.testing.assert_allclose(latency, 82, atol=1e-3)


@pytest.mark.parametrize("lag", [-40, 0, 33])
def test_lag_of_motion_is_found(lag):
    times = np.arange(0, 8, 1 / 60)
    curve = np.abs(np.sin(times * 9.1) * np.sin(times * 2.3 + 1))
    shown = np.interp(times - lag / 1e3, times, curve)
    assert motion_lag_ms(times[30:-30], shown[30:-30], times, curve) == pytest.approx(lag, abs=1)


def test_a_picture_carries_its_opening():
    picture = np.zeros((8, 8, 3), np.uint8)
    assert np.isnan(read_opening(picture))
    for opening in (0.0, 0.123, 3.0, 99.0):
        write_opening(picture, opening)
        assert read_opening(picture) == pytest.approx(min(opening, 0xFFFF / 20_000), abs=1e-4)
    assert not picture[1:].any()


def test_opening_is_that_of_the_inner_lips_whatever_the_pose():
    face = face_template()
    assert opening_of(face) == pytest.approx(0, abs=1e-6)
    face[[65, 66, 67], 1] += 0.1
    turned = face[:, [1, 2, 0]] * np.array([1, -1, 1], np.float32) + 0.3
    assert opening_of(face) == pytest.approx(0.1, abs=1e-5) == opening_of(turned)


def test_the_probe_draws_what_the_renderer_draws():
    class Renderer:
        workers, closed = 2, 0

        async def render(self, face, care=Care.FULL):
            assert care is Care.ECONOMY
            picture = np.full((8, 8, 3), 200, np.uint8)
            picture.setflags(write=False)
            return picture

        def close(self):
            self.closed += 1

    inner = Renderer()
    probe = ProbeRenderer(inner)
    face = face_template()
    face[[65, 66, 67], 1] += 0.05
    coroutine = probe.render(
        Face(face, np.zeros(6, np.float32), np.zeros(2, np.float32), np.zeros(6, np.float32)), Care.ECONOMY
    )
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    picture = done.value.value
    assert read_opening(picture) == pytest.approx(0.05, abs=1e-4)
    assert (picture[1:] == 200).all() and (picture[0, 1:] == 200).all()
    probe.close()
    assert probe.workers == 2 and inner.closed == 1


def spoken() -> np.ndarray:
    """Two words after pauses, the second louder; and a swell that begins nowhere."""
    sound = np.zeros(16_000 * 4, np.float32)
    for at, length, level in ((8_000, 4_000, 0.1), (24_000, 12_000, 0.3)):
        sound[at : at + length] = level * np.sign(noise(1)[:length])
    sound[40_000:56_000] = 0.3 * np.linspace(0, 1, 16_000) * np.sign(noise(1)[:16_000])
    return sound


def test_the_syllable_is_the_loudest_that_follows_silence():
    found = syllable(spoken())
    assert len(found) == 5_600 and np.abs(found).max() == pytest.approx(0.5)
    # It begins with its first sound and is faded out, not cut off.
    assert np.abs(found[:16]).min() > 0.4 and abs(found[-1]) < 1e-6
    # Of a recording without a pause, it is its loudest part.
    assert np.abs(syllable(0.1 * noise(1))).max() == pytest.approx(0.5)


def test_impulses_begin_where_they_say():
    sound, onsets = impulses(syllable(spoken()), 4)
    assert len(onsets) == 4 and len({round(onset % (1 / 60), 5) for onset in onsets}) > 1
    for onset in onsets:
        at = round(onset * 16_000)
        assert not sound[at - 16_000 : at].any() and abs(sound[at]) > 0.05


def test_answers_are_the_first_frames_that_move():
    captured = np.arange(0, 6, 1 / 30)
    onsets = [1.0, 2.5, 4.0, 5.0]
    opening = 0.002 + 0.001 * np.sin(np.arange(len(captured)))  # lips that stir
    for onset, delay in ((1.0, -0.1), (2.5, 0.1)):
        opening[(captured >= onset + delay) & (captured < onset + 0.35)] = 0.2
    # The third syllable is not answered; the fourth opens no further than the stirring.
    opening[captured >= 5.0] = 0.004
    first, second, third, fourth = answers(onsets, captured, opening)
    assert third is None and fourth is None
    assert -0.1 <= captured[first.frame] - 1.0 < -0.066 and 0.1 <= captured[second.frame] - 2.5 < 0.134
    # Another curve is held against the same thresholds.
    louder = answers(onsets[:1], captured, 10 * opening, [first.threshold])
    assert louder[0].frame <= first.frame


def test_the_likeness_of_silence_is_no_likeness():
    said = np.concatenate([np.zeros(60_000, np.float32), noise(0.35), np.zeros(60_000, np.float32)])
    heard = np.concatenate([np.zeros(97, np.float32), said, np.zeros(60_000, np.float32)])
    heard += 1e-9 * noise(len(heard) / RATE, seed=2)[: len(heard)]
    _, offsets = source_offsets(said, heard, 0)
    assert (offsets == 97).all()
