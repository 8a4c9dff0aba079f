"""``mien bench throughput``: sessions side by side, one more until the engine refuses."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import numpy as np

from benchmarks.machine import fingerprint
from benchmarks.recording import CHUNK_MS, Recorder, at_48k, chunks_of, looped
from benchmarks.scenarios import OpenSession, Report, Settings
from benchmarks.timing import interval_jitter_ms, mouth_to_frame_ms, percentiles
from engine.clock import NS_PER_MS, NS_PER_S, Clock, ns_to_ticks
from engine.errors import MienError
from engine.session_parts import SessionStats
from models.spec import SAMPLE_HZ


async def throughput(open_session: OpenSession, settings: Settings, clock: Clock, limit: int = 256) -> Report:
    """Sessions side by side, one more until the engine refuses; then all of them together for the time asked for.

    Args:
        open_session: Opens sessions.
        settings: What each of them does.
        clock: The engine's.
        limit: Sessions after which nobody waits for a refusal.

    Raises:
        MienError: Not even one session is admitted, or an admitted one fails.
    """
    refusal: str | None = None
    async with AsyncExitStack() as stack:
        seats: list[_Seat] = []
        try:
            while len(seats) < limit:
                try:
                    session = await stack.enter_async_context(open_session(**settings.options))
                except MienError as error:
                    if not seats:
                        raise
                    refusal = str(error)
                    break
                seats.append(_Seat(session, settings, clock, len(seats) + 1))
                await clock.sleep_until(clock.now_ns() + round(settings.warmup_s * NS_PER_S))
            for seat in seats:
                seat.begin()
            await clock.sleep_until(clock.now_ns() + round(settings.seconds * NS_PER_S))
            for seat in seats:
                seat.end()
        finally:
            await asyncio.gather(*(seat.leave() for seat in seats))
    rows = [seat.row() for seat in seats]
    return {
        "scenario": "throughput",
        "sessions_admitted": len(seats),
        "fps": settings.fps,
        "missed_frames": sum(row["missed_frames"] for row in rows),
        "frames": sum(row["frames"] for row in rows),
        "ladder_steps": sum(row["ladder_steps"] for row in rows),
        "beyond_budget_ms": {"max": round(max(row["mouth_to_frame_ms"]["p99"] - row["budget_ms"] for row in rows), 3)},
        "sessions": {str(number): row for number, row in enumerate(rows, 1)},
        "refusal": refusal,
        "settings": settings.told,
        "machine": fingerprint(),
    }


class _Seat:
    """One of the sessions: it is spoken to in real time, and after ``begin`` what leaves it is noted."""

    def __init__(self, session: Any, settings: Settings, clock: Clock, number: int) -> None:
        self._session, self._settings, self._clock = session, settings, clock
        self._said = np.roll(settings.speech, -number * SAMPLE_HZ)  # each says other words
        self._start_ns = clock.now_ns()
        self._recorder, self._noting = Recorder(settings.seconds, True), False
        self._before = self._after = SessionStats()
        self._spoken_s = 0.0
        self._tasks = [asyncio.create_task(self._speak()), asyncio.create_task(self._listen())]

    def begin(self) -> None:
        """Note what leaves from now on."""
        self._check()
        self._recorder.begin(ns_to_ticks(self._clock.now_ns() - self._session.origin_ns))
        self._before, self._noting = self._session.stats(), True

    def end(self) -> None:
        """Note no more."""
        self._check()
        self._after, self._noting = self._session.stats(), False
        self._spoken_s = (self._clock.now_ns() - self._start_ns) / NS_PER_S

    def row(self) -> Report:
        """The figures between ``begin`` and ``end``."""
        recording = self._recorder.recording(self._session.origin_ns, self._start_ns)
        if len(recording.frame_ns) < 2:
            raise MienError("A session gave no frames while it was measured; its log says why.")
        places, offsets = recording.offsets(at_48k(looped(self._said, self._spoken_s)))
        ns, ticks = recording.frame_ns, recording.frame_ticks
        before, after = self._before, self._after
        # A picture that is shown again answers the sound that it was drawn for: until then the mouth is late.
        answered = np.maximum.accumulate(np.where(recording.repeated, ticks[0], ticks))
        latency = mouth_to_frame_ms(ns, answered, self._start_ns, places, offsets)
        return {
            "budget_ms": round(self._session.budget.total_ms, 3),
            "frames": after.frames - before.frames,
            "missed_frames": after.missed + after.skipped - before.missed - before.skipped,
            "ladder_steps": after.ladder_steps - before.ladder_steps,
            "mouth_to_frame_ms": percentiles(latency, with_max=True),
            "interval_jitter_ms": percentiles(interval_jitter_ms(ns, ticks)),
        }

    async def leave(self) -> None:
        """Stop speaking and listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _check(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
                raise MienError("A session ended while it was being measured; its log says why.")

    async def _speak(self) -> None:
        for number, chunk in enumerate(chunks_of(self._said), 1):
            await self._clock.sleep_until(self._start_ns + number * CHUNK_MS * NS_PER_MS)
            await self._session.push(chunk, SAMPLE_HZ)

    async def _listen(self) -> None:
        async for item in self._session:
            if self._noting:
                self._recorder.add(item, self._clock.now_ns())
