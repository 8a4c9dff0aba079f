"""What goes wrong around a session, and that it ends well: the documented error, nothing hanging, nothing left."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import NS_PER_MS
from engine.errors import AudioError, ConfigError, MienError, SessionError
from engine.outlet import AudioBlock
from engine.session import Session
from tests.engine.session_fakes import AVATAR, Stage, speak

MODES = pytest.mark.parametrize("mode", ["live", "pushed"])
CHUNK = np.full(320, 0.5, np.float32)


def run(stage: Stage, script: Callable[[Session], Any], **options: Any) -> Any:
    """Run ``script`` on a session that was not begun; then nothing may be left of it."""

    async def main() -> Any:
        async with stage.engine() as engine:
            session = engine.session(**{"avatar": AVATAR, "lookahead": 0, **options})
            try:
                return await script(session)
            finally:
                await session.close()
                assert asyncio.all_tasks() == {asyncio.current_task()}
                assert engine.sessions == 0
                assert all(renderer.closes >= 1 and not renderer.running for renderer in stage.renderers)

    return stage.clock.run(main())


async def consume(session: Session) -> int:
    count = 0
    async for _ in session:
        count += 1
    return count


@MODES
@settings(max_examples=12)
@given(ms=st.floats(0, 300), interrupt=st.floats(0, 300), reading=st.booleans())
def test_can_be_interrupted_and_closed_at_any_point(mode: str, ms: float, interrupt: float, reading: bool) -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        async with session:
            tasks = [asyncio.create_task(speak(session, stage.clock, 400))]
            if reading:
                tasks.append(asyncio.create_task(consume(session)))
            begin = stage.clock.now_ns()
            for at, action in sorted([(ms, session.close), (interrupt, session.interrupt)], key=lambda pair: pair[0]):
                await stage.clock.sleep_until(begin + round(at * NS_PER_MS))
                await action()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(outcomes[0], SessionError)
            assert session.closed

    run(stage, script, mode=mode)


@MODES
def test_closing_twice_before_the_start_and_from_two_tasks(mode: str) -> None:
    async def before(session: Session) -> None:
        await session.close()
        await session.close()
        with pytest.raises(SessionError, match="begins once"):
            await session.__aenter__()
        assert await consume(session) == 0

    async def together(session: Session) -> None:
        async with session:
            await asyncio.gather(session.close(), session.close(), session.close())
        await session.close()
        with pytest.raises(SessionError, match="begins once"):
            await session.__aenter__()

    run(Stage(), before, mode=mode)
    run(Stage(), together, mode=mode)


def test_closing_while_it_begins() -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        stage.setup.ms = 50.0
        beginning = asyncio.create_task(session.__aenter__())
        await stage.clock.sleep_until(stage.clock.now_ns() + 10 * NS_PER_MS)
        await session.close()
        with pytest.raises(SessionError, match="closed before it began"):
            await beginning

    run(stage, script)


def test_cancelled_while_it_begins() -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        beginning = asyncio.create_task(session.__aenter__())
        for _ in range(3):
            await asyncio.sleep(0)
        beginning.cancel()
        await asyncio.gather(beginning, return_exceptions=True)

    run(stage, script)


@MODES
def test_a_renderer_that_breaks_ends_the_session_with_its_error(mode: str) -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        async with session:
            stage.renderers[0].fails_at = 5
            with pytest.raises(ValueError, match="the renderer broke"):
                await consume(session)
            assert session.closed and await consume(session) == 0
            with pytest.raises(SessionError, match="has ended"):
                await session.push(CHUNK, 16_000)

    run(stage, script, mode=mode)


def test_an_error_nobody_met_is_raised_at_the_end() -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        with pytest.raises(ValueError, match="the renderer broke"):
            async with session:
                stage.renderers[0].fails_at = 3
                await stage.clock.sleep_until(stage.clock.now_ns() + 500 * NS_PER_MS)

    run(stage, script)


def test_an_error_of_the_body_is_not_hidden() -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        with pytest.raises(KeyError):
            async with session:
                stage.renderers[0].fails_at = 3
                await stage.clock.sleep_until(stage.clock.now_ns() + 500 * NS_PER_MS)
                raise KeyError

    run(stage, script)


def test_a_pipeline_that_breaks_reaches_the_consumer() -> None:
    stage = Stage()

    def broken(*_: Any) -> Any:
        raise MienError("the network is gone")

    async def script(session: Session) -> None:
        async with session:
            stage.pipelines[0].step = broken
            with pytest.raises(MienError, match="the network is gone"):
                await consume(session)

    run(stage, script)


@pytest.mark.parametrize(("by_s", "says"), [(-3.0, "went back by 2.9"), (60.0, "beyond what was due")])
def test_a_clock_that_jumps_ends_the_session(by_s: float, says: str) -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        async with session:
            reading = asyncio.create_task(consume(session))
            await stage.clock.sleep_until(stage.clock.now_ns() + 300 * NS_PER_MS)
            stage.clock.jump(round(by_s * 1e9))
            await session.push(CHUNK, 16_000)
            with pytest.raises(SessionError, match=says):
                await reading

    run(stage, script)


@MODES
def test_a_consumer_that_is_gone_costs_bounded_memory(mode: str) -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        async with session:
            consumer = asyncio.create_task(consume(session))
            await asyncio.sleep(0)
            consumer.cancel()
            await speak(session, stage.clock, 3000)
            stats = session.stats()
            assert stats.output_ms <= 500 and stats.dropped_frames > 50 and stats.dropped_blocks > 100
            assert len(session._outlet._items) <= 15 + 25
            first = await anext(session)
            assert first.ticks > 48_000, "what is left is the latest"

    run(stage, script, mode=mode)


@MODES
def test_a_waiting_pusher_and_flusher_are_freed_by_the_end(mode: str) -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        async with session:
            long = np.zeros(16_000, np.float32)

            async def push() -> None:
                while True:
                    await session.push(long, 16_000)
                    await asyncio.sleep(0)

            flushing = asyncio.create_task(session.flush())
            pushing = asyncio.create_task(push() if mode == "pushed" else speak(session, stage.clock, 9000))
            await stage.clock.sleep_until(stage.clock.now_ns() + 30 * NS_PER_MS)
            await session.close()
            outcomes = await asyncio.gather(pushing, flushing, return_exceptions=True)
            assert isinstance(outcomes[0], SessionError)

    run(stage, script, mode=mode)


def test_bad_sound_is_refused_and_the_session_goes_on() -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        with pytest.raises(SessionError, match="not begun"):
            await session.push(CHUNK, 16_000)
        with pytest.raises(SessionError, match="not begun"):
            session.set(mouth=0.5)
        await session.interrupt()
        assert session.stats().frames == 0
        async with session:
            for bad, rate in ((np.full(9, np.nan, np.float32), 16_000), (CHUNK[None], 16_000), (CHUNK, 100)):
                with pytest.raises(AudioError):
                    await session.push(bad, rate)
            with pytest.raises(AudioError):
                session.push_threadsafe(np.full(9, np.inf, np.float32), 16_000)
            with pytest.raises(ConfigError):
                session.set(mouth=2.0)
            await session.push(np.zeros(0, np.float32), 16_000)
            await speak(session, stage.clock, 200)
            assert any([isinstance(await anext(session), AudioBlock) for _ in range(5)])
        assert session.stats().audio_blocks > 0
        with pytest.raises(SessionError, match="has ended"):
            session.push_threadsafe(CHUNK, 16_000)

    run(stage, script)


def test_an_avatar_that_cannot_be_drawn_leaves_the_session_as_it_was() -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        async with session:

            def refuse(*_: Any) -> Any:
                raise MienError("no such face")

            session._adopt = refuse
            with pytest.raises(MienError, match="no such face"):
                await session.change_avatar(AVATAR)
            assert not session.closed
            await anext(session)

    run(stage, script)


def test_closed_while_the_avatar_changes() -> None:
    stage = Stage()

    async def script(session: Session) -> None:
        async with session:
            stage.setup.ms = 80.0
            changing = asyncio.create_task(session.change_avatar(AVATAR))
            await stage.clock.sleep_until(stage.clock.now_ns() + 20 * NS_PER_MS)
            await session.close()
            with pytest.raises(SessionError, match="while its avatar"):
                await changing

    run(stage, script)
