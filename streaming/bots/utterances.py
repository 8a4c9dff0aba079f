"""A pushed session as agent frameworks want it: utterances in; pictures, and of the sound the utterances alone, out.

A session plays without end: between utterances it plays silence. A framework that counts how much of an utterance was
heard must not be given that silence, and must learn where each utterance ended::

    in      push push push end            push end
    session ......AAAAAAAAAAAAA..............BBBBB.....      . silence
    out           AAAAAAAAAAAAA|             BBBBB|          | UtteranceEnd; pictures go on throughout

Which silence is an utterance's own is seen by a mark: a sample that is exactly 0 is pushed as 1 of 32768, which nobody
hears (-90 dB) and which is not 0 when it comes out.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.intake import as_sound
from engine.outlet import AudioBlock, VideoFrame
from engine.pacing import SOUND_BLOCK_TICKS
from engine.session import Session


@dataclass(frozen=True)
class UtteranceEnd:
    """All that was pushed before ``end`` was called has been given."""


@dataclass
class _End:
    """Lies behind all sound before a media time.

    Attributes:
        before_ticks: That time.
        over: Set when it was given, or will not be.
        given: Which of the two.
    """

    before_ticks: int
    over: asyncio.Event = field(default_factory=asyncio.Event)
    given: bool = False


Given = VideoFrame | AudioBlock | UtteranceEnd


class Utterances:
    """One pushed session; one task pushes, another iterates, any may clear."""

    def __init__(self, session: Session) -> None:
        """Speak through ``session``, which must be in pushed mode and have begun; it is the caller's to close."""
        self._session = session
        self._pushing: asyncio.Task[None] | None = None
        self._order = asyncio.Lock()
        self._open = False
        self._generation = 0
        self._ends: list[_End] = []
        self._deaf_until = 0

    async def push(self, samples: NDArray[Any], rate_hz: int) -> None:
        """Say more; waits while some 30 s of speech wait already. What ``clear`` takes away meanwhile is left out.

        Args:
            samples: float32 in [-1, 1] or int16, (n,) mono.
            rate_hz: Their sample rate, 8000 to 96000.

        Raises:
            AudioError: That is no such sound.
            SessionError: The session has ended.
        """
        generation = self._generation
        async with self._order:
            if generation != self._generation:
                return
            marked = as_sound(samples)
            self._open = self._open or len(marked) > 0
            marked = np.where(marked == 0, np.float32(1 / 32768), marked)
            self._pushing = asyncio.create_task(self._session.push(marked, rate_hz), name="mien-utter")
            try:
                await asyncio.wait([self._pushing])
                if not self._pushing.cancelled():
                    self._pushing.result()
            finally:
                self._pushing.cancel()
                self._pushing = None

    async def end(self) -> bool:
        """The utterance is complete: waits until all of it, and its end, were given to whoever iterates.

        Returns:
            Whether its end was given: not if there is no utterance, or it was cleared meanwhile.

        Raises:
            SessionError: The session has ended.
        """
        generation = self._generation
        async with self._order:
            if not self._open or generation != self._generation:
                return False
            await self._session.flush()
            if generation != self._generation or self._session.closed:
                return False
            self._open = False
            end = _End(self._played_ticks())
            self._ends.append(end)
            await end.over.wait()
            return end.given

    async def clear(self) -> None:
        """Break off (barge-in): what waits is forgotten, no end of it is told, and the mouth closes."""
        self._generation += 1
        self._open = False
        self._forget_ends()
        if self._pushing is not None:
            self._pushing.cancel()
        await self._session.interrupt()
        # The 5 ms in which the voice fades belong to no utterance.
        self._deaf_until = self._played_ticks() + SOUND_BLOCK_TICKS

    async def __aiter__(self) -> AsyncIterator[Given]:
        """Pictures at the session's rate, and the utterances, each followed by its end."""
        try:
            async for item in self._session:
                if self._ends and item.ticks >= self._ends[0].before_ticks:
                    end = self._ends.pop(0)
                    try:
                        yield UtteranceEnd()
                        end.given = True
                    finally:
                        end.over.set()
                if isinstance(item, VideoFrame):
                    yield item
                elif item.ticks >= self._deaf_until and item.samples.any():
                    # Behind the last sample nothing is the utterance's; before its first, the place in time counts.
                    yield replace(item, samples=np.trim_zeros(item.samples, "b"))
        finally:
            self._forget_ends()

    def _forget_ends(self) -> None:
        for end in self._ends:
            end.over.set()
        self._ends.clear()

    def _played_ticks(self) -> int:
        return self._session.stats().audio_blocks * SOUND_BLOCK_TICKS
