"""Sound of any sample rate to the session's two rates at once, at a ratio that may follow a drifting clock.

One windowed sinc for each output, evaluated wherever an output sample falls. Positions are integers, so nothing
accumulates, and the result does not depend on how the sound was cut.

::

    source sample     0    1    2    3 ...              r Hz, the source's own clock
    media tick        0  1  2  3  4  5  6 ...           48 kHz, the sound to play: tick n lies at n * step
    speech sample     0        1        2               16 kHz, for the engine: every third tick

At a ratio of one an output sample that falls on a source sample is that sample, bit for bit: 48 kHz sound is played
and 16 kHz sound is analysed as it came.
"""

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.errors import AudioError
from models.spec import MEDIA_HZ, SAMPLE_HZ, TICKS_PER_SAMPLE

MIN_RATE_HZ: Final = 8_000
MAX_RATE_HZ: Final = 96_000
_CROSSINGS: Final = 24
"""Zero crossings of the sinc on either side: 1.5 ms at 16 kHz, and a transition band of 9 % of the lower rate."""
_KAISER_BETA: Final = 7.0
"""Stop band of about 72 dB."""
_DOWN_CUTOFF: Final = 0.925
"""Of the output's Nyquist frequency, so that the stop band begins about there when the rate is lowered."""
_PHASES: Final = 128
"""Tabulated between two source samples and interpolated linearly: an error below -80 dB."""
_PPM: Final = 10
"""Parts of a ppm in which the ratio is set."""
_UNIT: Final = MEDIA_HZ * 1_000_000 * _PPM
"""Positions are counted in this fraction of a source sample: a tick is then a whole number at every rate."""
_SLICE_S: Final = 0.25
_CACHED: Final = 49_152
"""Samples that are gathered at a time, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class Sound:
    """The same stretch of sound twice, in step: ``sound`` has three samples for each of ``speech``.

    Attributes:
        speech: float32 (n,), mono at 16 kHz in [-1, 1], for the engine.
        sound: float32 (3 n,), mono at 48 kHz in [-1, 1], to be played.
    """

    speech: NDArray[np.float32]
    sound: NDArray[np.float32]

    @property
    def ticks(self) -> int:
        """Length on the 48 kHz media clock."""
        return len(self.sound)


def join(parts: list[Sound]) -> Sound:
    """Stretches of sound, one after another."""
    empty = np.zeros(0, np.float32)
    return Sound(
        np.concatenate([empty, *(part.speech for part in parts)]),
        np.concatenate([empty, *(part.sound for part in parts)]),
    )


def silence(ticks: int) -> Sound:
    """Silence of ``ticks``, a multiple of 3."""
    return Sound(np.zeros(ticks // TICKS_PER_SAMPLE, np.float32), np.zeros(ticks, np.float32))


class Resampler:
    """Streaming conversion of mono sound at one source rate to 48 kHz and 16 kHz."""

    def __init__(self, rate_hz: int) -> None:
        """Begin a stream.

        Args:
            rate_hz: The source's nominal rate, 8000 to 96000.

        Raises:
            AudioError: The rate is outside that range.
        """
        if not isinstance(rate_hz, int) or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise AudioError(
                f"Sound must have a whole sample rate of {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz, not {rate_hz}."
            )
        self.rate_hz = rate_hz
        self._kernels = _kernel(rate_hz, SAMPLE_HZ), _kernel(rate_hz, MEDIA_HZ)
        self._half = max(half for half, _ in self._kernels)
        self._buffer = np.zeros(self._half, np.float32)
        self._position = self._half * _UNIT
        self._samples, self._given = 0, 0

    @property
    def delay_ticks(self) -> float:
        """Sound that must be heard beyond an output sample before that can be computed."""
        return self._half * MEDIA_HZ / self.rate_hz

    @property
    def held_ticks(self) -> float:
        """Sound that was pushed and has not come out, at the ratio of one."""
        return (len(self._buffer) - self._position / _UNIT) * MEDIA_HZ / self.rate_hz

    def push(self, samples: NDArray[np.float32], ppm: float = 0.0) -> Sound:
        """Convert the next samples.

        Args:
            samples: float32 (n,) at the source's rate.
            ppm: How much faster than its nominal rate the source is running; set in steps of 0.1 ppm.

        Returns:
            All whole speech samples, with the sound in step, that are now certain.
        """
        step = self.rate_hz * (1_000_000 * _PPM + round(ppm * _PPM))
        length = max(1, round(_SLICE_S * self.rate_hz))
        parts = [self._convert(samples[at : at + length], step) for at in range(0, len(samples), length)]
        self._samples += len(samples)
        made = parts[0] if len(parts) == 1 else join(parts)
        self._given += len(made.speech)
        return made

    def finish(self) -> Sound:
        """What is still owed when the stream ends; at the ratio of one it is then as long as what was pushed."""
        owed = -(-self._samples * SAMPLE_HZ // self.rate_hz) - self._given
        tail = self.push(np.zeros(2 * self._half + TICKS_PER_SAMPLE, np.float32))
        count = max(0, min(owed, len(tail.speech)))
        return Sound(tail.speech[:count], tail.sound[: count * TICKS_PER_SAMPLE])

    def _convert(self, samples: NDArray[np.float32], step: int) -> Sound:
        buffer = np.concatenate([self._buffer, samples])
        # The window of the position p holds the samples floor(p) - half + 1 ... floor(p) + half.
        room = (len(buffer) - self._half) * _UNIT - 1 - self._position
        groups = max(0, (room // step + 1) // TICKS_PER_SAMPLE)
        ticks = groups * TICKS_PER_SAMPLE
        if ticks and buffer.any():
            positions = self._position + step * np.arange(ticks, dtype=np.int64)
            speech = _evaluate(buffer, positions[::TICKS_PER_SAMPLE], *self._kernels[0])
            made = Sound(speech, _evaluate(buffer, positions, *self._kernels[1]))
        else:
            made = silence(ticks)
        following = self._position + step * ticks
        kept = max(0, following // _UNIT - self._half)
        self._buffer, self._position = buffer[kept:], following - kept * _UNIT
        return made


@functools.lru_cache(maxsize=32)
def _kernel(rate_in_hz: int, rate_out_hz: int) -> tuple[int, NDArray[np.float32]]:
    """Half length in source samples, and the filter float32 (phases + 1, 2 half) at positions k / phases."""
    lowered = rate_in_hz > rate_out_hz
    width = rate_in_hz / rate_out_hz if lowered else 1.0
    cutoff = _DOWN_CUTOFF / width if lowered else 1.0
    half = int(np.ceil(_CROSSINGS * width))
    phases = np.arange(_PHASES + 1)[:, None] / _PHASES
    distance = np.arange(-half + 1, half + 1)[None] - phases
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0, 1 - (distance / half) ** 2)))
    taps = np.sinc(cutoff * distance) * window
    if not lowered:
        # sin(pi n) is not quite zero in floating point; with exact zeros a sample on the grid passes untouched.
        taps[0], taps[-1] = distance[0] == 0, distance[-1] == 0
    table = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    table.setflags(write=False)
    return half, table


def _evaluate(
    buffer: NDArray[np.float32], positions: NDArray[np.int64], half: int, table: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The band-limited signal at positions in ``_UNIT``."""
    whole, rest = np.divmod(positions, _UNIT)
    if not rest.any() and table[0, half - 1] == 1.0:
        exact: NDArray[np.float32] = buffer[whole]
        return exact
    windows = sliding_window_view(buffer, 2 * half)
    phase, between = np.divmod(rest * _PHASES, _UNIT)
    fraction = (between / _UNIT).astype(np.float32)
    mixed = np.empty(len(positions), np.float32)
    rows = max(1, _CACHED // (2 * half))
    for at in range(0, len(positions), rows):
        part = slice(at, at + rows)
        near = windows[whole[part] - half + 1]
        below = np.einsum("nt,nt->n", near, table[phase[part]])
        above = np.einsum("nt,nt->n", near, table[phase[part] + 1])
        mixed[part] = below + fraction[part] * (above - below)
    return mixed
