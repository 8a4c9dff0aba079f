"""Sounds that a microphone hears beside a voice, and a voice that whispers or shouts, all made here, at 16 kHz."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.stages.voice_gate import level_db
from models.spec import SAMPLE_HZ

Sound = NDArray[np.float32]
Doubles = NDArray[np.float64]

_STROKES_HZ: Final = 7.0
_BEATS_HZ: Final = 2.0
_CHORDS: Final = ((220.0, 277.2, 329.6), (174.6, 220.0, 261.6), (261.6, 329.6, 392.0), (196.0, 246.9, 293.7))
_WINDOW: Final = 400
"""Samples of a stretch in which a voice's spectrum is taken to stand still: 25 ms."""
_ORDER: Final = 18
WHISPER_DB: Final = -17.0
"""A whisper against the same voice at its usual level; 15 to 20 dB below it."""
SHOUT_DB: Final = 10.0
"""A shout."""


def at_level(sound: NDArray[np.floating], dbfs: float) -> Sound:
    """A sound whose loudest 20 ms have that RMS level: as the voice gate measures it."""
    return (sound * 10 ** ((dbfs - loudest_db(sound)) / 20)).astype(np.float32)


def at_speaking_level(speech: Sound, dbfs: float) -> Sound:
    """Speech that has that level where it is loud: see ``speaking_db``."""
    return (speech * 10 ** ((dbfs - speaking_db(speech)) / 20)).astype(np.float32)


