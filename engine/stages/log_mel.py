"""Log-mel spectrogram at exactly 120 Hz from 16 kHz sound (paper 3.1: 80 bands, 1/60 s windows).

Frame i speaks of the time i/120 s and covers the samples that begin there. 16000/120 is not whole, so starts
are the floor of exact thirds: after an hour a frame still starts less than one sample before its time.

::

    frame i        0      1      2      3      4      5
    first sample   0    133    266    400    533    666       floor(i * 400 / 3)
    last sample  266    399    532    666    799    932       first + 266

A window begins at its frame's time instead of lying around it: the chunker, which knows what motion frame hears which
mel frames, answers for its 16.7 ms. Samples are not pre-emphasised.

Bands follow Slaney's scale (linear below 1 kHz) and have unit area. On the HTK scale the lowest bands are
narrower than the 31.25 Hz between two bins of a 512-point transform, and some would hear nothing.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.spec import (
    MEL_BANDS,
    MEL_FFT,
    MEL_FLOOR,
    MEL_HIGH_HZ,
    MEL_HZ,
    MEL_LOW_HZ,
    MEL_WINDOW,
    SAMPLE_HZ,
)

_FRAMES_PER_BATCH = 4096


def frame_start(frame: int) -> int:
    """First sample of mel frame ``frame``: floor(frame * 400 / 3)."""
    return frame * SAMPLE_HZ // MEL_HZ


def frame_count(samples: int) -> int:
    """How many mel frames have their whole window within the first ``samples`` samples."""
    if samples < MEL_WINDOW:
        return 0
    # The largest i with floor(i * 400 / 3) <= room is floor((3 * room + 2) / 400).
    room = samples - MEL_WINDOW
    return ((room + 1) * MEL_HZ - 1) // SAMPLE_HZ + 1


@dataclass(frozen=True)
class LogMelState:
    """Nothing: a window holds all that its frame needs. The chunker before this stage keeps the samples."""


class LogMel:
    """Windows of sound to log-mel frames."""

    lookahead_ticks = 0
    """It is handed whole windows; which go with a motion frame, the chunker says and declares."""

    def init_state(self) -> LogMelState:
        """The empty state."""
        return LogMelState()

    def step(self, x: NDArray[np.float32], state: LogMelState) -> tuple[NDArray[np.float32], LogMelState]:
        """Transform windows.

        Args:
            x: float32 (frames, 267), samples in [-1, 1].
            state: As from ``init_state``.

        Returns:
            float32 (frames, 80), about [0, 1], and the state.
        """
        return mel_of_windows(x), state

    def flush(self, state: LogMelState) -> NDArray[np.float32]:
        """No frames: nothing is held back."""
        return np.zeros((0, MEL_BANDS), np.float32)


def log_mel(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel frames of a whole recording: the same numbers that the stream gives.

    Args:
        audio: float32 (samples,) at 16 kHz, in [-1, 1].

    Returns:
        float32 (frame_count(samples), 80): only frames whose whole window is there. 0 is silence, 1 is about
        full scale.
    """
    frames = frame_count(len(audio))
    mel = np.empty((frames, MEL_BANDS), np.float32)
    if not frames:
        return mel
    windows = sliding_window_view(audio, MEL_WINDOW)
    for first in range(0, frames, _FRAMES_PER_BATCH):
        numbers = np.arange(first, min(first + _FRAMES_PER_BATCH, frames), dtype=np.int64)
        mel[numbers] = mel_of_windows(windows[numbers * SAMPLE_HZ // MEL_HZ])
    return mel


def mel_of_windows(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Hann window, 512-point magnitude spectrum, 80 bands, natural logarithm, scaled to about [0, 1].

    Args:
        windows: float32 (frames, 267).

    Returns:
        float32 (frames, 80): (ln(max(mel, 1e-5)) - ln 1e-5) / -ln 1e-5.
    """
    magnitude: NDArray[np.float32]
    magnitude = np.abs(np.fft.rfft(windows * _hann(), MEL_FFT, axis=1)).astype(np.float32, copy=False)
    bands = magnitude @ mel_filters()
    logarithm = np.log(np.maximum(bands, np.float32(MEL_FLOOR)))
    scaled: NDArray[np.float32] = logarithm / np.float32(-math.log(MEL_FLOOR)) + np.float32(1)
    return scaled


@lru_cache(maxsize=1)
def _hann() -> NDArray[np.float32]:
    """Periodic Hann window, float32 (267,)."""
    phase = np.arange(MEL_WINDOW) * (2 * np.pi / MEL_WINDOW)
    window: NDArray[np.float32] = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    return window


@lru_cache(maxsize=1)
def mel_filters() -> NDArray[np.float32]:
    """Triangular filters of unit area on Slaney's mel scale, float32 (257, 80).

    Source: M. Slaney, Auditory Toolbox (1998); 90 to 7600 Hz.
    """
    edges = _hz(np.linspace(_mel(MEL_LOW_HZ), _mel(MEL_HIGH_HZ), MEL_BANDS + 2))
    bins = np.arange(MEL_FFT // 2 + 1)[:, None] * (SAMPLE_HZ / MEL_FFT)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    filters: NDArray[np.float32] = (np.maximum(triangles, 0) * (2 / (high - low))).astype(np.float32)
    return filters


def _mel(hz: float) -> float:
    """Slaney's scale: 3 mels per 200 Hz up to 1 kHz, then 27 per factor of 6.4."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of ``_mel``."""
    logarithmic = 1000 * np.exp((mel - 15) * (math.log(6.4) / 27))
    return np.where(mel < 15, mel * 200 / 3, logarithmic).astype(np.float64, copy=False)
