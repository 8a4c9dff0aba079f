r"""The delayed voice, for a sound output that keeps time by a crystal of its own. Sans-IO.

A session gives a block when it is due. An output asks for samples when it wants them, and asks a little faster or
slower than the media clock goes. What is heard at time t must be the voice of a fixed moment before it: the player
reads at a position that it steers to

::

    position = time at which it is heard - origin - L - hold          (48 kHz ticks; hold: see ``latencies``)

by up to 0.2 %, which nobody hears; within a millisecond it passes samples on untouched, and a larger error, as after a
pause of the device, is cut. So the voice stays behind the picture's due
time by the same for ever, and who shows the picture waits as long.
"""

import math
import threading
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.clock import ms_to_ticks
from engine.outlet import AudioBlock
from engine.pacing import SOUND_BLOCK_TICKS
from models.spec import MEDIA_HZ

HOLD_MS: Final = 25.0
"""An output asks for 10 ms at once, which must have come; the rest is for a late event loop and for outputs that ask
twice in a row."""
_KEPT_TICKS: Final = SOUND_BLOCK_TICKS + ms_to_ticks(100)
"""Behind the position, for a cut back."""
_HELD: Final = 25
"""Blocks that are kept: half a second."""
_MAX_STEER: Final = 2e-3
_STEERING_S: Final = 2.0
_DEAD_TICKS: Final = ms_to_ticks(1)
_JUMP_TICKS: Final = ms_to_ticks(30)
_SETTLING_S: Final = 0.5
_SMOOTHING_S: Final = 0.5
_FADE: Final = 240


class VoicePlayer:
    """Blocks in from one thread, samples out on another.

    Attributes:
        underruns: Times that a sample was wanted before it came.
        missing_ms: Silence that was played for it.
        jumps: Times that an error was cut.
    """

    def __init__(self) -> None:
        """Begin in silence."""
        self._lock = threading.Lock()
        self._blocks: deque[AudioBlock] = deque(maxlen=_HELD)
        self._position: float | None = None
        self._error = 0.0
        self._asked_to_settle = self._settling = round(_SETTLING_S * MEDIA_HZ)
        self._fade_in = 0
        self._starved, self._begun = True, False
        self.underruns, self.jumps = 0, 0
        self.missing_ms = 0.0

    @property
    def error_ms(self) -> float:
        """How far the voice is from its place, smoothed; positive is late."""
        return self._error * 1000 / MEDIA_HZ

    @property
    def playing(self) -> bool:
        """Whether the voice is heard now, and no silence in its place."""
        return not self._starved

    def put(self, block: AudioBlock) -> None:
        """A block is due."""
        with self._lock:
            self._blocks.append(block)

    def restart(self) -> None:
        """Another device begins to ask, at a time of its own."""
        with self._lock:
            self._position, self._error, self._settling = None, 0.0, self._asked_to_settle

    def fill(self, frames: int, wanted_ticks: float) -> NDArray[np.float32]:
        """The next samples to play.

        Args:
            frames: How many.
            wanted_ticks: Media time that the first one should have, as the clock has it.

        Returns:
            float32 (frames,) at 48 kHz.
        """
        with self._lock:
            before = self._position
            rate = self._steer(frames, wanted_ticks)
            begin = self._position
            assert begin is not None
            found = self._read(begin + rate * np.arange(frames))
            if before is not None and before != begin:
                # A cut: what went on before fades out beneath what goes on from here.
                share = np.linspace(0, 1, frames, dtype=np.float32)
                gone, there = self._sampled(before + np.arange(frames, dtype=np.float64))
                found = found * share + gone * there * (1 - share)
            self._position = begin + rate * frames
            return found

    def _steer(self, frames: int, wanted: float) -> float:
        """Ticks a sample; where the position is far from its place it is set anew."""
        if self._position is None:
            self._position = float(round(wanted))
            return 1.0
        # Late is positive: the position lies before the place it should have reached.
        error = wanted - self._position
        if self._settling > 0:
            return self._settle(frames, error)
        keep = math.exp(-frames / (_SMOOTHING_S * MEDIA_HZ))
        self._error = keep * self._error + (1 - keep) * error
        if abs(self._error) > _JUMP_TICKS:
            self.jumps += 1
            self._cut()
            self._settling = self._asked_to_settle
            return 1.0
        if abs(self._error) < _DEAD_TICKS:
            return 1.0
        return 1.0 + min(_MAX_STEER, max(-_MAX_STEER, self._error / (_STEERING_S * MEDIA_HZ)))

    def _settle(self, frames: int, error: float) -> float:
        """At first the device's times are all that is known, and each of them is off: their mean is better."""
        so_far = self._asked_to_settle - self._settling
        self._error += (error - self._error) * frames / (so_far + frames)
        self._settling = max(0, self._settling - frames)
        if self._settling == 0 and abs(self._error) > _DEAD_TICKS:
            self._cut()
        return 1.0

    def _cut(self) -> None:
        """Go on where the voice should be."""
        assert self._position is not None
        self._position, self._error = float(round(self._position + self._error)), 0.0

    def _read(self, positions: NDArray[np.floating]) -> NDArray[np.float32]:
        """The voice at ``positions``, ticks; silence where there is none, with soft edges."""
        found, there = self._sampled(positions)
        if there.all():
            self._starved, self._begun = False, True
            return self._faded_in(found)
        missing = len(there) - int(np.count_nonzero(there))
        self.underruns += self._begun and not self._starved
        if self._begun:
            self.missing_ms += missing * 1000 / MEDIA_HZ
        self._starved, self._fade_in = True, 0
        # What is there before the hole fades out instead of stopping dead.
        return np.asarray(found * there * np.linspace(1, 0, len(found), dtype=np.float32), np.float32)

    def _sampled(self, positions: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The voice at ``positions``, and where there is any."""
        first, last = int(np.floor(positions[0])) - 1, int(np.floor(positions[-1])) + 2
        samples, known = self._between(first, last + 1)
        place = positions - first
        whole = np.floor(place).astype(np.intp)
        part = (place - whole).astype(np.float32)
        return _interpolated(samples, whole, part), known[whole] & known[whole + 1]

    def _between(self, first: int, end: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Samples of ticks ``first`` to ``end``, and which of them there are."""
        samples, known = np.zeros(end - first, np.float32), np.zeros(end - first, bool)
        while self._blocks and self._blocks[0].ticks + _KEPT_TICKS < first:
            self._blocks.popleft()
        for block in self._blocks:
            begin, stop = max(first, block.ticks), min(end, block.ticks + len(block.samples))
            if begin < stop:
                given = block.samples[begin - block.ticks : stop - block.ticks]
                samples[begin - first : stop - first] = given.astype(np.float32) / np.float32(32768)
                known[begin - first : stop - first] = True
        return samples, known

    def _faded_in(self, found: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._fade_in >= _FADE:
            return found
        steps = np.minimum(1, (self._fade_in + 1 + np.arange(len(found))) / _FADE).astype(np.float32)
        self._fade_in += len(found)
        return found * steps


def _interpolated(
    samples: NDArray[np.float32], whole: NDArray[np.intp], part: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cubic (Catmull-Rom) between samples ``whole`` and ``whole + 1``; exact where ``part`` is 0."""
    before, here, after, beyond = (samples[np.clip(whole + step, 0, len(samples) - 1)] for step in (-1, 0, 1, 2))
    linear = after - before
    square = 2 * before - 5 * here + 4 * after - beyond
    cube = 3 * (here - after) + beyond - before
    return np.asarray(here + 0.5 * part * (linear + part * (square + part * cube)), np.float32)
