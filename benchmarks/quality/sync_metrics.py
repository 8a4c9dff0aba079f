"""Lip sync of a generated clip, measured against a reference whose lips are in sync with the same sound."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.lipsync import high_pass
from models.spec import SAMPLE_HZ

MAX_LIP_LAG_S: Final = 0.5
MAX_SOUND_LAG_S: Final = 1.0
SAME_SOUND: Final = 0.3
"""Peak of the normalised correlation from which two sounds are taken for copies of one."""

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class LipSync:
    """How the lips of two clips agree.

    Attributes:
        r0: Pearson correlation of the two openings, high-passed at 0.8 s, where the sounds coincide; -1 to 1.
        av_offset_frames: By how many frames of the reference the generated lips are later than their sound.
        best_r: The correlation at that offset.
        sound_lag_s: By how much the generated clip's sound is later in its file than the reference's.
    """

    r0: float
    av_offset_frames: int
    best_r: float
    sound_lag_s: float


def lip_sync(reference: Curve, generated: Curve, fps: float, sound_lag_s: float = 0.0) -> LipSync:
    """Compare two lip openings.

    Args:
        reference: (frames,), any unit.
        generated: (frames,) at the same times, any unit.
        fps: Frames a second.
        sound_lag_s: See ``sound_lag``; 0 where both clips have the sound at the same place.
    """
    a, b = high_pass(reference, fps), high_pass(generated, fps)
    shift = round(sound_lag_s * fps)
    reach = max(1, min(round(MAX_LIP_LAG_S * fps), (len(a) - abs(shift)) // 2 - 1))
    lags = range(-reach, reach + 1)
    r = [_correlation(a, b, shift + lag) for lag in lags]
    # Of equal ones the smallest, so that a mouth that never moves is not called late.
    best = max(range(len(r)), key=lambda i: (round(r[i], 12), -abs(lags[i])))
    return LipSync(r[reach], lags[best], r[best], sound_lag_s)


def sound_lag(reference: NDArray[np.float32], generated: NDArray[np.float32]) -> float | None:
    """By how many seconds the same sound is later in one recording than in another.

    Args:
        reference: (samples,) at 16 kHz.
        generated: Likewise.

    Returns:
        -1 to 1 s, to a sample; None where the two are not the same sound.
    """
    size = 1 << int(np.ceil(np.log2(max(2, len(reference) + len(generated)))))
    spectrum = np.conj(np.fft.rfft(reference, size)) * np.fft.rfft(generated, size)
    reach = round(MAX_SOUND_LAG_S * SAMPLE_HZ)
    products = np.fft.irfft(spectrum, size)
    near = np.concatenate([products[-reach:], products[: reach + 1]])
    energy = float(np.sqrt(np.sum(np.square(reference, dtype=np.float64)) * np.sum(np.square(generated, dtype=float))))
    best = int(np.argmax(near))
    return (best - reach) / SAMPLE_HZ if energy > 0 and near[best] / energy >= SAME_SOUND else None


def _correlation(a: Curve, b: Curve, lag: int) -> float:
    """Pearson r of a[t] and b[t + lag]; 0 where either is constant."""
    a, b = a[max(0, -lag) : len(a) - max(0, lag)], b[max(0, lag) : len(b) - max(0, -lag)]
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b / size) if size > 1e-12 else 0.0
