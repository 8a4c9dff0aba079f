import math

import numpy as np
import pytest

from engine.stages.log_mel import LogMel, frame_count, frame_start, log_mel, mel_filters, mel_of_windows
from models.spec import MEL_BANDS, MEL_HZ, MEL_WINDOW, SAMPLE_HZ


def reference_frame(window: np.ndarray) -> np.ndarray:
    """The definition, written out in float64 without an FFT."""
    n = np.arange(267)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / 267)
    magnitude = np.abs(np.exp(-2j * np.pi * np.outer(np.arange(257), n) / 512) @ (window.astype(float) * hann))

    def mel(hz: float) -> float:
        return hz / (200 / 3) if hz < 1000 else 15 + math.log(hz / 1000) / (math.log(6.4) / 27)

    def hz(value: float) -> float:
        return value * 200 / 3 if value < 15 else 1000 * math.exp((value - 15) * math.log(6.4) / 27)

    edges = [hz(mel(90) + (mel(7600) - mel(90)) * i / 81) for i in range(82)]
    bands = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        total = 0.0
        for k, value in enumerate(magnitude):
            f = k * 31.25
            if low < f < high:
                slope = (f - low) / (centre - low) if f < centre else (high - f) / (high - centre)
                total += value * slope * 2 / (high - low)
        bands.append(total)
    return np.array([(math.log(max(band, 1e-5)) - math.log(1e-5)) / -math.log(1e-5) for band in bands])


def test_frame_equals_the_definition():
    window = np.random.default_rng(0).uniform(-0.5, 0.5, 267).astype(np.float32)
    np.testing.assert_allclose(mel_of_windows(window[None])[0], reference_frame(window), atol=2e-5)


def test_frame_starts_never_drift():
    for frame in (0, 1, 2, 3, 120, 120 * 3600, 120 * 3600 * 24 * 365):
        assert 0 <= frame * SAMPLE_HZ - frame_start(frame) * MEL_HZ < MEL_HZ
    assert frame_start(120 * 3600) == 16_000 * 3600


def test_frame_count_counts_whole_windows():
    for samples in range(0, 1500):
        whole = [i for i in range(20) if frame_start(i) + MEL_WINDOW <= samples]
        assert frame_count(samples) == len(whole), samples


def test_every_band_hears_something_and_has_unit_area():
    areas = mel_filters().sum(axis=0) * 31.25
    assert areas.min() > 0.85 and areas.max() < 1.15


def test_silence_is_zero_and_full_scale_about_one():
    assert not log_mel(np.zeros(4000, np.float32)).any()
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    assert 0.9 < log_mel(tone).max() < 1.15


def test_tone_peaks_in_its_band():
    filters = mel_filters()
    for band in (5, 40, 75):
        hz = 31.25 * filters[:, band].argmax()
        tone = np.sin(2 * np.pi * hz * np.arange(4000) / 16_000).astype(np.float32)
        assert abs(int(log_mel(tone)[5].argmax()) - band) <= 1


@pytest.mark.parametrize("frames", [1, 3, 5000])
def test_offline_equals_frame_by_frame(frames):
    samples = frame_start(frames - 1) + MEL_WINDOW
    audio = np.random.default_rng(1).uniform(-1, 1, samples).astype(np.float32)
    whole = log_mel(audio)
    assert whole.shape == (frames, MEL_BANDS) and whole.dtype == np.float32
    stage, state = LogMel(), LogMel().init_state()
    for frame in {0, frames // 2, frames - 1}:
        start = frame_start(frame)
        alone, state = stage.step(audio[None, start : start + MEL_WINDOW], state)
        np.testing.assert_allclose(alone[0], whole[frame], atol=1e-6)
    assert stage.flush(state).shape == (0, MEL_BANDS)


def test_less_than_a_window_gives_no_frame():
    assert log_mel(np.zeros(MEL_WINDOW - 1, np.float32)).shape == (0, MEL_BANDS)
