import asyncio
import os
import sys
import time

import pytest

import engine.precision_timer
from engine.clock import MonotonicClock
from engine.precision_timer import wait_until

linux = pytest.mark.skipif(sys.platform != "linux", reason="timer files are Linux's")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@linux
def test_it_waits_for_the_time_and_never_less() -> None:
    async def main() -> None:
        for wait in (0, 1, 3_000_000):
            deadline = time.monotonic_ns() + wait
            assert await wait_until(deadline)
            assert time.monotonic_ns() >= deadline

    asyncio.run(main())


@linux
def test_nothing_is_left_open() -> None:
    async def main() -> None:
        before = open_files()
        waits = [asyncio.create_task(wait_until(time.monotonic_ns() + 10**12)) for _ in range(5)]
        await asyncio.sleep(0)
        assert open_files() == before + 5
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await wait_until(time.monotonic_ns() + 1000)
        assert open_files() == before

    asyncio.run(main())


def test_without_such_timers_the_clock_still_keeps_its_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.precision_timer, "_library", lambda: None)

    async def main() -> None:
        assert not await wait_until(time.monotonic_ns() + 1000)
        clock = MonotonicClock()
        deadline = clock.now_ns() + 2_000_000
        await clock.sleep_until(deadline)
        assert clock.now_ns() >= deadline

    asyncio.run(main())
