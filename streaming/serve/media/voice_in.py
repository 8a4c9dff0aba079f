"""A peer's voice: from packets as they arrive to sound that is pushed into a session, at a fixed small delay."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS_PER_MS, Alarm, Clock, ns_to_ticks, ticks_to_ns
from engine.errors import AudioError
from streaming.serve.media.opus_packets import OpusDecoder, packet_ticks
from streaming.serve.media.voice_buffer import ALLOWANCE_MS, Lost, Piece, VoiceBuffer, VoiceStats

logger = logging.getLogger(__name__)

_NEVER_NS = 1 << 62
_STALL_NS = 5 * NS_PER_MS
_MOST_TURNS = 200

Hear = Callable[[NDArray[np.int16]], Awaitable[None]]
"""Takes sound, int16 (n,) mono at 48 kHz, in order and without gaps."""


class VoiceReceiver:
    """One peer's voice.

    ``packet`` is called by the network and only files; ``run`` decodes - some 0.1 ms a packet, on the event loop, less
    than the way to another thread and back - and hands on.

    Attributes:
        malformed: Packets that were not Opus.
        recovered: Lost packets whose copy came with their follower.
    """

    def __init__(self, clock: Clock, hear: Hear, *, allowance_ms: float = ALLOWANCE_MS) -> None:
        """Prepare.

        Args:
            clock: The session's.
            hear: Where the sound goes.
            allowance_ms: See ``VoiceBuffer``.
        """
        self._clock, self._hear = clock, hear
        self._buffer = VoiceBuffer(allowance_ms)
        self._decoder = OpusDecoder()
        self._news = Alarm(clock)
        self._origin_ns = clock.now_ns()
        self.malformed, self.recovered = 0, 0

    @property
    def stats(self) -> VoiceStats:
        """What came over the network."""
        return self._buffer.stats

    def packet(self, timestamp: int, payload: bytes) -> None:
        """File a packet that has just come."""
        try:
            ticks = packet_ticks(payload)
        except AudioError:
            self.malformed += 1
            return
        self._buffer.insert(timestamp, payload, ticks, self._now_ticks())
        self._news.ring()

    async def run(self) -> None:
        """Decode and hand on until cancelled."""
        try:
            while True:
                pieces = [self._decode(piece) for piece in self._buffer.take(self._now_ticks())]
                if pieces:
                    await self._hear(np.concatenate(pieces))
                due = self._buffer.deadline_ticks(self._now_ticks())
                until = _NEVER_NS if due is None else self._origin_ns + ticks_to_ns(int(due) + 1)
                await self._news.wait(until)
                await self._let_packets_in(until)
        finally:
            self._decoder.close()

    async def _let_packets_in(self, until_ns: int) -> None:
        """After a stall of the event loop: packets that came meanwhile are still in the socket, and are not lost.

        A socket gives one packet a turn of the loop, so that is how many turns it takes.
        """
        stalled_ns = self._clock.now_ns() - until_ns
        if stalled_ns > _STALL_NS:
            for _ in range(min(_MOST_TURNS, 4 + stalled_ns // _STALL_NS)):
                await asyncio.sleep(0)

    def _decode(self, piece: Piece) -> NDArray[np.int16]:
        if isinstance(piece, Lost):
            self.recovered += piece.follower is not None and self._decoder.carries_copy(piece.follower)
            return self._decoder.conceal(piece.ticks, piece.follower)
        try:
            return self._decoder.decode(piece.payload)
        except AudioError as error:
            self.malformed += 1
            logger.debug("a voice's packet is replaced: %s", error)
            return self._decoder.conceal(piece.ticks)

    def _now_ticks(self) -> int:
        return ns_to_ticks(self._clock.now_ns() - self._origin_ns)
