import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from engine.batching import Place, Request, Work
from engine.errors import SessionError
from engine.motion_lane import MotionLane

PATIENCE_S = 60.0


class Counter:
    """Says how many were asked at once, and on which thread; it fails for what is negative."""

    place = Place.APC

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def answer(self, questions: Sequence[int]) -> Sequence[int]:
        self.threads.add(threading.current_thread().name)
        if min(questions) < 0:
            raise ValueError("a negative question")
        return [len(questions)] * len(questions)


def ask(server: Counter, question: int = 0) -> Work[int]:
    return (yield Request(server, question))


def play(script: Callable[[MotionLane], Awaitable[None]]) -> None:
    """Run ``script`` with a lane; neither may hang, and no thread may be left."""

    async def main() -> None:
        lane = MotionLane("mien-lane-test")
        try:
            await asyncio.wait_for(script(lane), PATIENCE_S)
        finally:
            lane.close()
        lane.close()

    asyncio.run(main())
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("mien-lane-test")] == []


class Busy:
    """Keeps the lane's thread from the works that come after it, until it is freed."""

    def __init__(self, lane: MotionLane) -> None:
        self._begun, self._free = threading.Event(), threading.Event()
        self._lane = lane

    async def __aenter__(self) -> "Busy":
        self._task = asyncio.create_task(self._lane.run(self._hold))
        await asyncio.to_thread(self._begun.wait, PATIENCE_S)
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.free()
        await asyncio.wait([self._task])

    def free(self) -> None:
        self._free.set()

    def _hold(self) -> None:
        self._begun.set()
        self._free.wait(PATIENCE_S)


async def queued(lane: MotionLane, *works: Work[int]) -> "list[asyncio.Task[int]]":
    tasks = [asyncio.create_task(lane.work(work)) for work in works]
    await asyncio.sleep(0)
    return tasks


def test_what_waits_is_done_at_once_and_alone_nothing_waits() -> None:
    server = Counter()

    async def script(lane: MotionLane) -> None:
        assert await lane.work(ask(server)) == 1
        async with Busy(lane) as busy:
            tasks = await queued(lane, *(ask(server) for _ in range(3)))
            busy.free()
            assert await asyncio.gather(*tasks) == [3, 3, 3]
        assert len(server.threads) == 1 and next(iter(server.threads)).startswith("mien-lane-test")

    play(script)


def test_an_error_reaches_its_own_session_alone() -> None:
    server = Counter()

    async def script(lane: MotionLane) -> None:
        async with Busy(lane) as busy:
            tasks = await queued(lane, ask(server), ask(server, -1), ask(server))
            busy.free()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes[0] == outcomes[2] == 1 and isinstance(outcomes[1], ValueError)
        with pytest.raises(ZeroDivisionError):
            await lane.run(divmod, 7, 0)
        assert await lane.run(divmod, 7, 2) == (3, 1)

    play(script)


def test_a_work_whose_caller_has_gone_is_dropped() -> None:
    begun: list[int] = []

    def noting(number: int) -> Work[int]:
        begun.append(number)
        yield from ()
        return number

    async def script(lane: MotionLane) -> None:
        async with Busy(lane) as busy:
            gone, stays = await queued(lane, noting(1), noting(2))
            gone.cancel()
            await asyncio.wait([gone])
            busy.free()
            assert await stays == 2
        assert begun == [2]

    play(script)


def test_closing_ends_what_runs_and_cancels_what_waits() -> None:
    server = Counter()

    async def script(lane: MotionLane) -> None:
        async with Busy(lane) as busy:
            (waiting,) = await queued(lane, ask(server))
            closing = asyncio.create_task(asyncio.to_thread(lane.close))
            await asyncio.wait([waiting])
            assert waiting.cancelled() and not closing.done()
            with pytest.raises(SessionError, match="has ended"):
                await lane.work(ask(server))
            busy.free()
            await closing
        assert not server.threads

    play(script)
