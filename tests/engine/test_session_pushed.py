"""Pushed mode under a virtual clock: speech faster than real time, no lookahead paid, idle in between."""

import asyncio
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import NS_PER_MS, ticks_to_ns
from engine.errors import ConfigError
from engine.session import Session
from engine.stages.voice_gate import VoiceGateSettings
from tests.engine.session_fakes import AVATAR, Log, Stage


def speech(ms: int, level: float = 0.5) -> np.ndarray:
    return np.where(np.arange(ms * 16) % 40 < 20, level, -level).astype(np.float32)


def first_after(log: Log, since_ns: int) -> float:
    """Milliseconds from ``since_ns`` to the first frame whose mouth is open."""
    return next(
        (at - since_ns) / NS_PER_MS
        for at, frame in log.frames
        if at > since_ns and frame.picture.shape[0] == 1 and frame.picture[0, 0, 0] > 0
    )


def assert_on_time(log: Log) -> None:
    latency, origin = log.session.budget.total_ticks, log.session.origin_ns
    for arrived, item in (*log.frames, *log.blocks):
        assert arrived == origin + ticks_to_ns(item.ticks + latency)
    assert [block.ticks for _, block in log.blocks] == [960 * n for n in range(len(log.blocks))]
    gaps = np.diff([frame.ticks for _, frame in log.frames])
    assert gaps.min() >= 800 and gaps.max() <= 1600


@pytest.mark.parametrize("fps", [30, 60])
@pytest.mark.parametrize("phase_ms", [0, 3, 11, 19, 27])
@pytest.mark.parametrize("lookahead", [0, 9, 12])
def test_first_frame_leaves_within_50_ms(fps: int, phase_ms: int, lookahead: int) -> None:
    async def script(session: Session, log: Log) -> None:
        await log.wait(500 + phase_ms)
        log.pushed_at = log.clock.now_ns()
        await session.push(speech(320), 16_000)
        await log.wait(200)

    log = Stage().play(script, mode="pushed", fps=fps, lookahead=lookahead)
    assert_on_time(log)
    assert first_after(log, log.pushed_at) < 50
    assert log.session.stats().missed == 0 and log.session.budget.lookahead_ms == 0


def test_sound_and_mouth_begin_and_end_together() -> None:
    async def script(session: Session, log: Log) -> None:
        await log.wait(333)
        for part in np.split(speech(2000), 50):
            await session.push(part, 16_000)
            await log.wait(5)
        await session.flush()
        await log.wait(100)

    log = Stage().play(script, mode="pushed", fps=60)
    assert_on_time(log)
    heard = [block.ticks for _, block in log.blocks if np.abs(block.samples.astype(int)).max() > 8000]
    seen = [ticks for ticks, opening in log.openings().items() if opening > 12]
    assert abs(heard[0] - seen[0]) <= 1600 and abs(heard[-1] - seen[-1]) <= 1600
    assert 99 <= len(heard) <= 102 and all(b - a == 960 for a, b in itertools.pairwise(heard))
    stats = log.session.stats()
    assert stats.missed == stats.gaps == 0 and stats.intake_ms == 0


def test_slow_speech_begins_after_a_while_all_the_same() -> None:
    async def script(session: Session, log: Log) -> None:
        await log.wait(100)
        log.pushed_at = log.clock.now_ns()
        await session.push(speech(60), 16_000)
        await log.wait(600)

    log = Stage().play(script, mode="pushed")
    assert 250 < first_after(log, log.pushed_at) < 330


def test_a_flush_begins_a_short_word_at_once() -> None:
    async def script(session: Session, log: Log) -> None:
        await log.wait(100)
        log.pushed_at = log.clock.now_ns()
        await session.push(speech(60), 16_000)
        await session.flush()
        assert log.clock.now_ns() - log.pushed_at < 150 * NS_PER_MS

    log = Stage().play(script, mode="pushed")
    assert first_after(log, log.pushed_at) < 50


