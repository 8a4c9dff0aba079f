"""``mien bench pushed``: how soon a face speaks what it is handed, and how soon it is silent when interrupted.

::

    push        |320 ms|.. the rest, twice as fast as it is said ..|        interrupt
    first frame |------>| first                                             |------>| mouth at rest, queues empty
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.impulse import syllable
from benchmarks.machine import fingerprint
from benchmarks.probe import read_opening
from benchmarks.recording import CHUNK, CHUNK_MS
from benchmarks.scenarios import OpenSession, Report, Settings
from benchmarks.timing import percentiles
from engine.clock import NS_PER_MS, NS_PER_S, Clock
from engine.errors import MienError
from engine.outlet import AudioBlock, VideoFrame
from models.spec import MEDIA_HZ, SAMPLE_HZ

FIRST_MS: Final = 320
"""Sound after which the first frame of an utterance is waited for."""
_UTTERANCE_S: Final = 2.4
_SPOKEN_S: Final = 1.0
"""After which the first utterance is interrupted; each later one a little later."""
_IDLE_S: Final = 0.9
_AUDIBLE: Final = 16
"""Of 32767: a sample that is heard."""
_SOFT_TICKS: Final = MEDIA_HZ * 12 // 1000
"""How long after an utterance's place its first audible sample may be."""
_REST: Final = 0.1
"""Of an utterance's widest opening, what is rest; and three times what the lips stir when idle."""


@dataclass(frozen=True)
class _Utterance:
    """Moments of one utterance, ns."""

    pushed_ns: int
    interrupted_ns: int | None
    emptied_ns: int | None
    ended_ns: int


