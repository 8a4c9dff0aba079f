"""Loudness, pitch and accents of an utterance: what sizes its movement."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from models.spec import MOTION_HZ, SAMPLE_HZ
from training.corpus.phones import PHONES
from training.corpus.utterance import Phone

_WINDOW: Final = 640
_PITCH_HZ: Final = (65, 400)
_VOICED: Final = 0.45
"""Normalised autocorrelation above which a frame counts as voiced."""
_EMPHASIS_PER_DB: Final = 0.04


@dataclass(frozen=True)
class Prosody:
    """An utterance's prosody at 60 Hz.

    Attributes:
        loudness_db: float64 (frames,), dB relative to the median of the utterance's vowel-like frames.
        pitch: float64 (frames,), octaves relative to the speaker's median; 0 where unvoiced.
        active: float64 (frames,), 0..1, how much the person is speaking.
    """

    loudness_db: NDArray[np.float64]
    pitch: NDArray[np.float64]
    active: NDArray[np.float64]

    def emphasis(self, phone: Phone) -> float:
        """How much larger than usual a vowel's opening is, 0.6..1.4, by its loudness."""
        return float(np.clip(1 + _EMPHASIS_PER_DB * self._peak(self.loudness_db, phone), 0.6, 1.4))

    def prominence(self, phone: Phone) -> float:
        """Loudness and pitch together: about 0 for an ordinary vowel, 1 and more for an accented one."""
        return float(self._peak(self.loudness_db, phone) / 6 + self._peak(self.pitch, phone) / 0.25)

    def _peak(self, curve: NDArray[np.float64], phone: Phone) -> float:
        first = min(int(phone.start_s * MOTION_HZ), len(curve) - 1)
        last = max(first + 1, int(phone.end_s * MOTION_HZ))
        return float(curve[first:last].max())


@dataclass(frozen=True)
class Accent:
    """A syllable that the speaker leans on: when (s) and how strongly (about 0.3..1.5)."""

    time_s: float
    strength: float


def measure_prosody(audio: NDArray[np.float32], frames: int) -> Prosody:
    """Measure loudness and pitch.

    Args:
        audio: float32 (samples,) at 16 kHz.
        frames: How many 60 Hz frames to give.
    """
    padded = np.pad(audio, (_WINDOW // 2, _WINDOW))
    starts = np.minimum(np.arange(frames) * SAMPLE_HZ // MOTION_HZ, len(padded) - _WINDOW)
    windows = sliding_window_view(padded, _WINDOW)[starts]
    power = (windows**2).mean(axis=1) + 1e-9
    level = 10 * np.log10(power)
    floor = np.percentile(level, 95) - 30
    active = gaussian_filter1d((level > floor).astype(np.float64), 0.15 * MOTION_HZ)
    loud = level > np.percentile(level, 95) - 12
    reference = np.median(level[loud]) if loud.any() else 0.0

    spectrum = np.fft.rfft(windows * np.hanning(_WINDOW), 2 * _WINDOW, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :_WINDOW]
    # The window's own autocorrelation falls off with lag; undone, a period's peak is as high as lag 0.
    taper = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(_WINDOW), 2 * _WINDOW)) ** 2)[:_WINDOW]
    shortest, longest = SAMPLE_HZ // _PITCH_HZ[1], SAMPLE_HZ // _PITCH_HZ[0]
    lags = slice(shortest, longest)
    normalised = correlation[:, lags] / (correlation[:, :1] + 1e-9) * (taper[0] / taper[lags])
    best = normalised.argmax(axis=1)
    voiced = (normalised.max(axis=1) > _VOICED) & (level > floor)
    hertz = SAMPLE_HZ / (best + shortest)
    median = np.median(hertz[voiced]) if voiced.any() else 100.0
    octaves = np.where(voiced, np.clip(np.log2(hertz / median), -0.7, 0.7), 0.0)
    # A frame an octave off is the estimator's slip and not the speaker's: smooth over it.
    return Prosody(
        loudness_db=np.clip(gaussian_filter1d(level - reference, 1.5), -40, 12),
        pitch=gaussian_filter1d(octaves, 3.0),
        active=np.clip(active, 0, 1),
    )


def find_accents(phones: list[Phone], prosody: Prosody) -> list[Accent]:
    """Stressed vowels that stand out in loudness and pitch, at most one in 0.25 s."""
    accents: list[Accent] = []
    for phone in phones:
        if PHONES[phone.symbol].manner != "vowel" or not phone.stress:
            continue
        strength = 0.4 + 0.5 * prosody.prominence(phone)
        time_s = (phone.start_s + phone.end_s) / 2
        if strength < 0.3:
            continue
        if accents and time_s - accents[-1].time_s < 0.25:
            if strength > accents[-1].strength:
                accents[-1] = Accent(time_s, min(strength, 1.5))
            continue
        accents.append(Accent(time_s, min(strength, 1.5)))
    return accents