def loudest_db(sound: NDArray[np.floating]) -> float:
    """RMS level of the loudest 20 ms, dBFS."""
    hop = SAMPLE_HZ // 400
    power = np.square(sound[: len(sound) // hop * hop].astype(np.float64)).reshape(-1, hop).mean(1)
    return 10 * math.log10(max(1e-12, float(np.convolve(power, np.ones(8) / 8).max())))


def fan(seconds: float, seed: int = 0) -> Doubles:
    """Rumble, the hum of a motor and its blades, and a hiss."""
    time, noise = _time(seconds), _noise(seconds, seed)
    rumble = _filtered(noise, lambda hz: 1 / np.maximum(hz, 40.0))
    hum = np.sin(2 * np.pi * 118 * time) + 0.4 * np.sin(2 * np.pi * 236 * time + 1)
    blades = 1 + 0.15 * np.sin(2 * np.pi * 9.3 * time)
    return np.asarray(blades * (rumble / rumble.std() + 0.5 * hum) + 0.05 * noise)


def keyboard(seconds: float, seed: int = 1) -> Doubles:
    """Key strokes in bursts, none like the other: a click, the thud of its bed a moment later, and its release."""
    draw = np.random.default_rng(seed)
    strokes = np.zeros(round(seconds * SAMPLE_HZ) + SAMPLE_HZ)
    at = 0.05
    while at < seconds:
        force = 10 ** (draw.normal(0, 3) / 20)
        for delay, decay, share in ((0.0, 40.0, 1.0), (0.004, 110.0, 0.6), (0.09 + 0.03 * draw.random(), 35.0, 0.4)):
            begin, length = round((at + delay) * SAMPLE_HZ), 600
            click = draw.standard_normal(length) * np.exp(-np.arange(length) / decay)
            strokes[begin : begin + length] += force * share * click
        at += draw.exponential(1 / _STROKES_HZ) + 0.03 + (0.8 if draw.random() < 0.06 else 0.0)
    return strokes[: round(seconds * SAMPLE_HZ)]


def music(seconds: float, seed: int = 2) -> Doubles:
    """Chords, a melody that moves four times a beat, a bass and drums."""
    draw, time = np.random.default_rng(seed), _time(seconds)
    beat = (time * _BEATS_HZ).astype(int)
    since = time - beat / _BEATS_HZ
    chords = np.array(_CHORDS)[beat // 4 % len(_CHORDS)]
    sound = sum(_tone(time, chords[:, voice]) for voice in range(3)) * 0.25
    quarter = (time * 4 * _BEATS_HZ).astype(int)
    steps = draw.integers(0, 8, int(quarter.max()) + 1)
    sound += 0.5 * _tone(time, chords[:, 0] * 2 * 2 ** (steps[quarter] / 12)) * np.exp(-8 * (time * 8 % 1) / 8)
    sound += 0.6 * np.sin(2 * np.pi * chords[:, 0] / 4 * time)
    kick = np.sin(2 * np.pi * 60 * since) * np.exp(-since * 25)
    hat = _noise(seconds, seed + 1) * np.exp(-((since * 2) % 0.5) * 60) * 0.2
    return np.asarray(sound + kick + hat)


def whispered(speech: Sound, seed: int = 3) -> Sound:
    """The same words without a voice: noise through the vocal tract of every moment (linear prediction), 17 dB softer.

    A whisper lacks what the voice's source adds below 500 Hz; the rest of its spectrum is flatter.
    """
    draw = np.random.default_rng(seed)
    made = np.zeros(len(speech) + 2 * _WINDOW)
    window = np.hanning(_WINDOW + 1)[:-1]
    for begin in range(0, len(speech) - _WINDOW, _WINDOW // 2):
        frame = speech[begin : begin + _WINDOW].astype(np.float64)
        filtered = _through_tract(frame * window, draw.standard_normal(_WINDOW))
        energy = math.sqrt(float(np.square(filtered).sum()) or 1.0)
        made[begin : begin + _WINDOW] += filtered / energy * np.linalg.norm(frame) * window
    flat = _filtered(made[: len(speech)], lambda hz: np.maximum(hz, 60.0) ** 0.4 * (hz / (hz + 500)))
    return at_speaking_level(flat.astype(np.float32), speaking_db(speech) + WHISPER_DB)


def shouted(speech: Sound) -> Sound:
    """The same words, shouted: 10 dB louder, and more so above 500 Hz, where a strained voice has its energy."""
    strained = _filtered(speech.astype(np.float64), lambda hz: 1 + 2 * hz / (hz + 1500))
    return at_speaking_level(strained.astype(np.float32), speaking_db(speech) + SHOUT_DB)


def speaking_db(sound: NDArray[np.floating]) -> float:
    """Level of a voice where it is loud: the 90th percentile of 20 ms."""
    size = SAMPLE_HZ // 50
    parts = sound[: len(sound) // size * size].reshape(-1, size).astype(np.float32)
    return float(np.percentile([level_db(part) for part in parts], 90))


def _through_tract(frame: Doubles, excitation: Doubles) -> Doubles:
    """``excitation`` through the all-pole filter that shapes ``frame`` (autocorrelation method)."""
    power = np.square(np.abs(np.fft.rfft(frame, 2 * _WINDOW)))
    lags = np.fft.irfft(power)[: _ORDER + 1]
    lags[0] = lags[0] * 1.001 + 1e-9
    steps = np.abs(np.subtract.outer(np.arange(_ORDER), np.arange(_ORDER)))
    poles = np.linalg.solve(lags[steps], lags[1:])
    response = 1 / np.fft.rfft(np.concatenate([[1.0], -poles]), 2 * _WINDOW)
    return np.fft.irfft(np.fft.rfft(excitation, 2 * _WINDOW) * response)[:_WINDOW]


def _filtered(sound: Doubles, gain: Callable[[Doubles], Doubles]) -> Doubles:
    """A sound through a filter given by its gain over frequencies in Hz."""
    size = 1 << (2 * len(sound)).bit_length()
    hz = np.asarray(np.fft.rfftfreq(size, 1 / SAMPLE_HZ), np.float64)
    return np.asarray(np.fft.irfft(np.fft.rfft(sound, size) * gain(hz), size)[: len(sound)])


def _tone(time: Doubles, hz: Doubles) -> Doubles:
    """A plucked tone with three partials; its phase goes on where its pitch changes."""
    phase = 2 * np.pi * np.cumsum(hz) / SAMPLE_HZ
    return np.asarray(np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase))


def _time(seconds: float) -> Doubles:
    return np.arange(round(seconds * SAMPLE_HZ)) / SAMPLE_HZ


def _noise(seconds: float, seed: int) -> Doubles:
    return np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_HZ))
