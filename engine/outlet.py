"""The way out of a session: what is due, in order, for one consumer that may be slow or gone.

Bounded in ms. Policies when the consumer does not keep up: the oldest *frames* are dropped first; *sound* is dropped
only when it alone fills the queue, and then the jump in its ticks is the gap that the consumer sees. Both are
counted. A failure is told after what was due before it.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.pacing import SOUND_BLOCK_TICKS
from models.spec import MEDIA_HZ


@dataclass(frozen=True)
class VideoFrame:
    """A picture, due ``ticks + L`` after its session's start.

    Attributes:
        index: Number of the frame among those that were due, from 0; a skipped one leaves a gap.
        ticks: Media time, 48 kHz: that of the sound which is spoken in it.
        picture: uint8 (512, 512, 3) RGB, or (512, 512, 4) premultiplied RGBA of the person alone; not to be written to.
        repeated: Whether it is an earlier picture, because this one was not ready.
    """

    index: int
    ticks: int
    picture: NDArray[np.uint8]
    repeated: bool


@dataclass(frozen=True)
class AudioBlock:
    """20 ms of sound, due ``ticks + L`` after its session's start.

    Attributes:
        ticks: Media time of its first sample, 48 kHz.
        samples: int16 (960,) mono at 48 kHz.
    """

    ticks: int
    samples: NDArray[np.int16]


Item = VideoFrame | AudioBlock


class Outlet:
    """A closable queue of frames and sound."""

    def __init__(self, queue_ms: int, fps: int) -> None:
        """Hold at most ``queue_ms`` of frames at ``fps``, and of sound."""
        self._limits = {
            VideoFrame: max(2, queue_ms * fps // 1000),
            AudioBlock: max(2, queue_ms * MEDIA_HZ // (1000 * SOUND_BLOCK_TICKS)),
        }
        self._items: deque[Item] = deque()
        self._held = {VideoFrame: 0, AudioBlock: 0}
        self._ready = asyncio.Event()
        self._error: BaseException | None = None
        self.closed = False
        self.dropped_frames = 0
        self.dropped_blocks = 0

    @property
    def queue_ms(self) -> float:
        """Sound that waits to be taken, in ms."""
        return self._held[AudioBlock] * SOUND_BLOCK_TICKS * 1000 / MEDIA_HZ

    def put(self, item: Item) -> None:
        """Add what is due now; never waits. Nothing is added once closed."""
        if self.closed:
            return
        kind = type(item)
        self._items.append(item)
        self._held[kind] += 1
        if self._held[kind] > self._limits[kind]:
            oldest = next(number for number, held in enumerate(self._items) if type(held) is kind)
            del self._items[oldest]
            self._held[kind] -= 1
            if kind is VideoFrame:
                self.dropped_frames += 1
            else:
                self.dropped_blocks += 1
        self._ready.set()

    def clear(self) -> None:
        """Empty the queue."""
        self._items.clear()
        self._held = {VideoFrame: 0, AudioBlock: 0}

    def close(self, error: BaseException | None = None) -> None:
        """Let the consumer take what is left and then end, with ``error`` if there is one. The first call counts."""
        if not self.closed:
            self.closed, self._error = True, error
            self._ready.set()

    @property
    def untold_error(self) -> BaseException | None:
        """The error that no consumer has met yet."""
        return self._error

    async def get(self) -> Item:
        """The next item, waiting for it.

        Raises:
            StopAsyncIteration: The outlet is closed and empty.
            BaseException: The error it was closed with, once; after that it is merely closed.
        """
        while not self._items:
            if self.closed:
                error, self._error = self._error, None
                if error is not None:
                    raise error
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        item = self._items.popleft()
        self._held[type(item)] -= 1
        return item
