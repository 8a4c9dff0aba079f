import asyncio
from typing import Any

import numpy as np
import pytest

from engine.artefacts.avatar import Avatar
from engine.budget import Measurement
from engine.clock import NS_PER_MS
from engine.engine import Engine
from engine.errors import CapacityError, ConfigError, SessionError
from tests.engine.session_fakes import AVATAR, FakeRenderer, Log, Stage, speak


def test_sessions_are_admitted_until_the_machine_is_full() -> None:
    stage = Stage(busy=0.5, cores=2)

    async def main() -> None:
        async with stage.engine() as engine:
            sessions = [engine.session(avatar=AVATAR, lookahead=0, fps=25) for _ in range(4)]
            for number, session in enumerate(sessions[:3], 1):
                await session.__aenter__()
                assert engine.sessions == number and engine.load == pytest.approx(0.5 * number)
            with pytest.raises(
                CapacityError, match=r"3 sessions run, and another at 25 fps needs 0.50 cores where 0.30"
            ):
                await sessions[3].__aenter__()
            # Nothing was opened or measured for it, which would have disturbed the others.
            assert len(stage.renderers) == 3 and engine.sessions == 3
            await sessions[0].close()
            assert engine.load == pytest.approx(1.0)
            async with engine.session(avatar=AVATAR, lookahead=0):
                assert engine.sessions == 3
        assert engine.sessions == 0 and all(renderer.closes for renderer in stage.renderers)

    stage.clock.run(main())


def test_what_was_measured_to_need_too_much_is_refused() -> None:
    stage, shares = Stage(), iter([0.5, 1.5])

    async def measure(*_: Any) -> Measurement:
        return Measurement([10.0], next(shares))

    async def main() -> None:
        async with stage.engine(measure=measure) as engine, engine.session(avatar=AVATAR, fps=60):
            with pytest.raises(
                CapacityError, match=r"1 sessions run, and another at 25 fps needs 1.50 cores where 1.30"
            ):
                await engine.session(avatar=AVATAR, fps=25).__aenter__()
            assert stage.renderers[1].closes == 1 and engine.sessions == 1

    stage.clock.run(main())


def test_what_is_done_with_pictures_beside_is_counted() -> None:
    stage = Stage(busy=0.5, cores=2)

    async def main() -> None:
        async with stage.engine(beside=0.3) as engine, engine.session(avatar=AVATAR), engine.session(avatar=AVATAR):
            assert engine.load == pytest.approx(1.6)
            with pytest.raises(CapacityError, match=r"needs 0.80 cores where 0.20"):
                await engine.session(avatar=AVATAR).__aenter__()

    stage.clock.run(main())


def test_one_session_is_never_refused_for_capacity() -> None:
    stage = Stage(busy=5.0, cores=1)

    async def main() -> None:
        async with stage.engine() as engine, engine.session(avatar=AVATAR):
            assert engine.sessions == 1

    stage.clock.run(main())


def test_a_session_beside_which_others_miss_frames_is_refused() -> None:
    stage = Stage()

    async def disturbing(*_: Any) -> Measurement:
        if len(stage.renderers) > 1:
            stage.renderers[0].slow = lambda _: 45.0
            await stage.clock.sleep_until(stage.clock.now_ns() + 500 * NS_PER_MS)
        return Measurement([10.0], 0.1)

    async def main() -> None:
        async with stage.engine(measure=disturbing) as engine, engine.session(avatar=AVATAR, lookahead=0) as first:
            with pytest.raises(CapacityError, match="missed"):
                await engine.session(avatar=AVATAR).__aenter__()
            assert not first.closed and engine.sessions == 1

    stage.clock.run(main())


def test_a_frame_missed_by_chance_refuses_nobody() -> None:
    stage, measured = Stage(), 0

    async def once_disturbing(*_: Any) -> Measurement:
        nonlocal measured
        measured += 1
        if len(stage.renderers) > 1 and measured == 2:
            stage.renderers[0].slow = lambda number: 45.0 if number == stage.renderers[0].drawn - 1 else 5.0
            await stage.clock.sleep_until(stage.clock.now_ns() + 50 * NS_PER_MS)
            stage.renderers[0].slow = None
        await stage.clock.sleep_until(stage.clock.now_ns() + 500 * NS_PER_MS)
        return Measurement([10.0], 0.1)

    async def main() -> None:
        async with stage.engine(measure=once_disturbing) as engine, engine.session(avatar=AVATAR, lookahead=0) as first:
            async with engine.session(avatar=AVATAR):
                assert engine.sessions == 2 and measured == 3
            assert 0 < first.stats().missed <= 2

    stage.clock.run(main())


