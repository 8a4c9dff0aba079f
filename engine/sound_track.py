"""The sound that a session will play: 48 kHz on the media clock, from which blocks are taken as they fall due."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from engine.pacing import SOUND_BLOCK_TICKS
from models.spec import MEDIA_HZ

_FADE_TICKS = MEDIA_HZ * 5 // 1000
"""Sound that is broken off fades out over 5 ms: a step would click."""


class SoundTrack:
    """Sound in, anywhere ahead and in order; blocks of 20 ms out. Where nothing was put there is silence."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, NDArray[np.float32]]] = deque()
        self._end = 0
        self._taken = 0

    @property
    def end_ticks(self) -> int:
        """Media time up to which sound is known."""
        return max(self._end, self._taken)

    @property
    def next_ticks(self) -> int:
        """Media time of the next block."""
        return self._taken

    def append(self, sound: NDArray[np.float32]) -> None:
        """Put sound, float32 (n,) mono at 48 kHz in [-1, 1], where the last ended."""
        if len(sound):
            self._parts.append((self.end_ticks, sound))
            self._end = self.end_ticks + len(sound)

    def skip_to(self, media_ticks: int) -> None:
        """Silence from where the sound ends up to ``media_ticks``; nothing if that is past."""
        self._end = max(self.end_ticks, media_ticks)

    def take(self) -> NDArray[np.int16]:
        """The next 20 ms: int16 (960,)."""
        begin, block = self._taken, np.zeros(SOUND_BLOCK_TICKS, np.float32)
        self._taken += SOUND_BLOCK_TICKS
        while self._parts and self._parts[0][0] < self._taken:
            start, part = self._parts.popleft()
            from_part = max(0, begin - start)
            usable = part[from_part : self._taken - start]
            offset = max(0, start - begin)
            block[offset : offset + len(usable)] = usable
            if start + len(part) > self._taken:
                self._parts.appendleft((start, part))
                break
        return np.rint(np.clip(block, -1, 1) * 32767).astype(np.int16)

    def drop(self, *, keep_time: bool) -> None:
        """Break off all sound that has not been taken, with a short fade.

        Args:
            keep_time: Whether silence of the same length takes its place (live sound, whose clock runs on) or the
                track ends there (pushed speech).
        """
        end, begin = self.end_ticks, self._taken
        length = min(_FADE_TICKS, end - begin)
        tail = np.zeros(length, np.float32)
        for start, part in self._parts:
            usable = part[max(0, begin - start) : max(0, begin + length - start)]
            offset = max(0, start - begin)
            tail[offset : offset + len(usable)] = usable
        self._parts.clear()
        if length:
            self._parts.append((begin, tail * np.linspace(1, 0, length, dtype=np.float32)))
        self._end = end if keep_time else begin + length
