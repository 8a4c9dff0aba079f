"""Gaps in a stream of sound made inaudible: no clicks, no buzz, then silence.

::

    heard   ... a b c d |                     the last 10 ms: ... a b c d
    gap                 | d c b a ...         mirrored and faded out, then zeros: no jump in value
    resumed                        | x y z    faded in over 5 ms, on what is left of the fade
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.resampling import Sound
from models.spec import MEDIA_HZ, SAMPLE_HZ, TICKS_PER_SAMPLE

FADE_OUT_MS: Final = 10
FADE_IN_MS: Final = 5


class Splicer:
    """Both renditions of a stream of sound, kept free of clicks where it was cut."""

    def __init__(self) -> None:
        self._speech, self._sound = _Fader(SAMPLE_HZ), _Fader(MEDIA_HZ)

    def cut(self) -> None:
        """What comes next does not follow what was last heard."""
        self._speech.cut()
        self._sound.cut()

    def go_on(self, heard: Sound) -> Sound:
        """The next stretch of real sound; the first after a cut is faded in."""
        return Sound(self._speech.go_on(heard.speech), self._sound.go_on(heard.sound))

    def conceal(self, ticks: int) -> Sound:
        """What is played for want of sound: a fade, then silence.

        Args:
            ticks: Its length, a multiple of 3.
        """
        return Sound(self._speech.conceal(ticks // TICKS_PER_SAMPLE), self._sound.conceal(ticks))


class _Fader:
    """One rendition."""

    def __init__(self, rate_hz: int) -> None:
        # cos and sin squared are smooth at both ends.
        out = rate_hz * FADE_OUT_MS // 1000
        self._out = (np.cos(np.pi / 2 * (np.arange(out) + 0.5) / out) ** 2).astype(np.float32)
        length = rate_hz * FADE_IN_MS // 1000
        self._in = (np.sin(np.pi / 2 * (np.arange(length) + 0.5) / length) ** 2).astype(np.float32)
        self._last = np.zeros(out, np.float32)
        self._fading = np.zeros(0, np.float32)
        # A stream begins at once: its first sound is as its source meant it.
        self._entered = length

    def cut(self) -> None:
        if self._entered:
            self._fading = self._last[::-1] * self._out
            self._entered = 0

    def go_on(self, heard: NDArray[np.float32]) -> NDArray[np.float32]:
        gain = self._in[self._entered : self._entered + len(heard)]
        left = self._take_fading(len(heard))
        if len(gain) or len(left):
            heard = heard.copy()
            heard[: len(gain)] *= gain
            heard[: len(left)] += left
            self._entered += len(gain)
        return self._remember(heard)

    def conceal(self, samples: int) -> NDArray[np.float32]:
        self.cut()
        made = np.zeros(samples, np.float32)
        left = self._take_fading(samples)
        made[: len(left)] = left
        return self._remember(made)

    def _take_fading(self, samples: int) -> NDArray[np.float32]:
        left, self._fading = self._fading[:samples], self._fading[samples:]
        return left

    def _remember(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        self._last = np.concatenate([self._last, given[-len(self._last) :]])[-len(self._last) :]
        return given
