"""Sounds that surround a live microphone, synthesised: (samples, generator) -> float32, about unit RMS, 16 kHz."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter

from models.spec import SAMPLE_HZ

Audio = NDArray[np.float32]


def coloured_noise(count: int, rng: np.random.Generator, slope: float) -> Audio:
    """Noise whose power falls with frequency as ``f ** -slope``: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(count, np.float32))
    frequency = np.fft.rfftfreq(count, 1.0 / SAMPLE_HZ)
    spectrum *= np.maximum(frequency, 80.0) ** (-0.5 * slope)
    return _unit(np.fft.irfft(spectrum, count))


def hum(count: int, rng: np.random.Generator) -> Audio:
    """Mains hum: 50 or 60 Hz with up to a dozen harmonics."""
    base = float(rng.choice([50.0, 60.0])) * float(rng.uniform(0.998, 1.002))
    t = np.arange(count) / SAMPLE_HZ
    sound = np.zeros(count)
    for harmonic in range(1, int(rng.integers(3, 13))):
        level = float(rng.uniform(0.1, 1.0)) / harmonic ** float(rng.uniform(0.3, 1.2))
        sound += level * np.sin(2 * np.pi * (harmonic * base * t + rng.random()))
    return _unit(sound)


def fan(count: int, rng: np.random.Generator) -> Audio:
    """A fan or air conditioning: falling noise that pulses with the blades, and a faint blade tone."""
    t = np.arange(count) / SAMPLE_HZ
    blade = float(rng.uniform(15.0, 130.0))
    pulse = 1.0 + float(rng.uniform(0.05, 0.4)) * np.sin(2 * np.pi * (blade * t + rng.random()))
    tone = float(rng.uniform(0.0, 0.3)) * np.sin(2 * np.pi * (blade * float(rng.integers(2, 8)) * t))
    return _unit(coloured_noise(count, rng, float(rng.uniform(0.8, 1.8))) * pulse + tone)


def keyboard(count: int, rng: np.random.Generator) -> Audio:
    """Typing: short decaying clicks in bursts, each key with its own resonance."""
    sound = np.zeros(count + SAMPLE_HZ // 5, np.float32)
    position = int(rng.exponential(0.2) * SAMPLE_HZ)
    while position < count:
        length = int(rng.uniform(0.008, 0.04) * SAMPLE_HZ)
        t = np.arange(length) / SAMPLE_HZ
        body = np.sin(2 * np.pi * float(rng.uniform(600.0, 4500.0)) * t) + rng.standard_normal(length)
        click = body * np.exp(-t * float(rng.uniform(150.0, 500.0)))
        sound[position : position + length] += (float(rng.uniform(0.3, 1.0)) * click).astype(np.float32)
        pause = rng.exponential(0.12) if rng.random() < 0.9 else rng.uniform(0.5, 2.0)
        position += int((0.04 + pause) * SAMPLE_HZ)
    return _unit(sound[:count])


def music(count: int, rng: np.random.Generator) -> Audio:
    """A simple bed: chords or arpeggios of harmonic tones over a beat, sometimes with a noise drum."""
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    root = float(rng.uniform(80.0, 260.0))
    beat = int(SAMPLE_HZ * rng.uniform(0.25, 0.7))
    harmonics = np.arange(1, int(rng.integers(3, 9)))
    rolloff = harmonics ** -float(rng.uniform(0.8, 2.0))
    decay = float(rng.uniform(0.5, 6.0))
    drum = float(rng.uniform(0.1, 0.6)) if rng.random() < 0.5 else 0.0
    sound = np.zeros(count + beat, np.float32)
    t = np.arange(beat) / SAMPLE_HZ
    fade = np.minimum(1.0, np.minimum(t, t[::-1]) * 100.0) * np.exp(-decay * t)
    for start in range(0, count, beat):
        degree = int(rng.integers(7))
        notes = [degree, degree + 2, degree + 4] if rng.random() < 0.6 else [int(rng.integers(14))]
        for note in notes:
            pitch = root * 2.0 ** ((scale[note % 7] + 12 * (note // 7)) / 12.0)
            keep = harmonics * pitch < 0.48 * SAMPLE_HZ
            waves = np.sin(2 * np.pi * pitch * np.outer(harmonics[keep], t))
            sound[start : start + beat] += (rolloff[keep] @ waves * fade).astype(np.float32)
        if drum:
            hit = rng.standard_normal(beat) * np.exp(-t * float(rng.uniform(20.0, 80.0)))
            sound[start : start + beat] += (drum * hit).astype(np.float32)
    return _unit(sound[:count])


def babble(count: int, rng: np.random.Generator, voices: Sequence[Audio] = ()) -> Audio:
    """Other people talking: ``voices`` at random offsets, or syllable-shaped noise where there are none."""
    sound = np.zeros(count, np.float32)
    for _ in range(int(rng.integers(2, 7))):
        if voices:
            voice = voices[int(rng.integers(len(voices)))]
            if len(voice):
                rolled = np.roll(np.resize(voice, count), int(rng.integers(count)) if count else 0)
                sound += float(rng.uniform(0.4, 1.0)) * _unit(rolled)
        else:
            sound += float(rng.uniform(0.4, 1.0)) * _speech_like(count, rng)
    return _unit(sound)


def _speech_like(count: int, rng: np.random.Generator) -> Audio:
    """A buzzing source through two formants, swelling about four times a second."""
    period = SAMPLE_HZ / float(rng.uniform(90.0, 250.0))
    source = 0.1 * rng.standard_normal(count)
    source[(np.arange(0, count / period) * period).astype(int)[: max(count, 0)]] += 1.0
    for centre in (float(rng.uniform(300.0, 800.0)), float(rng.uniform(900.0, 2200.0))):
        radius, angle = 0.97, 2 * np.pi * centre / SAMPLE_HZ
        source = lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], source)
    syllables = np.repeat(rng.random(count // 2000 + 2), 2000)[:count] ** 2
    return _unit(source * uniform_filter1d(syllables, 1200))


def add_at_snr(audio: Audio, noise: Audio, snr_db: float) -> Audio:
    """``audio`` plus ``noise`` scaled so that speech is ``snr_db`` above it; silence is left as it is.

    The level of the speech is that of its parts within 35 dB of the peak.
    """
    loud = np.abs(audio)
    peak = float(loud.max(initial=0.0))
    if peak == 0.0:
        return audio
    level = float(np.sqrt(np.mean(audio[loud > 0.0178 * peak] ** 2)))
    power = float(np.sqrt(np.mean(noise**2)))
    if power == 0.0:
        return audio
    return np.asarray(audio + noise * (level / power * 10.0 ** (-snr_db / 20.0)), np.float32)


NOISES: Final = ("white", "pink", "brown", "hum", "fan", "keyboard", "babble", "music")


def make_noise(kind: str, count: int, rng: np.random.Generator, voices: Sequence[Audio] = ()) -> Audio:
    """Noise of one of the kinds in ``NOISES``."""
    slopes = {"white": 0.0, "pink": 1.0, "brown": 2.0}
    if kind in slopes:
        return coloured_noise(count, rng, slopes[kind])
    if kind == "babble":
        return babble(count, rng, voices)
    return {"hum": hum, "fan": fan, "keyboard": keyboard, "music": music}[kind](count, rng)


def _unit(sound: NDArray[np.floating]) -> Audio:
    power = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0
    return np.asarray(sound / power if power > 0.0 else sound, np.float32)