def test_sessions_side_by_side_keep_their_own_state_and_budget() -> None:
    stage = Stage()

    async def main() -> list[Log]:
        async with stage.engine() as engine:
            logs = []
            async with (
                engine.session(avatar=AVATAR, lookahead=0, fps=60) as loud,
                engine.session(avatar=AVATAR, lookahead=3, fps=30) as quiet,
            ):
                for session in (loud, quiet):
                    logs.append(Log(session, stage.clock))
                reading = [asyncio.create_task(log.consume()) for log in logs]
                await asyncio.gather(
                    speak(loud, stage.clock, 600, level=0.5), speak(quiet, stage.clock, 600, level=0.25)
                )
            await asyncio.gather(*reading)
            return logs

    loud, quiet = stage.clock.run(main())
    assert set(list(loud.openings().values())[2:]) == {50} and set(list(quiet.openings().values())[2:]) == {25}
    assert loud.session.stats().missed == quiet.session.stats().missed == 0


def test_a_latency_that_this_machine_cannot_hold_is_refused() -> None:
    stage = Stage(compute_ms=40.0)

    async def main() -> None:
        async with stage.engine() as engine:
            with pytest.raises(ConfigError, match=r"this machine needs 56\.0 ms to compute"):
                await engine.session(avatar=AVATAR, lookahead=0, latency=60).__aenter__()
            assert stage.renderers[0].closes == 1 and engine.sessions == 0

    stage.clock.run(main())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fps": 24}, "frame rate"),
        ({"lookahead": 19}, "lookahead"),
        ({"lookahead": -1}, "lookahead"),
        ({"latency": "fast"}, "'auto'"),
        ({"mode": "loud"}, "live or pushed"),
        ({"chunk_ms": 0.0}, "chunk"),
        ({"queue_ms": 1}, "queue"),
    ],
)
def test_options_out_of_range_are_refused_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Stage().engine().session(avatar=AVATAR, **options)


def test_closing_ends_its_sessions_and_refuses_new_ones() -> None:
    stage = Stage()

    async def main() -> None:
        engine = stage.engine()
        session = engine.session(avatar=AVATAR, lookahead=0)
        waiting = engine.session(avatar=AVATAR, lookahead=0)
        await session.__aenter__()
        await engine.close()
        await engine.close()
        assert session.closed and stage.lane.closed and stage.setup.closed
        with pytest.raises(SessionError, match="engine is closed"):
            engine.session(avatar=AVATAR)
        with pytest.raises(SessionError, match="engine is closed"):
            await waiting.__aenter__()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    stage.clock.run(main())


def test_no_engine_without_a_core() -> None:
    with pytest.raises(ConfigError, match="at least one core"):
        Engine(cores=0)


def test_what_took_long_by_chance_alone_is_no_part_of_the_budget() -> None:
    stage = Stage(render_ms=7.0)

    def compute_ms(stalls: tuple[int, ...]) -> tuple[float, float]:
        """Allowance for a frame where drawing stalls at these frames, and how long measuring took."""

        def renderer(avatar: Avatar) -> FakeRenderer:
            made = FakeRenderer(stage.clock, stage.render_ms)
            made.slow = lambda number: 60.0 if number in stalls else stage.render_ms
            return made

        async def main() -> tuple[float, float]:
            async with stage.engine(measure=None, renderer_factory=renderer) as engine:
                before = stage.clock.now_ns()
                async with engine.session(avatar=AVATAR) as session:
                    return session.budget.compute_ms, (stage.clock.now_ns() - before) / NS_PER_MS

        return stage.clock.run(main())

    assert compute_ms((20,)) == (np.ceil(7.0 * 1.4), pytest.approx(4000, rel=0.05))
    assert compute_ms((20, 90, 150)) == (np.ceil(60.0 * 1.4), pytest.approx(6000, rel=0.05))


def test_measures_the_machine_itself_when_nobody_else_does() -> None:
    """The default measurement, on virtual time: motion on the lane and the renderer, paced."""
    stage = Stage(render_ms=7.0)

    async def main() -> None:
        async with stage.engine(measure=None) as engine:
            before = stage.clock.now_ns()
            async with engine.session(avatar=AVATAR, lookahead=6) as session:
                assert stage.clock.now_ns() - before == pytest.approx(2000 * NS_PER_MS, rel=0.05)
                assert session.budget.compute_ms == np.ceil(7.0 * 1.4)

    stage.clock.run(main())