class _Listener:
    """What left the session."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.frames: list[tuple[int, int, bool, float]] = []
        """When, media time, whether repeated, opening of the lips."""
        self.audible: list[tuple[int, int]] = []
        """When and media time of the first audible sample, of blocks that have one."""

    async def listen(self, session: Any) -> None:
        async for item in session:
            now = self._clock.now_ns()
            if isinstance(item, VideoFrame):
                self.frames.append((now, item.ticks, item.repeated, read_opening(item.picture)))
            elif isinstance(item, AudioBlock):
                heard = np.flatnonzero(np.abs(item.samples.astype(np.int32)) > _AUDIBLE)
                if len(heard):
                    self.audible.append((now, item.ticks + int(heard[0])))


async def pushed(open_session: OpenSession, settings: Settings, clock: Clock) -> Report:
    """Utterances pushed faster than real time, three of four interrupted.

    Args:
        open_session: Opens sessions whose pictures carry their lips' opening (``benchmarks.probe``).
        settings: What is measured; utterances are begun for as long as it says.
        clock: The engine's.

    Raises:
        MienError: The session cannot be opened or ends, or answers no utterance.
    """
    said, listener = _utterance(settings), _Listener(clock)
    options = {**settings.options, "mode": "pushed"}
    utterances: list[_Utterance] = []
    async with open_session(**options) as session:
        listening = asyncio.create_task(listener.listen(session))
        try:
            await _wait(clock, settings.warmup_s)
            warmed, before = session.instruments.histograms(), session.stats()
            end_ns = clock.now_ns() + round(settings.seconds * NS_PER_S)
            while clock.now_ns() < end_ns or len(utterances) < 2:
                utterances.append(await _say(session, said, clock, len(utterances)))
                if listening.done():
                    listening.result()
                    raise MienError("The session ended while it was being spoken to; its log says why.")
            stages, after, budget = session.instruments.stages_ms(warmed), session.stats(), session.budget
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    figures = _figures(utterances, listener)
    if not len(figures["first_frame_ms"]):
        raise MienError(
            "No utterance was answered by a frame that was ready: the machine is overloaded; stop what else runs."
        )
    return {
        "scenario": "pushed",
        "budget_ms": round(budget.total_ms, 3),
        "utterances": len(utterances),
        "answered": len(figures["first_frame_ms"]),
        "interrupted": sum(utterance.interrupted_ns is not None for utterance in utterances),
        "rested": len(figures["mouth_at_rest_ms"]),
        **{name: percentiles(values, with_max=True) for name, values in figures.items()},
        "frames": after.frames - before.frames,
        "missed_frames": after.missed + after.skipped - before.missed - before.skipped,
        "gaps": after.gaps - before.gaps,
        "stages": stages,
        "budget": {name: round(value, 3) for name, value in vars(budget).items()},
        "series": {name: [round(float(value), 2) for value in values] for name, values in figures.items()},
        "settings": settings.told,
        "machine": fingerprint(),
    }


def _utterance(settings: Settings) -> NDArray[np.float32]:
    """A syllable, so that the sound begins at once, and then the recording."""
    begin = syllable(settings.speech if settings.voice is None else settings.voice)
    rest = np.resize(settings.speech, max(0, int(_UTTERANCE_S * SAMPLE_HZ) - len(begin)))
    return np.concatenate([begin, rest]).astype(np.float32)


async def _say(session: Any, said: NDArray[np.float32], clock: Clock, number: int) -> _Utterance:
    """Push one utterance, interrupt it or let it end, and be silent for a while."""
    first = FIRST_MS * SAMPLE_HZ // 1000
    for begin in range(0, first, CHUNK):
        await session.push(said[begin : min(first, begin + CHUNK)], SAMPLE_HZ)
    pushed_ns = clock.now_ns()

    async def rest() -> None:
        for count, begin in enumerate(range(first, len(said), CHUNK), 1):
            await clock.sleep_until(pushed_ns + count * CHUNK_MS * NS_PER_MS // 2)
            await session.push(said[begin : begin + CHUNK], SAMPLE_HZ)
        if number % 4 == 3:
            await session.flush()

    interrupted = emptied = None
    pushing = asyncio.create_task(rest())
    try:
        if number % 4 == 3:
            await pushing
        else:
            # No two at one place of a frame.
            await clock.sleep_until(pushed_ns + round((_SPOKEN_S + 0.0137 * (number % 29)) * NS_PER_S))
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
            interrupted = clock.now_ns()
            await session.interrupt()
            while (stats := session.stats()).intake_ms or stats.output_ms:
                await _wait(clock, 0.001)
            emptied = clock.now_ns()
    finally:
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
    await _wait(clock, _IDLE_S + 0.0113 * (number % 23))
    return _Utterance(pushed_ns, interrupted, emptied, clock.now_ns())


async def _wait(clock: Clock, seconds: float) -> None:
    await clock.sleep_until(clock.now_ns() + round(seconds * NS_PER_S))


def _figures(utterances: list[_Utterance], listener: _Listener) -> dict[str, NDArray[np.float64]]:
    """From push and interruption to what left, in ms, one value for each utterance in which it happened."""
    left, ticks, repeated, opening = (np.array(column) for column in zip(*listener.frames, strict=True))
    found: dict[str, list[float]] = {
        name: [] for name in ("first_frame_ms", "lips_ms", "mouth_at_rest_ms", "queues_empty_ms", "sound_after_ms")
    }
    for utterance in utterances:
        during = (left >= utterance.pushed_ns) & (left < utterance.ended_ns)
        idle = opening[(left < utterance.pushed_ns) & (left >= utterance.pushed_ns - 0.3 * NS_PER_S)]
        heard = [(at, place) for at, place in listener.audible if utterance.pushed_ns <= at < utterance.ended_ns]
        if not heard or not during.any() or not len(idle):
            continue
        since_push = (left - utterance.pushed_ns) / NS_PER_MS
        own = during & ~repeated & (ticks >= heard[0][1] - _SOFT_TICKS)
        if own.any():
            found["first_frame_ms"].append(float(since_push[own][0]))
        stirs, widest = float(idle.max() - idle.min()), float(opening[during].max())
        threshold = idle.max() + max(_REST * (widest - idle.max()), 3 * stirs, 1e-3)
        speaks = during & (opening > threshold)
        if speaks.any():
            found["lips_ms"].append(float(since_push[speaks][0]))
        if utterance.interrupted_ns is None or utterance.emptied_ns is None or not speaks.any():
            continue
        found["queues_empty_ms"].append((utterance.emptied_ns - utterance.interrupted_ns) / NS_PER_MS)
        late = [at for at, _ in heard if at >= utterance.interrupted_ns]
        found["sound_after_ms"].append((max(late) - utterance.interrupted_ns) / NS_PER_MS if late else 0.0)
        # At rest is the mouth that stays so.
        closed = np.flatnonzero(during & (left >= max(utterance.interrupted_ns, int(left[speaks][-1]) + 1)))
        if len(closed):
            found["mouth_at_rest_ms"].append(float((left[closed[0]] - utterance.interrupted_ns) / NS_PER_MS))
    return {name: np.array(values, np.float64) for name, values in found.items()}
