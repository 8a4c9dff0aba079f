"""Styles put on and off in a running session beside others: does any of it break a deadline?"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import numpy as np

from benchmarks.machine import fingerprint
from benchmarks.recording import CHUNK_MS, Recording, chunks_of, record
from benchmarks.scenarios import OpenSession, Report, Settings
from benchmarks.timing import percentiles
from engine.artefacts.style import Style
from engine.clock import NS_PER_MS, NS_PER_S, Clock
from engine.errors import ConfigError
from models.spec import SAMPLE_HZ

EVERY_S: Final = 2
"""From one change to the next."""
SETTLED_S: Final = 1.0
"""After a change: longer than opening a style and fading to it take."""


async def switching(
    open_session: OpenSession, settings: Settings, styles: Sequence[Style], clock: Clock, companions: int = 1
) -> Report:
    """One session changes its style every two seconds, through all styles and none, while others speak beside it.

    Args:
        open_session: Opens sessions.
        settings: What is measured.
        styles: To go through.
        clock: The engine's.
        companions: Sessions beside it, whose style stays as it is.

    Raises:
        ConfigError: There is no style.
        MienError: A session cannot be opened, or a style not be worn.
    """
    if not styles:
        raise ConfigError("There are no styles to change between: give a folder that holds some.")
    round_trip: list[Style | None] = [*styles, None]
    asked_ns: list[int] = []
    changes: list[asyncio.Task[float]] = []
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(**settings.options))
        others = [await stack.enter_async_context(open_session(**settings.options)) for _ in range(companions)]
        tasks = [asyncio.create_task(_keep_busy(other, settings, clock)) for other in others]

        async def change(style: Style | None) -> float:
            begun = clock.now_ns()
            await session.change_style(style)
            return (clock.now_ns() - begun) / NS_PER_MS

        def each_second(second: int) -> None:
            if second >= settings.warmup_s and second % EVERY_S == 0:
                asked_ns.append(clock.now_ns())
                changes.append(asyncio.create_task(change(round_trip[len(changes) % len(round_trip)])))

        try:
            total = settings.warmup_s + settings.seconds
            recording = await record(session, settings.speech, total, clock, keep_sound=False, each_second=each_second)
            took_ms = await asyncio.gather(*changes)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        stats = session.stats()
    begin_ns = recording.start_ns + round(settings.warmup_s * NS_PER_S)
    missed = recording.missed(begin_ns)
    near = missed_near(recording, asked_ns)
    return {
        "scenario": "styles",
        "switches": len(asked_ns),
        "frames": int((recording.frame_ns >= begin_ns).sum()),
        "missed_frames": missed,
        "missed_at_switches": near,
        "missed_elsewhere": missed - near,
        "change_ms": percentiles(np.array(took_ms), with_max=True),
        "companions": companions,
        "styles": [style.name for style in styles],
        "ladder_steps": stats.ladder_steps,
        "settings": settings.told,
        "machine": fingerprint(),
    }


def missed_near(recording: Recording, asked_ns: Sequence[int]) -> int:
    """Frames missed within a second after a change was asked for."""
    return sum(recording.missed(asked, asked + round(SETTLED_S * NS_PER_S)) for asked in asked_ns)


async def _keep_busy(session: Any, settings: Settings, clock: Clock) -> None:
    """Speak to a session and take what leaves it, until cancelled."""

    async def listen() -> None:
        async for _ in session:
            pass

    listening = asyncio.create_task(listen())
    start_ns = clock.now_ns()
    try:
        for number, chunk in enumerate(chunks_of(np.roll(settings.speech, -SAMPLE_HZ)), 1):
            await clock.sleep_until(start_ns + number * CHUNK_MS * NS_PER_MS)
            await session.push(chunk, SAMPLE_HZ)
    finally:
        listening.cancel()
