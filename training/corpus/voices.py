"""Voice transformation: one synthetic voice becomes many speakers, with phone times kept exact.

Everything works on 16 kHz float32 mono. What moves time (resampling, jitter) says how; what does not (equaliser,
breath, loudness) uses zero-phase or memoryless operations only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, uniform_filter1d
from scipy.signal import fftconvolve, resample_poly

from models.spec import SAMPLE_HZ
from training.corpus.utterance import Phone, Utterance

Audio = NDArray[np.float32]

TRACT_STEPS = 20
"""Vocal-tract factors are twentieths, so that resampling is by a small ratio."""
EQUALISER_TAPS = 255


@dataclass(frozen=True)
class VoiceChange:
    """What makes a speaker out of an engine's voice.

    Attributes:
        tract: Factor on all formants (and on pitch and speed) in steps of 1/20; above 1 a shorter vocal tract.
        equaliser_db: Gains in dB at ``EQUALISER_HZ``; a smooth curve through them filters the voice.
        breath: Level of breath noise relative to the voice's envelope, 0 none .. 0.3 whispery.
        jitter: Depth of the slow wander of speed and pitch, as a share (0.02 is 2 %).
        loudness_db: Depth in dB of the loudness wander over phrases.
        level: Root mean square of the speaking parts of the result.
    """

    tract: float = 1.0
    equaliser_db: tuple[float, ...] = ()
    breath: float = 0.0
    jitter: float = 0.0
    loudness_db: float = 0.0
    level: float = 0.08


EQUALISER_HZ = (0.0, 250.0, 600.0, 1200.0, 2000.0, 3000.0, 4200.0, 5800.0, 8000.0)


def transform(utterance: Utterance, change: VoiceChange, rng: np.random.Generator) -> Utterance:
    """Apply ``change`` to an utterance; phone times follow the sound.

    The duration becomes ``1 / change.tract`` of what it was: synthesise at ``1 / tract`` of the wanted pitch and
    ``tract`` times the wanted length.
    """
    audio, phones = utterance.audio, utterance.phones
    if change.tract != 1.0:
        audio, phones = shift_formants(audio, phones, change.tract)
    if change.jitter > 0.0:
        audio, phones = wander(audio, phones, change.jitter, rng)
    if change.equaliser_db:
        audio = equalise(audio, change.equaliser_db)
    if change.breath > 0.0:
        audio = breathe(audio, change.breath, rng)
    if change.loudness_db > 0.0:
        audio = vary_loudness(audio, change.loudness_db, rng)
    return replace(utterance, audio=set_level(audio, change.level), phones=phones)


def shift_formants(audio: Audio, phones: list[Phone], tract: float) -> tuple[Audio, list[Phone]]:
    """Play ``tract`` times faster by resampling: formants, pitch and speed go up together."""
    down = round(tract * TRACT_STEPS)
    shifted = resample_poly(audio, TRACT_STEPS, down).astype(np.float32)
    factor = TRACT_STEPS / down
    return shifted, _moved(phones, lambda t: t * factor, len(shifted) / SAMPLE_HZ)


def wander(audio: Audio, phones: list[Phone], depth: float, rng: np.random.Generator) -> tuple[Audio, list[Phone]]:
    """Let speed and pitch drift slowly (0.5-4 Hz) by ``depth``, as a voice does; the length stays."""
    count = len(audio)
    t = np.arange(count) / SAMPLE_HZ
    offset = np.zeros(count)
    for hertz in (0.6, 1.3, 3.1):
        rate = hertz * rng.uniform(0.8, 1.25)
        # d(offset)/dt has the amplitude depth/3; the ends are pinned so that the length stays.
        offset += depth / (3 * 2 * np.pi * rate) * np.sin(2 * np.pi * (rate * t + rng.random()))
    if count > 1:
        offset -= np.linspace(offset[0], offset[-1], count)
    source = t + offset
    warped = map_coordinates(audio, [source * SAMPLE_HZ], order=3, mode="nearest", prefilter=True)
    times = _moved(phones, lambda s: float(np.interp(s, source, t)), count / SAMPLE_HZ)
    return warped.astype(np.float32), times


def equalise(audio: Audio, gains_db: Sequence[float], frequencies: Sequence[float] = EQUALISER_HZ) -> Audio:
    """Filter with a smooth gain curve through ``gains_db`` at ``frequencies``; linear phase, delay compensated."""
    if not len(audio):
        return audio
    grid = np.linspace(0.0, SAMPLE_HZ / 2, EQUALISER_TAPS // 2 + 1)
    amplitude = 10.0 ** (np.interp(grid, frequencies, gains_db) / 20.0)
    taps = np.fft.fftshift(np.fft.irfft(amplitude, EQUALISER_TAPS)) * np.hanning(EQUALISER_TAPS)
    # Cut by hand: mode "same" would return the taps' length for audio shorter than them.
    filtered = fftconvolve(audio, taps.astype(np.float32))[EQUALISER_TAPS // 2 :][: len(audio)]
    return np.asarray(filtered, np.float32)


def breathe(audio: Audio, amount: float, rng: np.random.Generator) -> Audio:
    """Add noise above about 1 kHz that follows the voice's envelope."""
    envelope = uniform_filter1d(np.abs(audio), SAMPLE_HZ // 100)
    noise = rng.standard_normal(len(audio), np.float32)
    noise[1:] -= 0.85 * noise[:-1]
    return np.asarray(audio + amount * envelope * noise, np.float32)


def vary_loudness(audio: Audio, depth_db: float, rng: np.random.Generator) -> Audio:
    """Raise and lower the loudness from phrase to phrase, about one turn a second."""
    knots = max(2, int(len(audio) / SAMPLE_HZ * 1.3) + 2)
    levels = rng.normal(0.0, 0.6 * depth_db, knots)
    curve = np.interp(np.linspace(0.0, knots - 1.0, len(audio)), np.arange(knots), levels)
    curve = uniform_filter1d(curve, SAMPLE_HZ // 3)
    return np.asarray(audio * 10.0 ** (curve / 20.0), np.float32)


def set_level(audio: Audio, rms: float) -> Audio:
    """Scale so that the speaking parts have the root mean square ``rms``, peaks within 0.98."""
    loud = np.abs(audio)
    peak = float(loud.max(initial=0.0))
    if peak == 0.0:
        return audio
    active = audio[loud > 0.02 * peak]
    gain = rms / max(float(np.sqrt(np.mean(active**2))), 1e-6)
    return np.asarray(audio * min(gain, 0.98 / peak), np.float32)


def _moved(phones: list[Phone], time_of: Callable[[float], float], total_s: float) -> list[Phone]:
    ends = [time_of(p.end_s) for p in phones[:-1]] + [total_s]
    starts = [0.0, *ends[:-1]]
    return [Phone(p.symbol, s, e, p.stress) for p, s, e in zip(phones, starts, ends, strict=True)]
