import numpy as np
import pytest

from models.spec import SAMPLE_HZ
from training.corpus.psola import pitch_marks, sing


def buzz(f0, seconds=0.6):
    """Pulses through a resonance, as a voice on one note."""
    pulses = np.zeros(round(seconds * SAMPLE_HZ))
    pulses[(np.arange(int(seconds * f0)) * SAMPLE_HZ / f0).astype(int)] = 1
    ring = np.exp(-np.arange(200) / 30) * np.sin(2 * np.pi * 700 * np.arange(200) / SAMPLE_HZ)
    return np.convolve(pulses, ring)[: len(pulses)].astype(np.float32)


def fundamental(audio):
    """Lag of the highest peak of the autocorrelation, as Hz."""
    wave = audio[len(audio) // 4 : -len(audio) // 4].astype(float)
    likeness = np.correlate(wave, wave, "full")[len(wave) - 1 :]
    shortest = SAMPLE_HZ // 400
    return SAMPLE_HZ / (shortest + np.argmax(likeness[shortest : SAMPLE_HZ // 70]))


def test_marks_are_a_period_apart_though_the_note_is_a_little_off():
    marks = pitch_marks(buzz(110), 105)
    assert np.median(np.diff(marks)) == pytest.approx(SAMPLE_HZ / 110, abs=1)


@pytest.mark.parametrize(("f0", "wanted"), [(110, 110), (110, 147), (200, 150)])
def test_a_note_lasts_as_long_and_sounds_as_high_as_asked(f0, wanted):
    moments = np.arange(400) / 200
    sung = sing(buzz(f0), f0, moments * 0.6 / 2, np.full(400, float(wanted)), 200)
    assert len(sung) == 2 * SAMPLE_HZ and sung.dtype == np.float32
    assert fundamental(sung) == pytest.approx(wanted, rel=0.03)


def test_silence_stays_silent():
    assert not sing(np.zeros(4000, np.float32), 120, np.arange(50) / 200, np.full(50, 140.0), 200).any()
