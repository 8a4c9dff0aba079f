"""One session's pictures and sound for any number of receivers, each bounded and none able to hold up another.

A session gives every item at its due time, to one consumer. This is that consumer: it hands each item to every feed.
A feed keeps the newest picture only - an older one is late, and is dropped - and 200 ms of sound, of which the oldest
gives way; RTP time stamps come from the media clock, so a receiver sees the gap where it was.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from engine.outlet import AudioBlock, Item, VideoFrame

_BLOCKS: Final = 10

Retouch = Callable[[Item], Item]
"""Sees every item on its way, and may give another in its place."""


class Feed:
    """One receiver's share.

    Attributes:
        dropped_frames: Pictures that a newer one replaced before they were fetched.
        dropped_blocks: Blocks of sound that gave way.
    """

    def __init__(self, leave: Callable[["Feed"], None]) -> None:
        self._leave = leave
        self._frame: VideoFrame | None = None
        self._blocks: deque[AudioBlock] = deque()
        self._new_frame, self._new_block = asyncio.Event(), asyncio.Event()
        self._wants_frames, self._wants_blocks = False, False
        self.closed = False
        self.dropped_frames, self.dropped_blocks = 0, 0

    def put(self, item: Item) -> None:
        """Take an item; never waits. Of a kind that nobody fetches nothing is kept."""
        if isinstance(item, VideoFrame):
            self.dropped_frames += self._wants_frames and self._frame is not None
            self._frame = item
            self._new_frame.set()
        else:
            self._blocks.append(item)
            if len(self._blocks) > (_BLOCKS if self._wants_blocks else 1):
                self._blocks.popleft()
                self.dropped_blocks += self._wants_blocks
            self._new_block.set()

    async def frame(self) -> VideoFrame:
        """The newest picture that was not fetched yet.

        Raises:
            StopAsyncIteration: The session or the feed has ended.
        """
        self._wants_frames = True
        while self._frame is None:
            await self._until(self._new_frame)
        frame, self._frame = self._frame, None
        return frame

    async def block(self) -> AudioBlock:
        """The next block of sound.

        Raises:
            StopAsyncIteration: The session or the feed has ended.
        """
        self._wants_blocks = True
        while not self._blocks:
            await self._until(self._new_block)
        return self._blocks.popleft()

    def close(self) -> None:
        """Take no more; closing twice is legal."""
        if not self.closed:
            self.closed = True
            self._leave(self)
            self._new_frame.set()
            self._new_block.set()

    async def _until(self, news: asyncio.Event) -> None:
        if self.closed:
            raise StopAsyncIteration
        news.clear()
        await news.wait()


class Fanout:
    """The session's one consumer."""

    def __init__(self, items: AsyncIterator[Item], retouch: Retouch | None = None) -> None:
        """Prepare.

        Args:
            items: A session.
            retouch: Sees every item first.
        """
        self._items, self._retouch = items, retouch
        self._feeds: list[Feed] = []
        self._ended = False

    @property
    def feeds(self) -> int:
        """Receivers."""
        return len(self._feeds)

    def subscribe(self) -> Feed:
        """A share of all that comes from now on; at its end already, if the session has ended."""
        feed = Feed(self._feeds_remove)
        self._feeds.append(feed)
        if self._ended:
            feed.close()
        return feed

    async def run(self) -> None:
        """Hand out until the session ends.

        Raises:
            Exception: What ended the session.
        """
        try:
            async for item in self._items:
                shown = item if self._retouch is None else self._retouch(item)
                for feed in self._feeds:
                    feed.put(shown)
        finally:
            self._ended = True
            for feed in list(self._feeds):
                feed.close()

    def _feeds_remove(self, feed: Feed) -> None:
        self._feeds.remove(feed)
