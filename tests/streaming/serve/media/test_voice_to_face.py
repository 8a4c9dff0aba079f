"""A voice over a bad network into a session, on virtual time: what is heard and seen keeps its place."""

import asyncio
import random

import numpy as np

from engine.clock import NS_PER_MS, NS_PER_S
from engine.session import Session
from models.spec import MEDIA_HZ
from streaming.serve.media.encoders import VoiceEncoder
from streaming.serve.media.voice_in import VoiceReceiver
from streaming.serve.probe import Onsets
from tests.engine.session_fakes import Log, Stage

SECONDS = 25
NETWORK_MS = 10
JITTER_MS = 30
LOSS = 0.03
END = MEDIA_HZ * (SECONDS + 60)
BEEP = 9600
"""Ticks of a second that sound."""


def beeps(number: int) -> np.ndarray:
    place = np.arange(960 * number, 960 * (number + 1))
    sounding = place % MEDIA_HZ < BEEP
    return (sounding * 16_000 * np.sin(2 * np.pi * 440 * place / MEDIA_HZ)).astype(np.int16)


def test_loss_and_jitter_cost_no_latency_and_the_lips_go_on() -> None:
    stage, chance = Stage(), random.Random(11)

    async def script(session: Session, log: Log) -> None:
        clock = stage.clock

        async def hear(samples: np.ndarray) -> None:
            await session.push(samples, MEDIA_HZ)

        voice, encoder = VoiceReceiver(clock, hear), VoiceEncoder()
        running = asyncio.create_task(voice.run())
        begin = clock.now_ns()

        async def deliver(number: int, packet: bytes) -> None:
            way = NETWORK_MS + chance.uniform(0, JITTER_MS)
            await clock.sleep_until(begin + round((20 * (number + 1) + way) * NS_PER_MS))
            voice.packet(960 * number, packet)

        async with asyncio.TaskGroup() as network:
            for number in range(50 * SECONDS):
                (packet,), _ = encoder.encode(beeps(number), 960 * number)
                await clock.sleep_until(begin + 20 * NS_PER_MS * (number + 1))
                if chance.random() >= LOSS:
                    network.create_task(deliver(number, packet))
        log.began = begin - session.origin_ns  # type: ignore[attr-defined]
        log.voice = voice  # type: ignore[attr-defined]
        await log.wait(300)
        running.cancel()
        await asyncio.wait([running])

    log = stage.play(script, lookahead=0, chunk_ms=60)
    stats, voice = log.session.stats(), log.voice  # type: ignore[attr-defined]
    assert voice.stats.lost > 20 and voice.stats.restarts == 0
    onsets, found = Onsets(), []
    for _, block in log.blocks:
        before = onsets.last(END)
        onsets.hear(block)
        onset = onsets.last(END)
        if onset is not None and onset != before:
            found.append(onset)
    assert len(found) >= SECONDS - 1
    # The beeps begin at whole seconds of the sender's time; what they are late by is the network, for ever the same.
    began = log.began * MEDIA_HZ // NS_PER_S  # type: ignore[attr-defined]
    shifts = [(onset - began + MEDIA_HZ // 2) % MEDIA_HZ - MEDIA_HZ // 2 for onset in found]
    thirds = [float(np.median(part)) / 48 for part in np.array_split(np.array(shifts[5:]), 3)]
    assert max(thirds) - min(thirds) < 3 and NETWORK_MS <= thirds[0] <= NETWORK_MS + 15
    # The engine never had to make anything up by itself after its first second, nor threw anything away.
    assert stats.gap_ms < 1000 and stats.late_ms < 100
    # And the lips: every beep opens the mouth, every pause closes it.
    openings = np.array([value for _, value in sorted(log.openings().items())][60:], float)
    assert (openings > 20).mean() > 0.15 and (openings < 5).mean() > 0.5
