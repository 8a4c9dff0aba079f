"""From the moments at which things left a session to the figures of a benchmark. Pure functions of arrays."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import AudioError
from models.spec import MEDIA_HZ

NS_PER_TICK: Final = 1e9 / MEDIA_HZ
_WINDOW: Final = MEDIA_HZ // 4
"""So short that resampling by 500 ppm, which absorbs drift, shifts its ends by a few samples only."""
SEARCH: Final = MEDIA_HZ // 2
"""How far from where it is expected a sound is looked for, in ticks."""
_LEAST_LIKENESS: Final = 0.7

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def percentiles(values: Floats, *, with_max: bool = False) -> dict[str, float]:
    """p50, p95, p99 and, if asked for, max, rounded to the microsecond of a ms; 0 of nothing."""
    if not len(values):
        values = np.zeros(1)
    figures = {f"p{percent}": float(np.percentile(values, percent)) for percent in (50, 95, 99)}
    if with_max:
        figures["max"] = float(values.max())
    return {name: round(value, 3) for name, value in figures.items()}


def interval_jitter_ms(left_ns: Ints, ticks: Ints) -> Floats:
    """How much each interval between two frames differs from that of their media times, ms.

    Args:
        left_ns: When the frames left.
        ticks: Their media times.
    """
    intervals = np.diff(left_ns) - np.diff(ticks) * NS_PER_TICK
    jitter: Floats = np.abs(intervals) / 1e6
    return jitter


def av_offset_ms(frame_ns: Ints, frame_ticks: Ints, sound_ns: Ints, sound_ticks: Ints) -> Floats:
    """How much later each picture is seen than the sound of its moment is heard, ms; below 0, earlier.

    A block is played from the moment it leaves, so the sound of media time T is heard T - (its block's time) later.
    Frames before the first block are left out.
    """
    block = np.searchsorted(sound_ticks, frame_ticks, side="right") - 1
    known = block >= 0
    seen = frame_ns[known] - frame_ticks[known] * NS_PER_TICK
    heard = sound_ns[block[known]] - sound_ticks[block[known]] * NS_PER_TICK
    offset: Floats = (seen - heard) / 1e6
    return offset


def source_offsets(
    reference: NDArray[np.float32], heard: NDArray[np.float32], expected_ticks: float, every_s: float = 5.0
) -> tuple[Floats, Floats]:
    """Where in the session's sound the source's sound lies: found in the samples, by correlation.

    Args:
        reference: float32 (n,), what was said, at 48 kHz from its first sample.
        heard: float32 (m,), what came out, at 48 kHz from media time 0.
        expected_ticks: Media time of the reference's first sample, to half a second.
        every_s: Distance between two looks.

    Returns:
        Media times at which was looked, and there the media time of a source sample minus its source time, in ticks.

    Raises:
        AudioError: What came out is not what went in.
    """
    step, offset = int(every_s * MEDIA_HZ), round(expected_ticks)
    places: list[float] = []
    offsets: list[float] = []
    for start in range(0, max(1, len(reference) - _WINDOW), step):
        window = _loudest(reference[start : start + step], start)
        wanted = reference[window : window + _WINDOW]
        begin, end = max(0, window + offset - SEARCH), window + offset + _WINDOW + SEARCH
        if len(heard) < end:
            break  # its end may not have left the session
        if not wanted.any():
            continue
        shift, likeness = _best_match(wanted, heard[begin:end])
        if likeness < _LEAST_LIKENESS:
            raise AudioError(
                f"The sound that came out {window / MEDIA_HZ:.1f} s after the beginning is not the sound that went in "
                f"(correlation {likeness:.2f}): the session lost its sound, so no latency can be given."
            )
        offset = begin + shift - window
        places.append(float(begin + shift))
        offsets.append(float(offset))
    if not offsets:
        raise AudioError("The recording is too short to find its own sound in it: measure for 3 s or more.")
    return np.array(places), np.array(offsets)


def mouth_to_frame_ms(frame_ns: Ints, frame_ticks: Ints, start_ns: int, places: Floats, offsets: Floats) -> Floats:
    """From the moment the sound of a frame was captured to the moment the frame left, ms.

    Args:
        frame_ns: When the frames left.
        frame_ticks: Their media times.
        start_ns: When the source's first sample was captured.
        places: As from ``source_offsets``.
        offsets: As from ``source_offsets``.
    """
    source_ticks = frame_ticks - np.interp(frame_ticks, places, offsets)
    latency: Floats = (frame_ns - start_ns - source_ticks * NS_PER_TICK) / 1e6
    return latency


def motion_lag_ms(times_s: Floats, shown: Floats, true_times_s: Floats, true: Floats, most_ms: int = 150) -> float:
    """By how much a shown curve of the lips' opening is later than the true one, to 1 ms: where they agree best.

    Args:
        times_s: Source times that the frames claim to show.
        shown: Opening in them.
        true_times_s: Source times of the true curve.
        true: Opening at them, computed offline.
        most_ms: Largest lag looked for, either way.
    """
    lags = np.arange(-most_ms, most_ms + 1)
    errors = [float(np.mean((np.interp(times_s - lag / 1e3, true_times_s, true) - shown) ** 2)) for lag in lags]
    return float(lags[int(np.argmin(errors))])


def _loudest(sound: NDArray[np.float32], start: int) -> int:
    """Where the loudest window of ``sound``, which begins at ``start``, begins: quarter seconds are tried."""
    tried = range(0, max(1, len(sound) - _WINDOW), _WINDOW // 4)
    return start + max(tried, key=lambda at: float(np.square(sound[at : at + _WINDOW], dtype=np.float64).sum()))


def _best_match(wanted: NDArray[np.float32], searched: NDArray[np.float32]) -> tuple[int, float]:
    """Where ``wanted`` is most alike to a part of ``searched``, and the normalised correlation there."""
    size = 1 << (len(wanted) + len(searched)).bit_length()
    spectrum = np.fft.rfft(searched, size) * np.conj(np.fft.rfft(wanted, size))
    correlation = np.fft.irfft(spectrum, size)[: len(searched) - len(wanted) + 1]
    squares = np.concatenate([[0.0], np.cumsum(np.square(searched, dtype=np.float64))])
    energy = squares[len(wanted) :] - squares[: len(squares) - len(wanted)]
    own = float(np.square(wanted, dtype=np.float64).sum())
    # In what is all but silent the correlation's rounding errors would look like a likeness.
    likeness = correlation / np.sqrt(np.maximum(energy, 0.01 * own + 1e-12) * max(own, 1e-12))
    best = int(np.argmax(likeness))
    return best, float(likeness[best])