def test_speech_that_runs_dry_goes_on_when_more_comes() -> None:
    async def script(session: Session, log: Log) -> None:
        await session.push(speech(400), 16_000)
        await log.wait(900)
        await session.push(speech(400), 16_000)
        await session.flush()
        await log.wait(100)

    log = Stage().play(script, mode="pushed")
    assert_on_time(log)
    loud = [np.abs(block.samples.astype(int)).max() > 8000 for _, block in log.blocks]
    assert 40 <= sum(loud) <= 44
    assert log.session.stats().gaps == 1 and log.session.stats().missed == 0


@pytest.mark.parametrize("fps", [30, 60])
@pytest.mark.parametrize("wait_ms", [1003, 1011, 1019, 1027, 1033])
def test_interrupt_rests_the_mouth_within_two_frames_and_50_ms(fps: int, wait_ms: int) -> None:
    async def script(session: Session, log: Log) -> None:
        await session.push(speech(5000), 16_000)
        await log.wait(wait_ms)
        log.cut_at = log.clock.now_ns()
        await session.interrupt()
        assert session.stats().intake_ms == session.stats().output_ms == 0
        await log.wait(500)
        log.again_at = log.clock.now_ns()
        await session.push(speech(1000), 16_000)
        await session.flush()

    log = Stage().play(script, mode="pushed", fps=fps)
    assert_on_time(log)
    after = [(at, int(frame.picture[0, 0, 0])) for at, frame in log.frames if log.cut_at < at < log.again_at]
    assert all(opening == 0 for at, opening in after if at > log.cut_at + 50 * NS_PER_MS)
    quiet = [block for at, block in log.blocks if log.cut_at + 21 * NS_PER_MS < at < log.again_at]
    assert len(quiet) > 15 and not any(block.samples.any() for block in quiet)
    # The lips part after the first frame of the utterance, at 30 fps in the one that follows it.
    assert first_after(log, log.again_at) < 50 + (1000 / 30 if fps == 30 else 0)
    assert list(log.openings().values())[-8 * fps // 60] == 50


def test_a_full_queue_holds_the_pusher_and_loses_nothing() -> None:
    async def script(session: Session, log: Log) -> None:
        began = log.clock.now_ns()
        for _ in range(33):
            await session.push(speech(1000), 16_000)
            assert session.stats().intake_ms <= 31_000
        assert log.clock.now_ns() - began > NS_PER_MS * 1500
        await session.interrupt()

    log = Stage().play(script, mode="pushed", fps=20)
    assert log.session.stats().gaps == 0


def test_an_interrupt_frees_the_pusher() -> None:
    async def script(session: Session, log: Log) -> None:
        async def push() -> None:
            for _ in range(33):
                await session.push(speech(1000), 16_000)

        pusher = asyncio.create_task(push())
        await log.wait(100)
        assert not pusher.done()
        await session.interrupt()
        await log.wait(50)
        assert pusher.done()

    Stage().play(script, mode="pushed", fps=20)


@settings(max_examples=6)
@given(st.lists(st.tuples(st.sampled_from(["push", "flush", "interrupt", "wait"]), st.integers(1, 200)), max_size=8))
def test_no_order_of_calls_moves_the_clock(calls: list[tuple[str, int]]) -> None:
    async def script(session: Session, log: Log) -> None:
        for call, ms in calls:
            if call == "push":
                await session.push(speech(ms), 24_000)
            elif call == "flush":
                await session.flush()
            elif call == "interrupt":
                await session.interrupt()
            else:
                await log.wait(ms)
        await log.wait(60)

    log = Stage().play(script, mode="pushed")
    assert log.session.stats().missed == 0
    latency, origin = log.session.budget.total_ticks, log.session.origin_ns
    assert all(at == origin + ticks_to_ns(item.ticks + latency) for at, item in (*log.frames, *log.blocks))


def test_a_gate_is_for_live_sources() -> None:
    with pytest.raises(ConfigError, match="live sources"):
        Stage().engine().session(avatar=AVATAR, mode="pushed", gate=VoiceGateSettings())
