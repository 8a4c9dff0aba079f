"""What room, microphone and network do to a voice: (audio, generator, ...) -> audio of the same length, lag 0.

All filters are zero phase or keep the direct sound at lag 0, so that phone times stay true. 16 kHz float32 mono.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import fftconvolve

from models.spec import SAMPLE_HZ
from training.corpus.voices import equalise

Audio = NDArray[np.float32]

BANDS: Final[dict[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "telephone": ((0, 200, 320, 3300, 3700, 8000), (-50, -24, 0, 0, -45, -60)),
    "narrow": ((0, 60, 3700, 4100, 8000), (-30, 0, 0, -45, -60)),
    "laptop": ((0, 120, 250, 700, 1500, 3200, 5000, 8000), (-30, -15, -4, 0, 2, 5, 1, -8)),
    "headset": ((0, 80, 200, 2500, 4000, 6500, 8000), (-20, -2, 2, 0, 3, -3, -20)),
}
"""Band limits: frequencies in Hz and gains in dB."""

PACKET: Final = SAMPLE_HZ // 50
"""Samples of a 20 ms packet."""


def reverberate(audio: Audio, rng: np.random.Generator, rt60_s: float, direct_to_reverb_db: float) -> Audio:
    """A room: the direct sound at lag 0, a few early reflections, an exponentially decaying diffuse tail.

    Args:
        audio: (samples,) float32.
        rng: Draws the reflections.
        rt60_s: Time in which the tail falls by 60 dB.
        direct_to_reverb_db: Energy of the direct sound over that of all the rest.
    """
    count = max(int(rt60_s * SAMPLE_HZ), 2)
    t = np.arange(count) / SAMPLE_HZ
    response = rng.standard_normal(count) * 10.0 ** (-3.0 * t / rt60_s)
    # The tail builds up while reflections become dense.
    response *= np.clip((t - 0.003) / 0.03, 0.0, 1.0)
    for delay in rng.uniform(0.0015, 0.035, int(rng.integers(4, 11))):
        tap = int(delay * SAMPLE_HZ)
        if tap < count:
            response[tap] += float(rng.choice([-1.0, 1.0])) * float(rng.uniform(1.0, 3.0)) * np.exp(-delay / 0.02)
    response[0] = 0.0
    energy = float(np.sum(response**2))
    response *= 10.0 ** (-direct_to_reverb_db / 20.0) / np.sqrt(max(energy, 1e-12))
    response[0] = 1.0
    wet = fftconvolve(audio, response.astype(np.float32))[: len(audio)]
    return np.asarray(wet, np.float32)


def limit_band(audio: Audio, kind: str) -> Audio:
    """Filter by one of ``BANDS``."""
    frequencies, gains = BANDS[kind]
    return equalise(audio, gains, frequencies)


def random_equaliser(audio: Audio, rng: np.random.Generator, depth_db: float) -> Audio:
    """A smooth random gain curve of about +-``depth_db``."""
    frequencies = (0.0, 200.0, 500.0, 1000.0, 2000.0, 3500.0, 5500.0, 8000.0)
    return equalise(audio, tuple(rng.normal(0.0, 0.6 * depth_db, len(frequencies))), frequencies)


def drift_gain(audio: Audio, rng: np.random.Generator, depth_db: float) -> Audio:
    """A gain that wanders slowly (knots every 2 s), as a speaker that moves or a driver that adapts."""
    knots = len(audio) // (2 * SAMPLE_HZ) + 3
    levels = np.clip(rng.normal(0.0, 0.6 * depth_db, knots), -depth_db, depth_db)
    curve = np.interp(np.linspace(0.0, knots - 1.0, len(audio)), np.arange(knots), levels)
    return np.asarray(audio * 10.0 ** (curve / 20.0), np.float32)


def level_automatically(audio: Audio, strength: float) -> Audio:
    """Automatic gain control: the gain follows the inverse of the level of the last second, at most +-12 dB.

    Args:
        audio: (samples,) float32.
        strength: 0 does nothing, 1 makes the level constant.
    """
    window = SAMPLE_HZ
    power = np.concatenate([np.zeros(window), np.cumsum(np.square(audio, dtype=np.float64))])
    past = np.sqrt(np.maximum(power[window:] - power[: len(audio)], 0.0) / window) + 1e-4
    target = float(np.median(past[past > 0.1 * past.max()])) if len(past) else 1.0
    gain = np.clip((target / past) ** strength, 0.25, 4.0)
    return np.asarray(audio * gain, np.float32)


def clip_softly(audio: Audio, drive: float) -> Audio:
    """Overdriven input: tanh saturation with the peak ``drive`` times over its knee; the peak stays."""
    peak = float(np.abs(audio).max(initial=0.0))
    if peak == 0.0:
        return audio
    return np.asarray(np.tanh(audio * (drive / peak)) * (peak / np.tanh(drive)), np.float32)


def gate(audio: Audio, threshold_db: float, hold_s: float = 0.15) -> Audio:
    """Noise gate, as conference software has: what is ``threshold_db`` under the peak for long becomes silent."""
    if not len(audio):
        return audio
    envelope = uniform_filter1d(np.abs(audio), PACKET)
    is_open = (envelope > float(envelope.max()) * 10.0 ** (-threshold_db / 20.0)).astype(np.float32)
    spread = uniform_filter1d(is_open, int(hold_s * SAMPLE_HZ)) > 0.0
    return np.asarray(audio * uniform_filter1d(spread.astype(np.float32), SAMPLE_HZ // 200), np.float32)


def drop_packets(audio: Audio, rng: np.random.Generator, loss: float, *, conceal: bool) -> Audio:
    """Lose 20 ms packets in bursts (Gilbert model).

    Args:
        audio: (samples,) float32.
        rng: Draws the losses.
        loss: Share of packets lost.
        conceal: Repeat the last packet, fading within 60 ms, instead of silence.
    """
    packets = len(audio) // PACKET
    result = audio.copy()
    leave = float(rng.uniform(0.3, 0.7))
    enter = leave * loss / max(1.0 - loss, 1e-3)
    run = 0
    for index in range(packets):
        run = run + 1 if rng.random() < (1.0 - leave if run else enter) else 0
        if not run:
            continue
        place = slice(index * PACKET, (index + 1) * PACKET)
        if conceal and index and run <= 3:
            fade = np.linspace(1.0, 2.0 / 3.0, PACKET, dtype=np.float32) ** (1 if run < 3 else 4)
            result[place] = result[(index - 1) * PACKET : index * PACKET] * fade
        else:
            result[place] = 0.0
    return result


def mute(audio: Audio, spans: Sequence[tuple[float, float]]) -> Audio:
    """Silence within ``spans`` (start, end in s), with ramps of 5 ms."""
    gain = np.ones(len(audio), np.float32)
    for start, end in spans:
        gain[max(0, int(start * SAMPLE_HZ)) : max(0, int(end * SAMPLE_HZ))] = 0.0
    return np.asarray(audio * uniform_filter1d(gain, SAMPLE_HZ // 200), np.float32)
