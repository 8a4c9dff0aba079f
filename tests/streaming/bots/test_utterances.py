"""Utterances through a pushed session, on a virtual clock: whole, without idle silence, ends in their place."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.clock import NS_PER_MS, VirtualClock
from engine.errors import AudioError
from engine.outlet import AudioBlock, VideoFrame
from streaming.bots.utterances import UtteranceEnd, Utterances
from tests.engine.session_fakes import AVATAR, Stage


@dataclass
class Heard:
    """What came out: the samples of each utterance, and how many pictures."""

    utterances: list[np.ndarray] = field(default_factory=list)
    current: list[np.ndarray] = field(default_factory=list)
    frames: int = 0

    async def take(self, said: Utterances) -> None:
        async for item in said:
            if isinstance(item, VideoFrame):
                self.frames += 1
            elif isinstance(item, AudioBlock):
                self.current.append(item.samples)
            else:
                assert isinstance(item, UtteranceEnd)
                self.utterances.append(np.concatenate(self.current))
                self.current.clear()


Script = Callable[[Utterances, Heard, VirtualClock], Awaitable[None]]


def play(script: Script) -> Heard:
    stage = Stage()

    async def main() -> Heard:
        async with stage.engine() as engine, engine.session(avatar=AVATAR, mode="pushed", lookahead=0) as session:
            said, heard = Utterances(session), Heard()
            taking = asyncio.create_task(heard.take(said))
            await script(said, heard, stage.clock)
            await session.close()
            await taking
            return heard

    return stage.clock.run(main())


async def wait(clock: VirtualClock, ms: int) -> None:
    await clock.sleep_until(clock.now_ns() + ms * NS_PER_MS)


def speech(ms: int, level: int = 9000) -> np.ndarray:
    """A square wave at 24 kHz whose second half is silent."""
    samples = np.where(np.arange(24 * ms) % 60 < 30, level, -level).astype(np.int16)
    samples[len(samples) // 2 :] = 0
    return samples


def test_each_utterance_comes_whole_with_its_own_silence_and_no_other() -> None:
    async def script(said: Utterances, heard: Heard, clock: VirtualClock) -> None:
        await wait(clock, 500)
        for ms in (300, 500):
            for part in np.array_split(speech(ms), 7):
                await said.push(part, 24_000)
            await said.end()
        await wait(clock, 500)

    heard = play(script)
    lengths_ms = [len(samples) / 48 for samples in heard.utterances]
    assert len(lengths_ms) == 2 and not heard.current
    # Up to a block before it, for its place in time; its last samples fade in the resampler.
    assert 299 <= lengths_ms[0] <= 321 and 499 <= lengths_ms[1] <= 521
    assert all(np.abs(samples).max() > 8000 for samples in heard.utterances)
    assert heard.frames > 45


def test_an_interruption_leaves_no_end_behind_and_the_next_is_whole() -> None:
    async def script(said: Utterances, heard: Heard, clock: VirtualClock) -> None:
        await said.push(speech(4000), 24_000)
        ending = asyncio.create_task(said.end())
        await wait(clock, 400)
        assert heard.current
        await said.clear()
        await ending
        before = len(heard.current)
        await wait(clock, 300)
        assert len(heard.current) == before and not heard.utterances, "silence at once"
        await said.end()
        heard.current.clear()
        await said.push(speech(200), 24_000)
        await said.end()
        await wait(clock, 100)

    heard = play(script)
    assert [199 <= len(samples) / 48 <= 221 for samples in heard.utterances] == [True]


def test_an_interruption_frees_whoever_pushes() -> None:
    async def script(said: Utterances, heard: Heard, clock: VirtualClock) -> None:
        await said.push(speech(40_000), 24_000)
        held = asyncio.create_task(said.push(speech(1000), 24_000))
        behind = asyncio.create_task(said.push(speech(1000), 24_000))
        await wait(clock, 100)
        assert not held.done()
        await said.clear()
        await asyncio.gather(held, behind)
        await wait(clock, 1000)

    heard = play(script)
    assert len(np.concatenate(heard.current)) / 48 < 150, "nothing of what waited is said"


def test_what_is_no_sound_changes_nothing() -> None:
    async def script(said: Utterances, heard: Heard, clock: VirtualClock) -> None:
        with pytest.raises(AudioError):
            await said.push(np.zeros((2, 3), np.int16), 24_000)
        with pytest.raises(AudioError):
            await said.push(speech(100), 7)
        await said.push(np.zeros(0, np.int16), 24_000)
        await said.push(speech(100), 24_000)
        await said.end()
        await wait(clock, 100)

    assert len(play(script).utterances) == 1
