"""Mel-frequency cepstra as SyncNet was trained on: those of python_speech_features with its default settings."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.spec import SAMPLE_HZ

WINDOW: Final = 400
STEP: Final = 160
CEPSTRA: Final = 13
_FFT: Final = 512
_FILTERS: Final = 26
_PRE_EMPHASIS: Final = 0.97
_LIFTER: Final = 22
_EPSILON: Final = np.finfo(np.float64).eps


def mfcc(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """13 cepstra a 10 ms, the first replaced by the log energy: (frames, 13).

    Args:
        samples: (n,), 16 kHz mono, full scale 32767 as 16-bit sound has it; rectangular windows of 25 ms.
    """
    x = np.asarray(samples, np.float64)
    x = np.append(x[:1], x[1:] - _PRE_EMPHASIS * x[:-1])
    frames = 1 + max(0, -(-(len(x) - WINDOW) // STEP))
    x = np.pad(x, (0, max(0, (frames - 1) * STEP + WINDOW - len(x))))
    windows = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::STEP][:frames]
    power = np.abs(np.fft.rfft(windows, _FFT)) ** 2 / _FFT
    energy = np.maximum(power.sum(axis=1), _EPSILON)
    bands = np.log(np.maximum(power @ _filters().T, _EPSILON))
    index = np.arange(CEPSTRA)
    # DCT-II, orthonormal.
    basis = np.cos(np.pi * index[:, None] * (2 * np.arange(_FILTERS) + 1) / (2 * _FILTERS)) * np.sqrt(2 / _FILTERS)
    basis[0] /= np.sqrt(2)
    cepstra = bands @ basis.T * (1 + _LIFTER / 2 * np.sin(np.pi * index / _LIFTER))
    cepstra[:, 0] = np.log(energy)
    return np.asarray(cepstra, np.float64)


def _filters() -> NDArray[np.float64]:
    """Triangles (26, 257) evenly spaced in mel from 0 to 8 kHz, their corners on whole FFT bins."""
    top = 2595 * np.log10(1 + SAMPLE_HZ / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _FILTERS + 2) / 2595) - 1)
    bins = np.floor((_FFT + 1) * hertz / SAMPLE_HZ)
    filters = np.zeros((_FILTERS, _FFT // 2 + 1))
    for number, (left, centre, right) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        rising, falling = np.arange(left, centre, dtype=int), np.arange(centre, right, dtype=int)
        filters[number, rising] = (rising - left) / (centre - left)
        filters[number, falling] = (right - falling) / (right - centre)
    return filters
